//! The loss on held-out samples, of a run or of a Hugging Face directory. The same samples, masks and draws every time, so
//! that numbers compare.

use clap::Args;
use serde_json::{Map, Value, json};
use trainer::{Evaluation, measure};
use worker::HeldOut;

use crate::subject::{self, Need, Opened, failed};

#[derive(Debug, Args)]
pub struct Arguments {
    /// A run, or a Hugging Face directory.
    place: String,
    /// The prepared dataset of held-out documents.
    #[arg(long)]
    data: String,
    /// How many sequences to look at.
    #[arg(long, default_value_t = 1_024)]
    sequences: u64,
    /// Sequences at a time.
    #[arg(long, default_value_t = 16)]
    micro_batch: u32,
    /// Decides which sequences, and their masks.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Evaluates. On failure: the exit code and what to say.
pub fn run(arguments: Arguments) -> Result<(), (u8, String)> {
    if arguments.micro_batch == 0 || arguments.sequences == 0 {
        let which = if arguments.sequences == 0 { "--sequences" } else { "--micro-batch" };
        return Err((2, format!("{which} must be at least 1")));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| (1, format!("cannot start: {error}")))?;
    let Opened { model, recipe, step, tokenizer } =
        subject::open(&runtime, &arguments.place, Need::Objective)?;
    let Arguments { data, sequences, micro_batch, seed, .. } = &arguments;
    let held_out = HeldOut::open(data, recipe.clone(), *sequences, *micro_batch, *seed);
    let (held_out, vocabulary) = runtime.block_on(async {
        let dataset = store::Dataset::open(data).await.map_err(|error| failed(error.into()))?;
        Ok::<_, (u8, String)>((held_out.await.map_err(failed)?, dataset.vocabulary()))
    })?;
    if vocabulary != *tokenizer.vocabulary() {
        let reason = "was prepared with another tokenizer than the model's; prepare it with the model's own";
        return Err((2, format!("{data} {reason}")));
    }
    let mut evaluation = Evaluation::new(recipe.as_ref(), *seed, *sequences);
    for (index, batch) in held_out.micro_batches().enumerate() {
        let batch = batch().map_err(|error| failed(error.into()))?;
        model.evaluate(index as u64, &batch, &mut evaluation).map_err(|error| (1, error.to_string()))?;
        progress(index as u64 + 1, held_out.len());
    }
    print(&arguments, &evaluation, step);
    Ok(())
}

/// A line that is drawn over on a terminal, and nothing elsewhere.
fn progress(done: u64, of: u64) {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        eprint!("\r{done}/{of} micro-batches{}", if done == of { "\n" } else { "" });
    }
}

fn print(arguments: &Arguments, evaluation: &Evaluation, step: Option<u64>) {
    let measures = evaluation.measures();
    let perplexity = measure(&measures, "mlm").map(f64::exp);
    if arguments.json {
        let named: Map<String, Value> =
            measures.iter().map(|measure| (measure.name.to_owned(), json!(measure.value))).collect();
        let tally = evaluation.tally();
        println!(
            "{}",
            json!({
                "place": arguments.place, "data": arguments.data, "step": step, "loss": evaluation.loss(),
                "perplexity": perplexity, "measures": named, "tokens": tally.tokens, "targets": tally.targets[0],
            })
        );
        return;
    }
    if let Some(step) = step {
        println!("{:16} {step}", "step");
    }
    println!("{:16} {:.4}", "loss", evaluation.loss());
    if let Some(perplexity) = perplexity {
        println!("{:16} {perplexity:.3}", "perplexity");
    }
    for measure in &measures {
        println!("{:16} {:.4}", measure.name, measure.value);
    }
    println!("over {} tokens, {} of them masked", evaluation.tally().tokens, evaluation.tally().targets[0]);
}
