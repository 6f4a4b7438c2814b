//! From bytes to samples: documents, clean text, sentences, token ids, rows of Arrow batches, and the packing of
//! rows into training samples. All of it is pure: the same input gives the same output, on any machine.
//!
//! This room knows neither files nor storage nor threads, and no model family: samples come without special
//! tokens, masks or labels.

mod batch;
mod block;
mod chunk;
mod clean;
mod document;
mod error;
mod pack;
mod sentence;
mod tokenizer;

pub use batch::{
    DocText, IdWidth, Row, doc_texts, docs_batch, docs_schema, flags, sentence_lens, tokens_batch,
    tokens_schema,
};
pub use block::{Block, BlockBuilder, SentenceLens};
pub use chunk::{Chunk, Tokenised, chunks, tokenise};
pub use clean::{Paragraphs, clean, decode};
pub use document::Document;
pub use error::CorpusError;
pub use pack::{Layout, PackFormat, PackSpec, Sample, Segment, layout, sample_count};
pub use sentence::split;
pub use tokenizer::{Encoder, Specials, Tokenizer, Vocabulary, WordCounts, train_byte_level_bpe};
