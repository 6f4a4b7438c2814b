//! How fast a configuration trains here: `cargo run --release -p trainer --example speed -- CONFIG [key=value]...`
//!
//! The text is made up, of a vocabulary of 16,384 tokens. Prints tokens per second of whole micro-batches, and the
//! time of an update.

use std::error::Error;
use std::time::Instant;

use collective::Local;
use corpus::{Sample, Specials, Vocabulary};
use plan::{Key, RunPlan};
use tch::Device;
use trainer::Trainer;

const VOCABULARY: u32 = 16_384;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: speed CONFIG [key=value]...")?;
    let plan = RunPlan::parse(&path, &std::fs::read_to_string(&path)?, &arguments.collect::<Vec<_>>())?;
    let specials = Specials { bos: 0, pad: 1, eos: 2, unk: 3, mask: VOCABULARY - 1 };
    let vocabulary = Vocabulary::new(VOCABULARY, specials, |_| true);
    let recipe = (families::find(&plan.model.family)?.parse)(&plan, &path, &vocabulary)?;
    let mut trainer = Trainer::new(&plan, std::slice::from_ref(&recipe), Device::Cpu)?;
    trainer.initialise()?;
    println!("{} parameters, {} threads", trainer.model().parameters(), plan.train.threads);

    let example = |index: u64| {
        let mut stream = Key::root(1).index(index).stream();
        let room = u64::from(recipe.pack_spec().max_len()) - 2;
        // Samples of whole sentences are a little shorter than what they may be.
        let len = room - stream.below(room / 8);
        let ids: Vec<u32> = (0..len).map(|_| 4 + stream.below(u64::from(VOCABULARY) - 5) as u32).collect();
        recipe.example(&Sample::new([ids.as_slice()]), &ids, Key::root(2).index(index))
    };
    let rows = u64::from(plan.train.micro_batch);
    let batches: Vec<_> = (0..plan.micro_batches())
        .map(|index| recipe.collate(&(0..rows).map(|row| example(index * rows + row)).collect::<Vec<_>>()))
        .collect();
    let tokens: u64 = batches.iter().map(|batch| batch.tokens()).sum();
    for _ in 0..4 {
        trainer.begin()?;
        let begun = Instant::now();
        for (index, batch) in batches.iter().enumerate() {
            trainer.micro_batch(index as u64, batch)?;
        }
        let computed = begun.elapsed();
        let reduced = trainer.reduce(&Local::new())?;
        trainer.apply()?;
        let updated = begun.elapsed() - computed;
        let speed = tokens as f64 / computed.as_secs_f64();
        println!(
            "{speed:.0} tokens/s, {:.1} ms per micro-batch, {:.1} ms per update, loss {:.4}, gradient {:.4}",
            computed.as_secs_f64() * 1e3 / batches.len() as f64,
            updated.as_secs_f64() * 1e3,
            reduced.loss,
            reduced.grad_norm,
        );
    }
    Ok(())
}
