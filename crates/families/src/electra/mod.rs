//! ELECTRA (Clark et al. 2020, arXiv:2003.10555): a small generator fills in masked tokens, and the model, a
//! discriminator, tells at every position whether the token is the original.
//!
//! The loss of a micro-batch is the generator's mean of -log p(original | masked sequence) over the masked positions
//! plus 50 times the discriminator's mean binary cross entropy over all tokens. What the generator samples passes no
//! gradient. Both share the embeddings. The reference is google-research/electra (`run_pretraining.py`,
//! `pretrain/pretrain_helpers.py`, `model/modeling.py`), the names are those of Hugging Face Transformers behind
//! `generator.` and `discriminator.`.

mod config;
mod objective;
mod parameters;

#[cfg(feature = "torch")]
mod loss;
#[cfg(feature = "torch")]
mod net;
#[cfg(test)]
mod tests;

use crate::Family;

/// The registry's line.
pub const FAMILY: Family = Family { name: "electra", parse: config::parse, open: config::open };
