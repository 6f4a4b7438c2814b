//! A sample to an example: special tokens around the segments, then dynamic masking. Pure; knows no network.

use corpus::Sample;
use plan::Key;

use super::config::Roberta;
use crate::Example;
use crate::common::masking::Candidates;

impl Roberta {
    /// `<s> segment </s> segment … </s>`, or `<s> A </s></s> B </s>`, masked.
    pub(super) fn masked(&self, sample: &Sample, key: Key) -> Example {
        let specials = self.core.specials();
        let framed = self.core.objective.frame(sample, specials);
        let text = if self.mask_specials { Vec::new() } else { framed.ordinary(specials) };
        let candidates = if self.mask_specials { Candidates::All } else { Candidates::Only(&text) };
        let masked = self.masking.apply(framed.ids, candidates, &mut key.stream());
        Example {
            input_ids: masked.input_ids,
            target_positions: masked.target_positions,
            target_ids: masked.target_ids,
            relation: sample.relation.map(|relation| relation.label()),
            ..Example::default()
        }
    }
}
