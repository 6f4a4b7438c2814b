//! How fast a configuration trains here:
//! `cargo run --release -p trainer --example speed -- CONFIG [--vocab N] [--steps N] [--costs] [--json] [key=value]...`
//!
//! Measures whole steps of the first phase, update included. The text is made up, and every sequence is as long as it
//! may be, so that no time goes into padding. `tests/benchmarks/train_cpu.py` does the same with another
//! implementation. Knows no family by name, and nothing of other measurements.

use std::error::Error;
use std::str::FromStr;
use std::time::Instant;

use collective::Local;
use corpus::{Relation, Sample, Specials, Vocabulary};
use families::{HostBatch, Recipe};
use plan::{Key, Precision, RunPlan};
use tch::{Device, Kind, Tensor};
use trainer::Trainer;

const USAGE: &str = "usage: speed CONFIG [--vocab N] [--steps N] [--costs] [--json] [key=value]...";
/// BERT's, uncased.
const VOCABULARY: u32 = 30_522;
/// The ids below are special tokens, and the last one of the vocabulary is the mask.
const FIRST_ORDINARY: u32 = 5;

/// What the command line says.
struct Arguments {
    config: String,
    vocabulary: u32,
    /// Steps that are measured.
    steps: usize,
    json: bool,
    /// Also take the time of what makes sums exact, beside what takes its place elsewhere.
    costs: bool,
    settings: Vec<String>,
}

/// What exactness takes, in seconds: adding up the gradients of one micro-batch, as fixed point and as floats; and what
/// becomes of the sum of a step, its hash included, beside the norm alone.
struct Costs {
    exact: f64,
    plain: f64,
    reduce: f64,
    norm: f64,
}

/// A step's times in seconds, the tokens in it, and its loss in nats.
struct Step {
    seconds: f64,
    update_seconds: f64,
    tokens: u64,
    loss: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    trainer::keep_freed_memory();
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let plan = first_phase(&arguments)?;
    let size = arguments.vocabulary;
    let specials = Specials { bos: 0, pad: 1, eos: 2, unk: 3, mask: size - 1 };
    let vocabulary = Vocabulary::new(size, specials, |_| true);
    let recipe = (families::find(&plan.model.family)?.parse)(&plan, &arguments.config, &vocabulary)?;
    let mut trainer = Trainer::new(&plan, std::slice::from_ref(&recipe), Device::Cpu)?;
    trainer.initialise()?;

    let batches: Vec<HostBatch> =
        (0..plan.micro_batches()).map(|index| batch(recipe.as_ref(), &plan, size, index)).collect();
    if batches.iter().any(HostBatch::is_padded) {
        return Err("the samples are shorter than objective.max_len".into());
    }
    // The first touches memory that the others find there, and is not counted.
    step(&mut trainer, &plan, &batches)?;
    let mut steps = Vec::with_capacity(arguments.steps);
    for _ in 0..arguments.steps {
        steps.push(step(&mut trainer, &plan, &batches)?);
    }
    let parameters = trainer.model().parameters();
    let costs = if arguments.costs { Some(costs(&mut trainer, &plan, &batches[0])?) } else { None };
    match arguments.json {
        true => println!("{}", json(&plan, recipe.as_ref(), parameters, size, &steps, costs.as_ref())),
        false => show(&plan, parameters, &steps),
    }
    Ok(())
}

impl Arguments {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut config, mut settings) = (None, Vec::new());
        let (mut vocabulary, mut steps, mut json, mut costs) = (VOCABULARY, 5, false, false);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--json" => json = true,
                "--costs" => costs = true,
                "--vocab" => vocabulary = number(&word, words.next())?,
                "--steps" => steps = number(&word, words.next())?,
                option if option.starts_with('-') => {
                    return Err(format!("there is no option {option}; {USAGE}"));
                }
                setting if setting.contains('=') => settings.push(setting.to_owned()),
                path => config = Some(path.to_owned()),
            }
        }
        if steps == 0 || vocabulary <= FIRST_ORDINARY + 1 {
            return Err("measure at least one step, on a vocabulary with ordinary tokens".to_owned());
        }
        let config = config.ok_or(USAGE)?;
        Ok(Arguments { config, vocabulary, steps, json, costs, settings })
    }
}

fn number<T: FromStr>(option: &str, word: Option<String>) -> Result<T, String> {
    let value = word.as_deref().and_then(|word| word.parse().ok());
    value.ok_or_else(|| format!("{option} wants a number; {USAGE}"))
}

/// The plan of the first phase, with the settings on top: what a phase says itself is replaced by them, too.
fn first_phase(arguments: &Arguments) -> Result<RunPlan, Box<dyn Error>> {
    let path = &arguments.config;
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let run = RunPlan::parse(path, &text, &[])?;
    let phase = run.phases().swap_remove(0);
    Ok(RunPlan::parse(path, &phase.plan.to_toml(), &arguments.settings)?)
}

/// Micro-batch `index` of a step.
fn batch(recipe: &dyn Recipe, plan: &RunPlan, vocabulary: u32, index: u64) -> HostBatch {
    let rows = u64::from(plan.train.micro_batch);
    let example = |row: u64| {
        let key = Key::root(1).index(index).index(row);
        let sample = sample(recipe, vocabulary, key.named("text"));
        recipe.example(&sample, &sample.ids, key.named("mask"))
    };
    recipe.collate(&(0..rows).map(example).collect::<Vec<_>>())
}

/// Random tokens that fill a sequence together with its special ones: in two segments where the format has pairs, whose
/// relation is drawn where the loss asks for it.
fn sample(recipe: &dyn Recipe, vocabulary: u32, key: Key) -> Sample {
    let mut stream = key.stream();
    let pack = recipe.pack_spec();
    let pair_specials = pack.switches().pair_specials;
    // Without a pair there is one special token before the segment and one behind it.
    let len = pack.max_len() - pair_specials.unwrap_or(2);
    // All but the mask.
    let ordinary = u64::from(vocabulary - 1 - FIRST_ORDINARY);
    let ids: Vec<u32> = (0..len).map(|_| FIRST_ORDINARY + stream.below(ordinary) as u32).collect();
    if pair_specials.is_none() {
        return Sample::new([ids.as_slice()]);
    }
    let asked = recipe.terms().iter().any(|term| ["nsp", "sop"].contains(&term.name));
    // The classes of both questions have the same numbers.
    let relation = if stream.below(2) == 0 { Relation::Next } else { Relation::Random };
    let (first, second) = ids.split_at(ids.len() / 2);
    Sample { relation: asked.then_some(relation), ..Sample::new([first, second]) }
}

fn step(trainer: &mut Trainer, plan: &RunPlan, batches: &[HostBatch]) -> Result<Step, Box<dyn Error>> {
    // Fewer than all, while a batch grows.
    let count = plan.step_micro_batches(trainer.step()).count;
    let begun = Instant::now();
    trainer.begin()?;
    for (index, batch) in (0..count).zip(batches) {
        trainer.micro_batch(index, batch)?;
    }
    let computed = begun.elapsed();
    let reduced = trainer.reduce(&Local::new())?;
    let applied = trainer.apply()?;
    let ended = begun.elapsed();
    if applied.skipped {
        return Err("a gradient overflowed, so that nothing was updated".into());
    }
    Ok(Step {
        seconds: ended.as_secs_f64(),
        update_seconds: (ended - computed).as_secs_f64(),
        tokens: reduced.tokens,
        loss: reduced.loss,
    })
}

fn costs(trainer: &mut Trainer, plan: &RunPlan, batch: &HostBatch) -> Result<Costs, Box<dyn Error>> {
    trainer.begin()?;
    for index in 0..plan.micro_batches() {
        trainer.micro_batch(index, batch)?;
    }
    let begun = Instant::now();
    trainer.reduce(&Local::new())?;
    let reduce = begun.elapsed().as_secs_f64();
    let tensors = trainer.tensors()?;
    let of_model = tensors.iter().filter(|tensor| tensor.name.starts_with("model."));
    let shapes = of_model.map(|tensor| tensor.shape.iter().map(|&extent| extent as i64).collect());
    let shapes: Vec<Vec<i64>> = shapes.collect();
    let gradients: Vec<Tensor> = shapes
        .iter()
        .map(|shape| Tensor::randn(shape.as_slice(), (Kind::Float, Device::Cpu)) * 1e-3)
        .collect();
    let count: i64 = shapes.iter().map(|shape| shape.iter().product::<i64>()).sum();
    let accumulator = Tensor::zeros([count], (Kind::Int64, Device::Cpu));
    let mut sums: Vec<Tensor> = gradients.iter().map(Tensor::zeros_like).collect();
    let exact = || -> Result<f64, Box<dyn Error>> {
        let (begun, mut start) = (Instant::now(), 0);
        for gradient in &gradients {
            aten::fixed::accumulate(&accumulator, start, gradient)?;
            start += gradient.numel() as i64;
        }
        Ok(begun.elapsed().as_secs_f64())
    };
    let mut plain = || {
        let begun = Instant::now();
        sums.iter_mut().zip(&gradients).for_each(|(sum, gradient)| *sum += gradient);
        begun.elapsed().as_secs_f64()
    };
    let norm = || {
        let begun = Instant::now();
        let squares: f64 =
            gradients.iter().map(|gradient| f64::try_from(gradient.norm()).unwrap_or(0.0).powi(2)).sum();
        (begun.elapsed().as_secs_f64(), squares)
    };
    let exact = (0..5).map(|_| exact()).collect::<Result<Vec<_>, _>>()?;
    Ok(Costs {
        exact: median(exact.into_iter()),
        plain: median((0..5).map(|_| plain())),
        reduce,
        norm: median((0..5).map(|_| norm().0)),
    })
}

/// The one in the middle; of an even number, the smaller one of the two.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// Tokens per second of whole steps.
fn speed(steps: &[Step]) -> f64 {
    median(steps.iter().map(|step| step.tokens as f64 / step.seconds))
}

/// The most memory that this process has had, in bytes; Linux only.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

fn precision(plan: &RunPlan) -> &'static str {
    match plan.train.precision {
        Precision::Fp32 => "fp32",
        Precision::Bf16 => "bf16",
    }
}

/// For people.
fn show(plan: &RunPlan, parameters: u64, steps: &[Step]) {
    let (threads, count) = (plan.train.threads, plan.micro_batches());
    println!("{parameters} parameters, {}, {threads} threads, {count} micro-batches", precision(plan));
    for Step { seconds, update_seconds, tokens, loss } in steps {
        println!(
            "{:.0} tokens/s, {:.1} ms per step, {:.1} ms of them for the update, loss {loss:.4}",
            *tokens as f64 / seconds,
            seconds * 1e3,
            update_seconds * 1e3,
        );
    }
    let peak = peak_bytes().map_or(String::new(), |bytes| format!(", at most {} MiB", bytes >> 20));
    println!("median: {:.0} tokens/s{peak}", speed(steps));
}

/// For programs. Losses that are no numbers were refused before: their gradients overflow.
fn json(
    plan: &RunPlan,
    recipe: &dyn Recipe,
    parameters: u64,
    vocabulary: u32,
    steps: &[Step],
    costs: Option<&Costs>,
) -> String {
    let list = |of: fn(&Step) -> f64| {
        let values: Vec<String> = steps.iter().map(|step| of(step).to_string()).collect();
        format!("[{}]", values.join(", "))
    };
    let entries = [
        ("tokens_per_second", speed(steps).to_string()),
        ("step_seconds", list(|step| step.seconds)),
        ("update_seconds", list(|step| step.update_seconds)),
        ("parameters", parameters.to_string()),
        ("peak_bytes", peak_bytes().map_or("null".to_owned(), |bytes| bytes.to_string())),
        ("threads", plan.train.threads.to_string()),
        ("precision", format!("\"{}\"", precision(plan))),
        ("batch", plan.train.batch.to_string()),
        ("micro_batch", plan.train.micro_batch.to_string()),
        ("length", recipe.pack_spec().max_len().to_string()),
        ("vocabulary", vocabulary.to_string()),
        ("loss", steps.last().map_or("null".to_owned(), |step| step.loss.to_string())),
        ("platform", format!("\"{}\"", trainer::platform())),
    ];
    let costs = costs.map(|Costs { exact, plain, reduce, norm }| {
        [
            ("exact_seconds", exact),
            ("plain_seconds", plain),
            ("reduce_seconds", reduce),
            ("norm_seconds", norm),
        ]
        .map(|(name, seconds)| (name, seconds.to_string()))
    });
    let entries: Vec<(&str, String)> = entries.into_iter().chain(costs.into_iter().flatten()).collect();
    let entries: Vec<String> = entries.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    format!("{{{}}}", entries.join(", "))
}
