//! What several families have in common because it is the same mathematics. Knows no family.

pub mod masking;
pub mod normal;
pub mod shapes;

#[cfg(feature = "torch")]
pub mod attention;
#[cfg(feature = "torch")]
pub mod dropout;
#[cfg(feature = "torch")]
pub mod encoder;
#[cfg(feature = "torch")]
pub mod heads;
