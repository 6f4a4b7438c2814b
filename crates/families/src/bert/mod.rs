//! BERT (Devlin et al. 2019, arXiv:1810.04805): a bidirectional encoder trained on masked tokens and on whether two
//! segments follow one another.
//!
//! The loss of a micro-batch is the mean of -log p(original | masked sequence) over its masked positions plus the mean
//! of -log p(relation | first token) over its pairs. Masks are drawn once per copy of the corpus, `dupe_factor` copies
//! in all; whole words are masked together on demand. The reference is google-research/bert
//! (`create_pretraining_data.py`, `run_pretraining.py`, `optimization.py`), the names are those of Hugging Face
//! Transformers.

mod config;
mod objective;

#[cfg(feature = "torch")]
mod net;
#[cfg(test)]
mod tests;

use crate::Family;

/// The registry's line.
pub const FAMILY: Family = Family { name: "bert", parse: config::parse, open: config::open };
