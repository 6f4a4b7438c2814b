//! What a step counts besides its gradient. It travels behind the gradient in the same buffer of integers, so that one
//! all-reduce carries everything. Knows no gradients, and no term by name.

use aten::fixed;
use tch::Tensor;

use crate::Error;

/// More terms than any loss has, and more ratios than are counted beside them.
pub(crate) const MOST: usize = 4;

/// Counts of micro-batches. They add up over micro-batches and over workers, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Micro-batches.
    pub micro_batches: u64,
    /// Tokens that are not padding.
    pub tokens: u64,
    /// Micro-batches with a number that does not fit.
    pub overflowed: u64,
    /// Targets of each term.
    pub targets: [u64; MOST],
    /// The sum of losses of each term over the step's expected number of targets, as fixed point of `aten::fixed`.
    pub(crate) losses: [i64; MOST],
    /// How often what each ratio counts held, and of how many times.
    pub ratios: [[u64; 2]; MOST],
}

impl Tally {
    /// Elements of `i64` that a tally takes in the buffer.
    pub(crate) const LEN: usize = 32;

    pub(crate) fn add(&mut self, other: &Tally) {
        self.micro_batches += other.micro_batches;
        self.tokens += other.tokens;
        self.overflowed += other.overflowed;
        for index in 0..MOST {
            self.targets[index] += other.targets[index];
            self.losses[index] = self.losses[index].wrapping_add(other.losses[index]);
            self.ratios[index][0] += other.ratios[index][0];
            self.ratios[index][1] += other.ratios[index][1];
        }
    }

    /// The mean loss of a term, in nats; 0 without targets.
    pub(crate) fn mean(&self, term: usize, expected: f64) -> f64 {
        fixed::decode(self.losses[term]) * expected / self.targets[term].max(1) as f64
    }

    /// A ratio's value; 0 if there was nothing to count.
    pub(crate) fn ratio(&self, index: usize) -> f64 {
        let [hits, of] = self.ratios[index];
        hits as f64 / of.max(1) as f64
    }

    /// Writes it to `buffer` from element `start` on.
    pub(crate) fn write(&self, buffer: &Tensor, start: usize) -> Result<(), Error> {
        let Tally { micro_batches, tokens, overflowed, targets, losses, ratios } = self;
        let mut words = vec![*micro_batches, *tokens, *overflowed];
        words.extend(targets);
        words.extend(losses.iter().map(|&loss| loss as u64));
        words.extend(ratios.iter().flatten());
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        Ok(aten::copy_from_bytes(buffer, start * size_of::<i64>(), &bytes)?)
    }

    /// Reads back what [`Tally::write`] wrote, or a sum of such.
    pub(crate) fn read(buffer: &Tensor, start: usize) -> Result<Self, Error> {
        let bytes = &aten::bytes(buffer)?[start * size_of::<i64>()..];
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index: usize| u64::from_ne_bytes(words[index]);
        let each = |first: usize| std::array::from_fn::<u64, MOST, _>(|index| word(first + index));
        Ok(Tally {
            micro_batches: word(0),
            tokens: word(1),
            overflowed: word(2),
            targets: each(3),
            losses: each(3 + MOST).map(|loss| loss as i64),
            ratios: std::array::from_fn(|index| [0, 1].map(|part| word(3 + 2 * MOST + 2 * index + part))),
        })
    }
}

const _: () = assert!(3 + 4 * MOST <= Tally::LEN);
