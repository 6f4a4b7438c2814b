//! `cloze tokenizer`: tokenizers apart from a preparation.

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use prepare::inspect::encode;
use prepare::tokenizer::{Tokenizer, TokenizerKind, TrainSpec, load, train};
use serde_json::json;
use store::Dataset;

use crate::bars::{Bars, parse_bytes};
use crate::failure::Failure;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cloze tokenizer train data/books --kind word-piece --vocab-size 30522 --lowercase --out tokenizer.json
  cloze tokenizer import vocab.json merges.txt --out tokenizer.json
  cloze tokenizer encode tokenizer.json --text 'Hello there.'
  cloze tokenizer inspect spiece.model")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a tokenizer on the texts of a dataset.
    #[command(
        after_help = "Example: cloze tokenizer train data/books --kind unigram --vocab-size 30000 --out t.json"
    )]
    Train {
        /// The dataset: a path or URL.
        dataset: String,
        /// Which kind.
        #[arg(long)]
        kind: Kind,
        /// How many tokens, special ones included.
        #[arg(long)]
        vocab_size: u32,
        /// Letters lose their case (WordPiece and Unigram).
        #[arg(long)]
        lowercase: bool,
        /// About how much text to train on.
        #[arg(long, value_parser = parse_bytes, default_value = "100M")]
        train_bytes: u64,
        /// Where the tokenizer.json goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// Turn the files of a tokenizer into a tokenizer.json.
    #[command(after_help = "Example: cloze tokenizer import vocab.txt --lowercase --out t.json")]
    Import {
        #[command(flatten)]
        files: Files,
        /// Where the tokenizer.json goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// Show the tokens of a text; without --text, of what comes in on standard input.
    #[command(after_help = "Example: cloze tokenizer encode tokenizer.json --text 'Hello there.'")]
    Encode {
        #[command(flatten)]
        files: Files,
        /// The text.
        #[arg(long)]
        text: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what a tokenizer is.
    #[command(after_help = "Example: cloze tokenizer inspect tokenizer.json")]
    Inspect {
        #[command(flatten)]
        files: Files,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Files {
    /// tokenizer.json; vocab.txt; vocab.json and merges.txt; encoder.json, vocab.bpe and dict.txt; or a .model.
    #[arg(required = true)]
    files: Vec<String>,
    /// A vocab.txt is of a model without case.
    #[arg(long)]
    lowercase: bool,
}

impl Files {
    fn load(&self) -> Result<Tokenizer, Failure> {
        Ok(load(&self.files, self.lowercase.then_some(true))?)
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    WordPiece,
    ByteLevelBpe,
    Unigram,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Train { dataset, kind, vocab_size, lowercase, train_bytes, out } => {
            let kind = match kind {
                Kind::WordPiece => TokenizerKind::WordPiece,
                Kind::ByteLevelBpe => TokenizerKind::ByteLevelBpe,
                Kind::Unigram => TokenizerKind::Unigram,
            };
            let dataset = Dataset::open(&dataset).await?;
            let bars = Bars::new();
            let spec = TrainSpec { kind, vocab_size, lowercase };
            let trained = train(&dataset, &spec, train_bytes, &bars).await;
            bars.finish();
            write(&out, &trained?)
        }
        Command::Import { files, out } => write(&out, &files.load()?),
        Command::Encode { files, text, json } => show(&files.load()?, text, json),
        Command::Inspect { files, json } => {
            describe(&files.load()?, json);
            Ok(())
        }
    }
}

fn write(out: &PathBuf, tokenizer: &Tokenizer) -> Result<(), Failure> {
    std::fs::write(out, tokenizer.json())
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", out.display())))?;
    println!(
        "tokenizer {} of {} tokens written to {}",
        tokenizer.hash(),
        tokenizer.vocab_size(),
        out.display()
    );
    Ok(())
}

fn show(tokenizer: &Tokenizer, text: Option<String>, json: bool) -> Result<(), Failure> {
    let text = match text {
        Some(text) => text,
        None => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Failure::bad_input(format!("standard input cannot be read: {error}")))?;
            text
        }
    };
    let tokens = encode(tokenizer, &mut tokenizer.encoder(), &text);
    match json {
        true => println!("{}", json!(tokens)),
        false => tokens.iter().for_each(|shown| println!("{}\t{}", shown.id, shown.token)),
    }
    Ok(())
}

fn describe(tokenizer: &Tokenizer, json: bool) {
    let specials = tokenizer.specials();
    let spelled = |id: u32| tokenizer.token(id).unwrap_or_default();
    let specials = [
        ("begin", specials.bos),
        ("end", specials.eos),
        ("pad", specials.pad),
        ("unknown", specials.unk),
        ("mask", specials.mask),
    ];
    let starts = (0..tokenizer.vocab_size()).filter(|&id| tokenizer.word_start(id)).count();
    if json {
        let specials: serde_json::Map<String, serde_json::Value> = specials
            .iter()
            .map(|&(name, id)| (name.to_owned(), json!({"id": id, "token": spelled(id)})))
            .collect();
        let hash = tokenizer.hash();
        let size = tokenizer.vocab_size();
        println!(
            "{}",
            json!({"hash": hash, "vocab_size": size, "word_starts": starts, "specials": specials})
        );
        return;
    }
    println!(
        "tokenizer {}, {} tokens, {starts} of them begin words",
        tokenizer.hash(),
        tokenizer.vocab_size()
    );
    for (name, id) in specials {
        println!("  {name}: {} ({id})", spelled(id));
    }
}
