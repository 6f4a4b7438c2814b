//! RoBERTa (Liu et al. 2019, arXiv:1907.11692): BERT's encoder trained on masked tokens alone.
//!
//! The objective is the mean of -log p(original | masked sequence) over all masked positions of a step. What differs
//! from BERT: no next-sentence task and no segments, sequences of full sentences that may run over the ends of
//! documents, masks drawn anew every epoch, special tokens masked like any other, byte-level BPE. The paper's ablation
//! (§4.2) has pairs with the next-sentence task as well: formats `segment-pair` and `sentence-pair`. The reference is
//! fairseq (`examples/roberta`), the names are those of Hugging Face Transformers.

mod config;
mod objective;

#[cfg(feature = "torch")]
mod net;
#[cfg(test)]
mod tests;

use crate::Family;

/// The registry's line.
pub const FAMILY: Family = Family { name: "roberta", parse: config::parse, open: config::open };
