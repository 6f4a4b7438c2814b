//! A sample to an example: special tokens around the segments, then masking of n-grams. Pure; knows no network.

use corpus::Sample;
use plan::Key;

use super::config::Albert;
use crate::Example;
use crate::common::masking::Candidates;

impl Albert {
    /// `[CLS] A [SEP] B [SEP]`, masked.
    pub(super) fn masked(&self, sample: &Sample, key: Key) -> Example {
        let specials = self.core.specials();
        let framed = self.core.objective.frame(sample, specials);
        let ordinary = framed.ordinary(specials);
        let begins = |id| self.core.begins_word(id);
        let masked = self.ngrams.apply(framed.ids, Candidates::Only(&ordinary), begins, &mut key.stream());
        Example {
            input_ids: masked.input_ids,
            second_segment: framed.second_segment,
            target_positions: masked.target_positions,
            target_ids: masked.target_ids,
            relation: sample.relation.map(|relation| relation.label()),
            span_targets: Vec::new(),
        }
    }
}
