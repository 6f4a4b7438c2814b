//! What several families have in common because it is the same mathematics. Knows no family.

pub mod core;
pub mod export;
pub mod masking;
pub mod model;
pub mod normal;
pub mod objective;
pub mod shapes;

#[cfg(feature = "torch")]
pub mod attention;
#[cfg(feature = "torch")]
pub mod dropout;
#[cfg(feature = "torch")]
pub mod embeddings;
#[cfg(feature = "torch")]
pub mod encoder;
#[cfg(feature = "torch")]
pub mod heads;
#[cfg(feature = "torch")]
pub mod pretraining;
#[cfg(feature = "torch")]
pub mod trunk;

#[cfg(test)]
pub mod testing;
