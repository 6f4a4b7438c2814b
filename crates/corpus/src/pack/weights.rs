//! How often the documents of each source are packed. Knows sources by their numbers.

use std::fmt;
use std::sync::Arc;

use plan::Key;

use crate::CorpusError;

/// For each source, how often an epoch takes its documents. Of 2.5, every document is taken twice, and each second one
/// once more; which ones goes round from variant to variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights(Arc<[f64]>);

impl Weights {
    /// The most that a weight may be: nobody wants a document so often in an epoch, and somebody may mean percent.
    pub const MOST: f64 = 50.0;

    /// The weights of sources by their numbers.
    ///
    /// # Errors
    /// [`CorpusError::Invalid`] for a weight that cannot be, or if no document is ever taken.
    pub fn new(weights: Vec<f64>) -> Result<Self, CorpusError> {
        if let Some(weight) = weights.iter().find(|weight| !(0.0..=Self::MOST).contains(*weight)) {
            let reason = format!(
                "a weight is {weight}; it says how often an epoch takes a document, and must lie between 0 and {}",
                Self::MOST
            );
            return Err(CorpusError::Invalid(reason));
        }
        if !weights.is_empty() && weights.iter().all(|&weight| weight == 0.0) {
            return Err(CorpusError::Invalid("all weights are 0, so that nothing is left".into()));
        }
        Ok(Weights(weights.into()))
    }

    /// Whether every document is taken once.
    pub fn are_even(&self) -> bool {
        self.0.iter().all(|&weight| weight == 1.0)
    }

    /// The weight of a source; 1 if nothing was said of it.
    pub fn of(&self, source: u16) -> f64 {
        self.0.get(usize::from(source)).copied().unwrap_or(1.0)
    }

    /// How often a document is taken in a variant.
    pub(super) fn times(&self, source: u16, document: [u8; 16], variant: u32) -> u32 {
        let weight = self.of(source);
        let (whole, part) = (weight.floor(), weight.fract());
        if part == 0.0 {
            return whole as u32;
        }
        let document = u128::from_be_bytes(document);
        let key = Key::root(0).named("weight").index((document >> 64) as u64).index(document as u64);
        // Each step of `part` around a circle of length 1 falls into its first `part` as often as it should, whatever the
        // number of steps: over n variants, n * part times, rounded down or up.
        let at = (key.stream().uniform() + part * f64::from(variant)).fract();
        whole as u32 + u32::from(at < part)
    }
}

/// Weights of the same text pack alike.
impl fmt::Display for Weights {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_taken_as_often_as_their_weight_says() {
        let weights = Weights::new(vec![1.0, 0.25, 2.4, 0.0]).unwrap();
        let documents = (0..4000_u128).map(|number| ((number << 64) | (number * number)).to_be_bytes());
        let taken =
            |source, variant| documents.clone().map(|id| weights.times(source, id, variant)).sum::<u32>();
        assert_eq!((taken(0, 3), taken(3, 0), taken(9, 0)), (4000, 0, 4000));
        for variant in 0..5 {
            let (quarter, more) = (taken(1, variant), taken(2, variant));
            assert!(quarter.abs_diff(1000) < 120 && more.abs_diff(9600) < 120, "{quarter} {more}");
        }
        // Over as many variants as make it whole, each document is taken exactly so often.
        for id in documents {
            assert_eq!((0..4).map(|variant| weights.times(1, id, variant)).sum::<u32>(), 1);
            assert_eq!((0..5).map(|variant| weights.times(2, id, variant)).sum::<u32>(), 12);
        }
    }

    #[test]
    fn weights_that_cannot_be_are_refused() {
        for bad in [-0.1, 51.0, f64::NAN, f64::INFINITY] {
            assert!(Weights::new(vec![1.0, bad]).unwrap_err().to_string().contains("how often"), "{bad}");
        }
        assert!(Weights::new(vec![0.0]).unwrap_err().to_string().contains("nothing is left"));
        assert!(Weights::new(vec![]).unwrap().are_even() && Weights::new(vec![1.0, 1.0]).unwrap().are_even());
    }
}
