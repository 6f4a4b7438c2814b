//! What a dataset holds, for people: documents and samples drawn by chance, and what a tokenizer makes of a text. Knows
//! nothing of terminals.

use corpus::{DocRow, Encoder, PackFormat, PackSpec, PackSwitches, Relation, Tokenizer};
use plan::{Key, Permutation};
use serde::Serialize;
use store::Dataset;

use crate::PrepareError;

/// A document, or a chunk of one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownDocument {
    /// The document's source.
    pub source: String,
    /// The document's key in its source.
    pub key: String,
    /// Which chunk of it this is.
    pub chunk: u32,
    /// Its title.
    pub title: Option<String>,
    /// Its address.
    pub url: Option<String>,
    /// Its date.
    pub date: Option<String>,
    /// Its language.
    pub language: Option<String>,
    /// Its sentences.
    pub sentences: Vec<String>,
}

/// A training sample without special tokens and masks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownSample {
    /// The block that it is from.
    pub block: usize,
    /// Which of the block's samples it is.
    pub index: usize,
    /// The tokens of its segments, as the vocabulary spells them.
    pub segments: Vec<Vec<String>>,
    /// How its two segments stand to each other, where the model is asked about it.
    pub relation: Option<String>,
}

/// Which samples are to be shown.
#[derive(Clone, Debug)]
pub struct SampleWish {
    /// The rule of packing, as in `objective.format`.
    pub format: String,
    /// The greatest length of a sample.
    pub max_len: u32,
    /// `nsp` or `sop`, for pairs.
    pub pair_task: Option<String>,
    /// Which way of packing.
    pub variant: u32,
}

/// `count` rows that are drawn by chance, of one source if one is named.
///
/// # Errors
/// If the dataset cannot be read.
pub async fn documents(
    dataset: &Dataset,
    count: usize,
    source: Option<&str>,
    seed: u64,
) -> Result<Vec<ShownDocument>, PrepareError> {
    let mut shown = Vec::new();
    let (blocks, each) = drawn(dataset, count, seed);
    for block in blocks {
        if shown.len() >= count {
            break;
        }
        let rows = dataset.documents(block).await?;
        let order = Permutation::new(rows.len() as u64, Key::root(seed).named("rows").index(block as u64));
        let drawn = (0..order.len()).map(|turn| &rows[order.apply(turn) as usize]);
        let wanted = drawn.filter(|row| source.is_none_or(|source| row.source == source));
        let left = count - shown.len();
        // With a source named, blocks may have few rows of it.
        let most = if source.is_some() { left } else { each.min(left) };
        shown.extend(wanted.take(most).map(document));
    }
    Ok(shown)
}

/// The blocks in a random order, and how much to take of each, so that it comes from all over the dataset.
fn drawn(dataset: &Dataset, count: usize, seed: u64) -> (impl Iterator<Item = usize>, usize) {
    let order = Permutation::new(dataset.blocks() as u64, Key::root(seed).named("inspect"));
    let each = count.div_ceil(dataset.blocks().max(1)).max(1);
    ((0..order.len()).map(move |turn| order.apply(turn) as usize), each)
}

fn document(row: &DocRow) -> ShownDocument {
    ShownDocument {
        source: row.source.clone(),
        key: row.key.clone(),
        chunk: row.chunk,
        title: row.title.clone(),
        url: row.url.clone(),
        date: row.date.clone(),
        language: row.language.clone(),
        sentences: row.sentences().map(|sentence| sentence.trim_start().to_owned()).collect(),
    }
}

/// `count` samples that are drawn by chance.
///
/// # Errors
/// If there is no such way of packing, or the dataset cannot be read.
pub async fn samples(
    dataset: &Dataset,
    wish: &SampleWish,
    count: usize,
    seed: u64,
) -> Result<Vec<ShownSample>, PrepareError> {
    let spec = spec(wish)?;
    let tokenizer = dataset.tokenizer().await?;
    let mut shown = Vec::new();
    let (blocks, each) = drawn(dataset, count, seed);
    for number in blocks {
        if shown.len() >= count {
            break;
        }
        let block = dataset.block(number).await?;
        let layout = corpus::layout(block.sentence_lens(), &spec, wish.variant);
        let order =
            Permutation::new(layout.len() as u64, Key::root(seed).named("samples").index(number as u64));
        for turn in (0..order.len()).take(each.min(count - shown.len())) {
            let index = order.apply(turn) as usize;
            let sample = block.sample(layout.sample(index));
            let spelled = |ids: &[u32]| {
                ids.iter().map(|&id| tokenizer.token(id).unwrap_or_else(|| format!("#{id}"))).collect()
            };
            let segments = sample.segments().map(spelled).collect();
            let relation = sample.relation.map(relation);
            shown.push(ShownSample { block: number, index, segments, relation });
        }
    }
    Ok(shown)
}

fn relation(relation: Relation) -> String {
    match relation {
        Relation::Next => "next",
        Relation::Random => "random",
        Relation::InOrder => "in order",
        Relation::Swapped => "swapped",
    }
    .to_owned()
}

/// A way of packing, from what a person has written.
fn spec(wish: &SampleWish) -> Result<PackSpec, PrepareError> {
    let place = "--format";
    let wrong = |error: serde_json::Error| PrepareError::input(place, error.to_string());
    let quoted = |text: &str| serde_json::Value::String(text.to_owned());
    let format: PackFormat = serde_json::from_value(quoted(&wish.format)).map_err(wrong)?;
    let pair_task = wish.pair_task.as_deref().map(|task| serde_json::from_value(quoted(task)));
    let switches =
        PackSwitches { pair_task: pair_task.transpose().map_err(wrong)?, ..PackSwitches::default() };
    PackSpec::with(format, wish.max_len, &switches)
        .map_err(|error| PrepareError::input(place, error.to_string()))
}

/// A token of a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownToken {
    /// Its number in the vocabulary.
    pub id: u32,
    /// How the vocabulary spells it.
    pub token: String,
}

/// What a tokenizer makes of a text, without special tokens.
pub fn encode(tokenizer: &Tokenizer, encoder: &mut Encoder, text: &str) -> Vec<ShownToken> {
    let mut ids = Vec::new();
    encoder.encode(text, &mut ids);
    ids.into_iter().map(|id| ShownToken { id, token: tokenizer.token(id).unwrap_or_default() }).collect()
}
