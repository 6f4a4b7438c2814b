//! A sample to an example: special tokens around the segments, then masking with replacement. What stands at the masked
//! positions for the discriminator is drawn later, by the generator. Pure; knows no network.

use corpus::Sample;
use plan::Key;

use super::config::Electra;
use crate::Example;
use crate::common::masking::{Candidates, positions};

impl Electra {
    /// `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, masked.
    pub(super) fn masked(&self, sample: &Sample, key: Key) -> Example {
        let specials = self.core.specials();
        let framed = self.core.objective.frame(sample, specials);
        // `get_candidates_mask` of `pretrain_helpers.py`: a text that spells the mask token is left alone.
        let never = [specials.bos, specials.eos, specials.mask, specials.pad];
        let candidates = positions(&framed.ids, |id| !never.contains(&id));
        let masked = self.draws.apply(framed.ids, Candidates::Only(&candidates), &mut key.stream());
        Example {
            input_ids: masked.input_ids,
            second_segment: framed.second_segment,
            target_positions: masked.target_positions,
            target_ids: masked.target_ids,
            ..Example::default()
        }
    }
}
