//! A recipe's loss as numbers: what each term's sum is multiplied by before its gradient is summed over a step, and what
//! the sum is multiplied by at the end. Knows no family, and nothing of how sums are made.

use families::{Losses, Normaliser, Recipe, Term};
use tch::Tensor;

use crate::{Error, Measure, Tally};

/// The loss of the steps of one phase.
#[derive(Clone, Debug)]
pub(crate) struct Objective {
    terms: Vec<Term>,
    ratios: Vec<&'static str>,
    normaliser: Normaliser,
    /// Micro-batches in a step.
    micro_batches: f64,
    /// Targets that a step has of each term, about.
    expected: Vec<f64>,
}

impl Objective {
    /// That of steps of `micro_batches` micro-batches of `sequences` sequences.
    pub fn new(recipe: &dyn Recipe, micro_batches: u64, sequences: u64) -> Self {
        Objective {
            terms: recipe.terms(),
            ratios: recipe.ratios(),
            normaliser: recipe.normaliser(),
            micro_batches: micro_batches as f64,
            expected: recipe.expected_targets(micro_batches * sequences),
        }
    }

    /// Targets that a step has of a term, about.
    pub fn expected(&self, term: usize) -> f64 {
        self.expected[term]
    }

    /// What a micro-batch's sum of a term with that many targets is multiplied by, so that the sum over the step's
    /// micro-batches is about as large as the mean.
    fn coefficient(&self, term: usize, targets: u64) -> f64 {
        let divisor = match self.normaliser {
            Normaliser::Global => self.expected[term],
            Normaliser::Group | Normaliser::GroupOverTargets => targets.max(1) as f64 * self.micro_batches,
        };
        self.terms[term].weight / divisor
    }

    /// What a micro-batch adds to the step's loss: a scalar, whose gradient is to be summed.
    pub fn total(&self, losses: &Losses) -> Result<Tensor, Error> {
        let mut total = None;
        for (index, term) in losses.terms.iter().enumerate() {
            let scaled = term.sum.f_mul_scalar(self.coefficient(index, term.targets))?;
            total = Some(match total {
                Some(total) => scaled.f_add(&total)?,
                None => scaled,
            });
        }
        Ok(total.unwrap_or_else(Tensor::new))
    }

    /// What the sum over the step is multiplied by.
    pub fn correction(&self, total: &Tally) -> f64 {
        let targets = total.targets[0].max(1) as f64;
        match self.normaliser {
            // The mean over the targets that there were, instead of those that were expected.
            Normaliser::Global => self.expected[0] / targets,
            Normaliser::Group => 1.0,
            Normaliser::GroupOverTargets => self.micro_batches / targets,
        }
    }

    /// The weighted sum of the means of all terms.
    pub fn loss(&self, total: &Tally) -> f64 {
        let mean = |term: usize| total.mean(term, self.expected[term]);
        self.terms.iter().enumerate().map(|(index, term)| term.weight * mean(index)).sum()
    }

    /// The means of the terms and the ratios, by name.
    pub fn measures(&self, total: &Tally) -> Vec<Measure> {
        let mean = |(index, term): (usize, &Term)| Measure {
            name: term.name,
            value: total.mean(index, self.expected[index]),
        };
        let ratio = |(index, name): (usize, &&'static str)| Measure { name, value: total.ratio(index) };
        let terms = self.terms.iter().enumerate().map(mean);
        terms.chain(self.ratios.iter().enumerate().map(ratio)).collect()
    }
}
