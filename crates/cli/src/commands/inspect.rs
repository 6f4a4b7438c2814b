//! `cloze inspect`: what a dataset holds.

use std::sync::Arc;

use clap::Args;
use families::Recipe;
use prepare::inspect::{SampleWish, ShownDocument, ShownSample, documents, samples};
use serde_json::json;
use store::Dataset;

use crate::failure::Failure;
use crate::show::thousands;
use crate::{job, seen};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cloze inspect data/books
  cloze inspect data/books --documents 10 --source books
  cloze inspect data/books --samples 3 --format segment-pair --max-len 128
  cloze inspect data/books --samples 3 --config run.toml")]
pub struct Arguments {
    /// The dataset: a path or URL.
    dataset: String,
    /// Show so many documents, drawn by chance.
    #[arg(long, default_value_t = 0)]
    documents: usize,
    /// Only documents of this source.
    #[arg(long)]
    source: Option<String>,
    /// Show so many samples, drawn by chance: the bare text, unless --family or --config says who looks at it.
    #[arg(long, default_value_t = 0)]
    samples: usize,
    /// How samples are packed: full-sentences, doc-sentences, sentence-pair, segment-pair, segment-halves, span-blocks.
    #[arg(long, default_value = "full-sentences")]
    format: String,
    /// What pairs ask: nsp or sop.
    #[arg(long)]
    pair_task: Option<String>,
    /// The greatest length of a sample.
    #[arg(long, default_value_t = 128)]
    max_len: u32,
    /// Which way of packing.
    #[arg(long, default_value_t = 0)]
    variant: u32,
    /// Another one draws other documents and samples.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Show samples as this model family sees them, with its own settings: masks, segments and what is asked.
    #[arg(long, conflicts_with = "config")]
    family: Option<String>,
    /// Show samples as the model of this run sees them (the run's last phase).
    #[arg(long, value_name = "RUN.toml")]
    config: Option<std::path::PathBuf>,
    /// Which epoch's masks, with --family or --config.
    #[arg(long, default_value_t = 0)]
    epoch: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let dataset = Dataset::open(&arguments.dataset).await?;
    if let Some(recipe) = recipe(&arguments, &dataset)? {
        return show_seen(&arguments, &dataset, recipe.as_ref()).await;
    }
    let source = arguments.source.as_deref();
    let shown = documents(&dataset, arguments.documents, source, arguments.seed).await?;
    let Arguments { format, max_len, pair_task, variant, seed, .. } = arguments;
    let wish = SampleWish { format, max_len, pair_task, variant };
    let packed = match arguments.samples {
        0 => Vec::new(),
        count => samples(&dataset, &wish, count, seed).await?,
    };
    let manifest = dataset.manifest();
    if arguments.json {
        println!(
            "{}",
            json!({
                "dataset": manifest.hash, "docs": manifest.docs_hash, "tokenizer": manifest.tokenizer.hash,
                "vocab_size": manifest.tokenizer.vocabulary.size, "totals": manifest.totals,
                "sources": manifest.sources, "dropped": manifest.dropped, "documents": shown, "samples": packed,
            })
        );
        return Ok(());
    }
    if shown.is_empty() && packed.is_empty() {
        print_summary(&dataset);
    }
    shown.iter().for_each(print_document);
    packed.iter().for_each(print_sample);
    Ok(())
}

/// The recipe that samples are to be shown with, if one was asked for.
fn recipe(arguments: &Arguments, dataset: &Dataset) -> Result<Option<Arc<dyn Recipe>>, Failure> {
    if let Some(family) = &arguments.family {
        return seen::own_recipe(family, arguments.max_len, dataset).map(Some);
    }
    let Some(path) = &arguments.config else { return Ok(None) };
    let plan = job::read_plan(path, &[])?.plan;
    let family = families::find(&plan.model.family)?;
    let last = plan.phases().pop().map_or(plan, |phase| phase.plan);
    Ok(Some((family.parse)(&last, &path.display().to_string(), &dataset.vocabulary())?))
}

async fn show_seen(arguments: &Arguments, dataset: &Dataset, recipe: &dyn Recipe) -> Result<(), Failure> {
    let Arguments { samples, epoch, variant, seed, .. } = *arguments;
    let shown = seen::seen(dataset, recipe, samples.max(1), epoch, variant, seed).await?;
    match arguments.json {
        true => {
            let shown: Vec<_> = shown.iter().map(seen::SeenSample::json).collect();
            println!("{}", json!({"dataset": dataset.hash(), "samples": shown}));
        }
        false => shown.iter().for_each(seen::print),
    }
    Ok(())
}

fn print_summary(dataset: &Dataset) {
    let manifest = dataset.manifest();
    let (totals, count) = (manifest.totals, |number: u64| thousands(number as f64));
    println!("dataset    {}", manifest.hash);
    println!("texts      {}", manifest.docs_hash);
    println!("tokenizer  {}, {} tokens", manifest.tokenizer.hash, manifest.tokenizer.vocabulary.size);
    println!(
        "{} documents, {} rows, {} bytes of text, {} tokens, {} blocks in {} shards",
        count(totals.documents),
        count(totals.rows),
        count(totals.bytes),
        count(totals.tokens),
        count(totals.blocks),
        manifest.shards.len()
    );
    for source in &manifest.sources {
        println!(
            "  {}: {} documents, {} bytes, weight {}",
            source.name,
            count(source.documents),
            count(source.bytes),
            source.weight
        );
    }
    for (reason, number) in &manifest.dropped {
        println!("  left out: {} documents, {reason}", count(*number));
    }
}

fn print_document(document: &ShownDocument) {
    println!("── {} {} (chunk {})", document.source, document.key, document.chunk);
    for (name, value) in [
        ("title", &document.title),
        ("url", &document.url),
        ("date", &document.date),
        ("language", &document.language),
    ] {
        if let Some(value) = value {
            println!("   {name}: {value}");
        }
    }
    for sentence in &document.sentences {
        println!("{sentence}");
    }
    println!();
}

fn print_sample(sample: &ShownSample) {
    let relation = sample.relation.as_ref().map(|relation| format!(", {relation}")).unwrap_or_default();
    println!("── block {}, sample {}{relation}", sample.block, sample.index);
    for segment in &sample.segments {
        println!("{}", segment.join(" "));
    }
    println!();
}
