//! What a step counts besides its gradient. It travels behind the gradient in the same buffer of integers, so that one
//! all-reduce carries everything. Knows no gradients.

use tch::Tensor;

use crate::Error;

/// Counts of micro-batches. They add up over micro-batches and over workers, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Micro-batches.
    pub micro_batches: u64,
    /// Tokens that are not padding.
    pub tokens: u64,
    /// Positions that were predicted.
    pub targets: u64,
    /// Those that were predicted right.
    pub correct: u64,
    /// The sum of losses over the step's expected number of targets, as fixed point of `aten::fixed`.
    pub(crate) loss: i64,
    /// Micro-batches with a number that does not fit.
    pub overflowed: u64,
}

impl Tally {
    /// Elements of `i64` that a tally takes in the buffer.
    pub(crate) const LEN: usize = 16;

    pub(crate) fn add(&mut self, other: Tally) {
        self.micro_batches += other.micro_batches;
        self.tokens += other.tokens;
        self.targets += other.targets;
        self.correct += other.correct;
        self.loss = self.loss.wrapping_add(other.loss);
        self.overflowed += other.overflowed;
    }

    /// Writes it to `buffer` from element `start` on.
    pub(crate) fn write(&self, buffer: &Tensor, start: usize) -> Result<(), Error> {
        let Tally { micro_batches, tokens, targets, correct, loss, overflowed } = *self;
        let words = [micro_batches, tokens, targets, correct, loss as u64, overflowed];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        Ok(aten::copy_from_bytes(buffer, start * size_of::<i64>(), &bytes)?)
    }

    /// Reads back what [`Tally::write`] wrote, or a sum of such.
    pub(crate) fn read(buffer: &Tensor, start: usize) -> Result<Self, Error> {
        let bytes = &aten::bytes(buffer)?[start * size_of::<i64>()..];
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index: usize| u64::from_ne_bytes(words[index]);
        Ok(Tally {
            micro_batches: word(0),
            tokens: word(1),
            targets: word(2),
            correct: word(3),
            loss: word(4) as i64,
            overflowed: word(5),
        })
    }
}
