//! A sample to an example: special tokens around the segments, then dynamic masking. Pure; knows no network.

use corpus::Sample;
use plan::Key;

use super::config::Roberta;
use crate::Example;
use crate::common::masking::Candidates;

impl Roberta {
    /// `<s> segment </s> segment … </s>`, masked.
    pub(super) fn masked(&self, sample: &Sample, key: Key) -> Example {
        let specials = &self.specials;
        let mut ids = Vec::with_capacity(sample.ids.len() + sample.ends.len() + 1);
        ids.push(specials.bos);
        for segment in sample.segments() {
            ids.extend_from_slice(segment);
            ids.push(specials.eos);
        }
        let mut stream = key.stream();
        if self.mask_specials {
            return self.masking.apply(ids, Candidates::All, &mut stream);
        }
        let is_text = |&(_, &id): &(usize, &u32)| id != specials.bos && id != specials.eos;
        let text: Vec<u32> =
            ids.iter().enumerate().filter(is_text).map(|(position, _)| position as u32).collect();
        self.masking.apply(ids, Candidates::Only(&text), &mut stream)
    }
}
