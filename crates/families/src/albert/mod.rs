//! ALBERT (Lan et al. 2020, arXiv:1909.11942): BERT with factorised embeddings, layers that share their parameters, and
//! the order of two segments to guess.
//!
//! The loss of a micro-batch is the mean of -log p(original | masked sequence) over its masked positions plus the mean
//! of -log p(order | first token) over its pairs. Runs of up to three words are masked together, p(n) ∝ 1/n. Words
//! have vectors of width E, which a dense layer takes to the width H of the encoder. The reference is
//! google-research/albert (`modeling.py`, `create_pretraining_data.py`, `run_pretraining.py`), the names are those of
//! Hugging Face Transformers.

mod config;
mod objective;

#[cfg(feature = "torch")]
mod net;
#[cfg(test)]
mod tests;

use crate::Family;

/// The registry's line.
pub const FAMILY: Family = Family { name: "albert", parse: config::parse, open: config::open };
