//! SpanBERT (Joshi et al. 2020, arXiv:1907.10529): BERT on single segments whose masks are whole spans, with a second
//! head that guesses each token of a span from the two tokens around it.
//!
//! The loss of a micro-batch is the mean of -log p(original | masked sequence) over its masked positions plus the mean of
//! -log p(original | left end, right end, place in the span) over the tokens of its spans. The reference is
//! facebookresearch/SpanBERT (`pretraining/fairseq`), the names are those of `BertForMaskedLM` in Hugging Face
//! Transformers, and `sbo.` before those of the second head, which it does not know.

mod config;
mod objective;

#[cfg(feature = "torch")]
mod loss;
#[cfg(feature = "torch")]
mod net;
#[cfg(test)]
mod tests;

use crate::Family;

/// The registry's line.
pub const FAMILY: Family = Family { name: "spanbert", parse: config::parse, open: config::open };
