//! A sample to an example: special tokens around the segment, masking of spans, and the targets of their boundaries.
//! Pure; knows no network.

use corpus::Sample;
use plan::Key;

use super::config::SpanBert;
use crate::common::masking::{Candidates, Masked};
use crate::{Example, SpanTarget};

impl SpanBert {
    /// `[CLS] segment [SEP]`, masked. Random tokens come from `neighbours`.
    pub(super) fn masked(&self, sample: &Sample, neighbours: &[u32], key: Key) -> Example {
        let specials = self.core.specials();
        let framed = self.core.objective.frame(sample, specials);
        let ordinary = framed.ordinary(specials);
        let neighbours = if neighbours.is_empty() { &sample.ids } else { neighbours };
        let masked = self.spans.apply(
            framed.ids,
            Candidates::Only(&ordinary),
            |id| self.core.begins_word(id),
            neighbours,
            &mut key.stream(),
        );
        let span_targets = self.boundaries(&masked);
        Example {
            input_ids: masked.input_ids,
            target_positions: masked.target_positions,
            target_ids: masked.target_ids,
            span_targets,
            ..Example::default()
        }
    }

    /// The tokens of all spans, as targets of the tokens around them. Of a long span only the first tokens are, as
    /// many as there are places (`--max-pair-targets`); of one that reaches an end of its block none are, for the
    /// original masks before there are special tokens (`span_masking` of `fairseq/data/masking.py`).
    fn boundaries(&self, masked: &Masked) -> Vec<SpanTarget> {
        let (specials, mut at) = (self.core.specials(), 0);
        let is_text = |position: u32| {
            let id = masked.input_ids[position as usize];
            id != specials.bos && id != specials.eos
        };
        let mut targets = Vec::with_capacity(masked.target_ids.len());
        for span in &masked.spans {
            let ids = &masked.target_ids[at..at + span.len()];
            at += span.len();
            // Special tokens are never masked, so there is a position on either side.
            let (left, right) = (span.start - 1, span.end);
            if is_text(left) && is_text(right) {
                let place = |(place, &id)| SpanTarget { left, right, offset: place, id };
                targets.extend((1..).zip(ids).take(self.max_pair_targets).map(place));
            }
        }
        targets
    }
}
