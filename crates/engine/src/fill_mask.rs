//! Predictions for masked words, with a model in a Hugging Face directory.

use std::path::PathBuf;

use clap::Args;
use store::{Location, Tokenizer};
use trainer::Model;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The directory: config.json, model.safetensors, tokenizer.json.
    directory: PathBuf,
    /// A text with <mask> or [MASK] in it.
    text: String,
    /// Predictions per mask.
    #[arg(long, default_value_t = 5)]
    top: usize,
    /// Print JSON; with every logit of every mask if `--logits` is given too.
    #[arg(long)]
    json: bool,
    /// Print the logits of the whole sequence as JSON instead of predictions.
    #[arg(long)]
    logits: bool,
}

type Failure = (u8, String);

/// Predicts. On failure: the exit code and what to say.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| (1, format!("cannot start: {error}")))?;
    let (model, tokenizer) = runtime.block_on(open(&arguments.directory))?;
    let ids = encode(&tokenizer, &arguments.text)?;
    let predictions = model.predict(&ids).map_err(|error| (2, error.to_string()))?;
    if arguments.logits {
        let rows: Vec<&[f32]> = predictions.logits.chunks(predictions.vocabulary).collect();
        println!("{}", serde_json::json!({"ids": ids, "logits": rows}));
        return Ok(());
    }
    let mask = i64::from(tokenizer.specials().mask);
    for (position, _) in ids.iter().enumerate().filter(|(_, id)| **id == mask) {
        let best = predictions.best(position, arguments.top);
        let best: Vec<(String, f64)> =
            best.into_iter().map(|(id, share)| (tokenizer.decode(&[id]), share)).collect();
        if arguments.json {
            let rows =
                best.iter().map(|(token, share)| serde_json::json!({"token": token, "probability": share}));
            println!(
                "{}",
                serde_json::json!({"position": position, "predictions": rows.collect::<Vec<_>>()})
            );
        } else {
            for (token, share) in best {
                println!(
                    "{:>6.1} %  {}",
                    share * 100.0,
                    arguments.text.replacen(shown_mask(&arguments.text), token.trim(), 1)
                );
            }
        }
    }
    Ok(())
}

async fn open(directory: &std::path::Path) -> Result<(Model, Tokenizer), Failure> {
    let shown = directory.display().to_string();
    if !directory.is_dir() {
        return Err((
            2,
            format!("there is no directory {shown}; write one with `cloze export RUN --to DIR`"),
        ));
    }
    let bad = |error: store::StoreError| (2, error.to_string());
    let at = Location::open(&shown).map_err(bad)?;
    let config = at.get("config.json").await.map_err(bad)?;
    let config: serde_json::Value = serde_json::from_slice(&config)
        .map_err(|error| (2, format!("{shown}/config.json is not JSON: {error}")))?;
    let tokenizer = store::get_tokenizer(&at, "tokenizer.json").await.map_err(bad)?;
    let family = config["model_type"].as_str().unwrap_or_default();
    let family = families::find(family).map_err(|error| (2, format!("{shown}/config.json: {error}")))?;
    let source = format!("{shown}/config.json");
    let recipe =
        (family.open)(&config, &source, tokenizer.vocabulary()).map_err(|error| (2, error.to_string()))?;
    let mut model = Model::new(recipe.as_ref(), tch::Device::Cpu).map_err(|error| (1, error.to_string()))?;
    for tensor in store::get_safetensors(&at, "model.safetensors").await.map_err(bad)? {
        model.load(&tensor.name, &tensor.bytes).map_err(|error| (2, format!("{shown}: {error}")))?;
    }
    model.finish_load().map_err(|error| (2, format!("{shown}: {error}")))?;
    Ok((model, tokenizer))
}

const MASKS: [&str; 2] = ["<mask>", "[MASK]"];

fn shown_mask(text: &str) -> &'static str {
    MASKS.into_iter().find(|mask| text.contains(mask)).unwrap_or(MASKS[0])
}

/// The text as the model sees it: beginning and end marked, masks in place.
fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<i64>, Failure> {
    let mask = shown_mask(text);
    let specials = tokenizer.specials();
    let mut ids = vec![specials.bos];
    let mut pieces = text.split(mask).peekable();
    if !text.contains(mask) {
        return Err((2, format!("the text has no mask in it; write {} where a word is missing", MASKS[0])));
    }
    while let Some(piece) = pieces.next() {
        let last = pieces.peek().is_none();
        // The mask stands for the word and the space before it, as in training.
        let piece = if last { piece } else { piece.strip_suffix(' ').unwrap_or(piece) };
        ids.extend(tokenizer.encode_sentence(piece));
        if !last {
            ids.push(specials.mask);
        }
    }
    ids.push(specials.eos);
    Ok(ids.into_iter().map(i64::from).collect())
}
