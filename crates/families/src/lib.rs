//! What to learn from a sample: one folder per model family with its configuration, its objective and, behind the
//! feature `torch`, its network and its loss. The registry is how the other rooms get at them.
//!
//! This room knows no files, no clock and no processes. It knows neither optimizers nor clusters: a family says
//! which tensors exist and what the loss is, and others move the tensors.

mod albert;
mod bert;
mod common;
mod electra;
mod example;
mod parameter;
mod recipe;
mod registry;
mod roberta;
mod settings;
mod spanbert;

#[cfg(feature = "torch")]
mod network;
#[cfg(feature = "torch")]
mod tape;

pub use example::{Example, HostBatch, SpanTarget, SpanTargets};
#[cfg(feature = "torch")]
pub use network::{Draws, Losses, Network, Parameters, Ratio, TermSum};
pub use parameter::{Init, ParameterSpec};
pub use recipe::{Export, ExportFile, ExportTensor, Normaliser, Recipe, Term};
pub use registry::{FAMILIES, Family, RecipeResult, find, find_exported};
#[cfg(feature = "torch")]
pub use tape::Tape;
