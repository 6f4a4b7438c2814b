//! From bytes to samples: documents, clean text, sentences, token ids, rows of Arrow batches, and the packing of
//! rows into training samples. All of it is pure: the same input gives the same output, on any machine.
//!
//! This room knows neither files nor storage nor threads, and no model family: samples come without special
//! tokens, masks or labels.

mod batch;
mod block;
pub mod book;
mod chunk;
mod clean;
mod document;
mod error;
pub mod html;
pub mod language;
pub mod normal;
mod pack;
pub mod quality;
mod sentence;
pub mod similar;
mod tokenizer;
pub mod wiki;

pub use batch::{
    DocRow, IdWidth, TokenRow, doc_rows, docs_batch, docs_schema, flags, sentence_lens, tokens_batch,
    tokens_schema,
};
pub use block::{Block, BlockBuilder, SentenceLens};
pub use chunk::{Chunk, chunks, tokenise};
pub use clean::{Paragraphs, clean, decode};
pub use document::{Document, doc_id};
pub use error::CorpusError;
pub use pack::{
    Layout, LoneSentence, LongSentences, PackFormat, PackSpec, PackSwitches, PairTask, Placement, Relation,
    Sample, Segment, Weights, layout, sample_count,
};
pub use sentence::{split, split_in};
pub use tokenizer::{
    Encoder, Specials, Tokenizer, TokenizerKind, TrainSpec, Vocabulary, WordCounts, train_byte_level_bpe,
};
