//! Predictions for masked words.

use clap::Args;
use store::Tokenizer;

use crate::subject::{self, Need, Opened};

#[derive(Debug, Args)]
pub struct Arguments {
    /// A Hugging Face directory, or a run.
    directory: String,
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

/// The exit code and what to say.
type Failure = (u8, String);

/// Predicts. On failure: the exit code and what to say.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| (1, format!("cannot start: {error}")))?;
    let Opened { model, tokenizer, .. } = subject::open(&runtime, &arguments.directory, Need::Predictions)?;
    let ids = encode(&tokenizer, &arguments.text)?;
    let predictions = model.predict(&ids).map_err(|error| (2, error.to_string()))?;
    if arguments.logits {
        let rows: Vec<&[f32]> = predictions.logits.chunks(predictions.vocabulary).collect();
        let replaced = model.replaced(&ids).map_err(|error| (2, error.to_string()))?;
        println!("{}", serde_json::json!({"ids": ids, "logits": rows, "replaced": replaced}));
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
