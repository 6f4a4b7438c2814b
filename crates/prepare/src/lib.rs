//! Raw corpora to a dataset: files are read and cleaned, duplicates are left out, the rows are sorted into an order that
//! depends on nothing but the seed and the documents' names, and tokenised. The result is the same, byte for byte, for
//! any number of threads and machines, and however often it was interrupted.
//!
//! This room knows no model family, and draws no progress: its caller does.

mod bzip;
mod config;
mod error;
mod input;
pub mod inspect;
mod open;
mod origin;
mod part;
mod pipeline;
mod progress;
mod read;
mod refine;
mod report;
mod same;
mod stages;
mod survey;
mod tally;
mod tasks;
pub mod tokenizer;
mod warc;
mod work;

pub use config::{
    CleanConfig, Config, DatasetConfig, DuplicatesConfig, Format, OnDamage, SourceConfig, TokenizerConfig,
};
pub use error::PrepareError;
pub use pipeline::{Options, Outcome, Summary, run};
pub use progress::{Progress, Silent};
pub use report::{Report, SourceReport};
pub use stages::Waiting;
pub use survey::{SourceSurvey, Survey, survey};
pub use tally::{Damage, Sample, Tally};
pub use tasks::Share;
