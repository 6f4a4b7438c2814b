//! Which tokens are to be predicted, and what stands in their place: the nouns that all rules share, and the
//! rule of independent tokens. Knows token ids only, not what they spell; every draw comes from the stream
//! that is passed in.

use std::ops::Range;

use plan::Stream;

pub mod draws;
pub mod ngrams;
pub mod spans;
pub mod words;

/// A masked sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    /// Token ids after masking: [L].
    pub input_ids: Vec<u32>,
    /// Positions that are to be predicted, ascending; draws with replacement may name one twice: [T].
    pub target_positions: Vec<u32>,
    /// The original ids at these positions: [T].
    pub target_ids: Vec<u32>,
    /// The maximal runs of masked positions, ascending; empty but for the rule of spans.
    pub spans: Vec<Range<u32>>,
}

impl Masked {
    /// The sequence before anything is masked, with room for `targets` targets.
    fn with_capacity(input_ids: Vec<u32>, targets: usize) -> Self {
        Masked {
            input_ids,
            target_positions: Vec::with_capacity(targets),
            target_ids: Vec::with_capacity(targets),
            spans: Vec::new(),
        }
    }

    fn push(&mut self, position: usize, id: u32) {
        self.target_positions.push(position as u32);
        self.target_ids.push(id);
    }
}

/// What stands in place of a token that is to be predicted.
#[derive(Clone, Debug, PartialEq)]
pub struct Replacement {
    /// Share of the targets that is replaced by the mask token.
    pub mask_share: f64,
    /// Share of the targets that is replaced by a random token; the others stay as they are.
    pub random_share: f64,
    /// The mask token.
    pub mask: u32,
    /// Where random tokens come from.
    pub random: RandomIds,
}

/// Where random tokens come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RandomIds {
    /// All ids are equally likely.
    Uniform {
        /// Number of ids, before `excluded` is taken out.
        vocabulary: u32,
        /// Ids that are never drawn, ascending.
        excluded: Vec<u32>,
    },
    /// A token of the corpus that the rule is given, independently for each position, so that ids are as
    /// likely as they are frequent (SpanBERT, `fairseq/data/masking.py`). Only the rule of spans is given
    /// one.
    Stream,
}

impl RandomIds {
    /// # Panics
    /// If there is nothing to draw from: every id is excluded, or `corpus` is empty.
    fn draw(&self, corpus: &[u32], stream: &mut Stream) -> u32 {
        match self {
            RandomIds::Uniform { vocabulary, excluded } => {
                let drawn = stream.below(u64::from(*vocabulary) - excluded.len() as u64) as u32;
                // Every excluded id at or below moves what was drawn up by one.
                excluded.iter().fold(drawn, |id, &excluded| id + u32::from(excluded <= id))
            }
            RandomIds::Stream => corpus[stream.below(corpus.len() as u64) as usize],
        }
    }
}

/// What becomes of a target in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Masked,
    Random,
    Kept,
}

impl Replacement {
    fn fate(&self, stream: &mut Stream) -> Fate {
        let share = stream.uniform();
        if share < self.mask_share {
            Fate::Masked
        } else if share < self.mask_share + self.random_share {
            Fate::Random
        } else {
            Fate::Kept
        }
    }

    fn apply(&self, fate: Fate, id: &mut u32, corpus: &[u32], stream: &mut Stream) {
        match fate {
            Fate::Masked => *id = self.mask,
            Fate::Random => *id = self.random.draw(corpus, stream),
            Fate::Kept => {}
        }
    }

    /// Makes targets of the chosen candidates, each with a fate of its own.
    fn replace(
        &self,
        input_ids: Vec<u32>,
        candidates: Candidates,
        chosen: &Bits,
        stream: &mut Stream,
    ) -> Masked {
        let mut masked = Masked::with_capacity(input_ids, chosen.count());
        for index in chosen.ones() {
            let position = candidates.position(index);
            masked.push(position, masked.input_ids[position]);
            let fate = self.fate(stream);
            self.apply(fate, &mut masked.input_ids[position], &[], stream);
        }
        masked
    }
}

/// Independent masking of single tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Independent {
    /// Share of the candidates that is to be predicted.
    pub rate: f64,
    /// What stands in their place.
    pub replacement: Replacement,
}

impl Independent {
    /// Masks `input_ids` with `candidates` as the positions that may be chosen.
    ///
    /// The number of targets is `int(rate * n + U)` with U uniform in [0, 1) and n the number of candidates,
    /// drawn without replacement (fairseq, `data/mask_tokens_dataset.py`), so that short sequences have the
    /// right rate on average. Each target has a fate of its own.
    pub fn apply(&self, input_ids: Vec<u32>, candidates: Candidates, stream: &mut Stream) -> Masked {
        let n = candidates.len(input_ids.len());
        let wanted = (self.rate * n as f64 + stream.uniform()) as usize;
        let chosen = choose(n, wanted.min(n), stream);
        self.replacement.replace(input_ids, candidates, &chosen, stream)
    }
}

/// The positions that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidates<'a> {
    /// Every position.
    All,
    /// These, ascending.
    Only(&'a [u32]),
}

impl Candidates<'_> {
    fn len(self, positions: usize) -> usize {
        match self {
            Candidates::All => positions,
            Candidates::Only(list) => list.len(),
        }
    }

    fn position(self, index: usize) -> usize {
        match self {
            Candidates::All => index,
            Candidates::Only(list) => list[index] as usize,
        }
    }

    /// Where words begin, as indices into the candidates, and the number of candidates at the end: [W + 1]. A
    /// candidate that does not begin a word belongs to the word of the candidate before it, even if that is
    /// on the other side of a separator, and the first one begins a word whatever it is: so it is in the
    /// originals (`create_pretraining_data.py` of BERT and of ALBERT).
    fn words(self, input_ids: &[u32], begins: impl Fn(u32) -> bool) -> Vec<u32> {
        let n = self.len(input_ids.len());
        let mut bounds = Vec::with_capacity(n + 1);
        bounds.extend(
            (0..n as u32).filter(|&index| index == 0 || begins(input_ids[self.position(index as usize)])),
        );
        bounds.push(n as u32);
        bounds
    }
}

/// The positions of the ids that `admits` names, ascending: what [`Candidates::Only`] holds.
pub fn positions(input_ids: &[u32], admits: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut positions = Vec::with_capacity(input_ids.len());
    positions.extend((0..input_ids.len() as u32).filter(|&position| admits(input_ids[position as usize])));
    positions
}

/// How many words to mask at once: a distribution over `1..=max`.
#[derive(Clone, Debug, PartialEq)]
pub struct Lengths {
    /// The probability of a length of at most 1, 2, … max - 1.
    cumulative: Vec<f64>,
}

impl Lengths {
    /// `p(n) ∝ 1/n`, or the same values in reverse order if `favor_shorter` is false (ALBERT,
    /// `create_pretraining_data.py`): 6/11, 3/11 and 2/11 for a `max` of 3. A `max` of 0 is taken for 1.
    pub fn harmonic(max: usize, favor_shorter: bool) -> Self {
        let rank = |n| if favor_shorter { n } else { max + 1 - n };
        Self::of((1..=max).map(|n| 1.0 / rank(n) as f64).collect())
    }

    /// `p(n) ∝ p (1 - p)^(n - 1)`, that is geometric, with what is longer than `max` shared out in proportion
    /// (SpanBERT, `fairseq/data/masking.py`): the mean is 3.80 for `p` = 0.2 and `max` = 10, as in the paper
    /// (§3.1). `p` is in (0, 1]; a `max` of 0 is taken for 1.
    pub fn geometric(p: f64, max: usize) -> Self {
        Self::of((1..=max).map(|n| p * (1.0 - p).powi(n as i32 - 1)).collect())
    }

    /// `min(n, max)` with n geometric, as the paper's wording can be read (Joshi et al. 2020, §3.1): the mean
    /// is 4.46 for `p` = 0.2 and `max` = 10. `p` is in (0, 1]; a `max` of 0 is taken for 1.
    pub fn clipped_geometric(p: f64, max: usize) -> Self {
        let weight = |n| {
            let beyond = (1.0 - p).powi(n as i32 - 1);
            if n < max { p * beyond } else { beyond }
        };
        Self::of((1..=max).map(weight).collect())
    }

    fn of(weights: Vec<f64>) -> Self {
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = weights
            .into_iter()
            .map(|weight| {
                sum += weight;
                sum / total
            })
            .collect();
        // The longest is what is left, whatever the rounding.
        cumulative.pop();
        Lengths { cumulative }
    }

    fn draw(&self, stream: &mut Stream) -> usize {
        let share = stream.uniform();
        1 + self.cumulative.iter().take_while(|&&below| share >= below).count()
    }
}

/// A subset of `0..n` as bits.
struct Bits(Vec<u64>);

impl Bits {
    /// The empty subset.
    fn new(n: usize) -> Self {
        Bits(vec![0; n.div_ceil(64)])
    }

    fn contains(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    fn insert(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The members, ascending.
    fn ones(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(word_index, &word)| {
            std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)))
                .take_while(|&rest| rest != 0)
                .map(move |rest| word_index * 64 + rest.trailing_zeros() as usize)
        })
    }
}

/// `k` of `0..n` without replacement, all subsets equally likely, in k draws (Floyd; Bentley 1987, CACM
/// 30:754-757).
fn choose(n: usize, k: usize, stream: &mut Stream) -> Bits {
    let mut chosen = Bits::new(n);
    for last in n - k..n {
        let drawn = stream.below(last as u64 + 1) as usize;
        chosen.insert(if chosen.contains(drawn) { last } else { drawn });
    }
    chosen
}

/// The numbers `0..n` in random order, one at a time (Fisher-Yates from the front): who stops early has not
/// paid for the rest.
struct Shuffled {
    order: Vec<u32>,
    taken: usize,
}

impl Shuffled {
    fn new(n: usize) -> Self {
        Shuffled { order: (0..n as u32).collect(), taken: 0 }
    }

    fn next(&mut self, stream: &mut Stream) -> Option<usize> {
        let left = self.order.len() - self.taken;
        if left == 0 {
            return None;
        }
        let drawn = self.taken + stream.below(left as u64) as usize;
        self.order.swap(self.taken, drawn);
        self.taken += 1;
        Some(self.order[self.taken - 1] as usize)
    }
}

/// How many of `tokens` tokens are to be predicted: `rate` of them, special ones counted, but at least one
/// and at most `max_predictions` (`create_pretraining_data.py` of BERT and of ALBERT). Halves go to the even
/// number, as in Python 3.
fn predictions(rate: f64, tokens: usize, max_predictions: usize) -> usize {
    let wanted = (rate * tokens as f64).round_ties_even() as usize;
    wanted.max(1).min(max_predictions)
}

#[cfg(test)]
mod tests;
