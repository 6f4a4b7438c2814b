//! Raw corpora to a dataset: lists the inputs, trains a tokenizer if asked to, cleans and tokenises the documents,
//! and writes their chunks in an order that depends on nothing but the seed and the documents' names. The result is
//! the same, byte for byte, for any number of threads.
//!
//! This room knows no model family, and draws no progress: its caller does.

mod config;
mod error;
mod input;
mod pipeline;
mod progress;
mod reader;
mod spill;
mod train;

pub use config::{Config, DatasetConfig, Format, SourceConfig, TokenizerConfig, TokenizerKind};
pub use error::PrepareError;
pub use pipeline::{Options, Report, run};
pub use progress::{Progress, Silent};
