//! What can be wrong with text, rows and tokenizers, sorted by what the caller must do. Knows no file names: who
//! read the bytes adds them.

use thiserror::Error;

/// An error of the corpus room.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum CorpusError {
    /// A tokenizer that cannot be used. The user must name another one.
    #[error("the tokenizer cannot be used: {0}")]
    Tokenizer(String),
    /// A wish that no data can fulfil: a sample length or vocabulary that is too small. The user must change it.
    #[error("{0}")]
    Invalid(String),
    /// Rows that break the rules of the format. The data must not be used.
    #[error("row {row}: {reason}")]
    Row {
        /// The row inside its block.
        row: usize,
        /// Which rule it breaks.
        reason: String,
    },
    /// Columns that are missing or have another type. The data is of another format.
    #[error("not a {table} table: {reason}")]
    Schema {
        /// `tokens` or `docs`.
        table: &'static str,
        /// Which column, and what is wrong with it.
        reason: String,
    },
}
