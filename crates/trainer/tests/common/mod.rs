//! Small trainers of every family on made-up text. Knows no family by name: it takes what `configs` has for each.

use std::sync::Arc;

use corpus::{Relation, Sample, Specials, Vocabulary};
use families::{FAMILIES, Family, HostBatch, Recipe};
use plan::{Key, RunPlan};
use tch::Device;
use trainer::Trainer;

/// Small and odd, so that nothing is a multiple of what kernels like.
const SMALL: [&str; 12] = [
    "model.layers=2",
    "model.hidden=36",
    "model.heads=3",
    "model.feed_forward=50",
    "model.max_positions=24",
    "objective.max_len=19",
    "train.batch=12",
    "train.micro_batch=3",
    "train.steps=40",
    "train.clip_norm=0",
    "model.dropout=0.1",
    "model.attention_dropout=0.1",
];

/// A family, set up small.
pub struct Setup {
    pub plan: RunPlan,
    pub recipe: Arc<dyn Recipe>,
}

/// Every family, small, with these settings on top.
pub fn families(settings: &[&str]) -> Vec<Setup> {
    FAMILIES.iter().map(|family| Setup::new(family, settings)).collect()
}

impl Setup {
    /// The family of that place in the registry, small, with these settings on top.
    pub fn of(family: usize, settings: &[&str]) -> Self {
        Setup::new(&FAMILIES[family], settings)
    }

    fn new(family: &Family, settings: &[&str]) -> Self {
        let path = format!("{}/../../configs/{}/cpu.toml", env!("CARGO_MANIFEST_DIR"), family.name);
        let text = std::fs::read_to_string(&path).unwrap();
        let warmup = ["schedule.warmup_steps=4"];
        let overrides: Vec<String> =
            SMALL.iter().chain(&warmup).chain(settings).map(|&pair| pair.to_owned()).collect();
        let plan = RunPlan::parse(&path, &text, &overrides).unwrap();
        let recipe = (family.parse)(&plan, &path, &vocabulary()).unwrap();
        Setup { plan, recipe }
    }

    /// A trainer before its first step.
    pub fn trainer(&self) -> Trainer {
        let mut trainer = Trainer::new(&self.plan, std::slice::from_ref(&self.recipe), Device::Cpu).unwrap();
        trainer.initialise().unwrap();
        trainer
    }

    /// Whether the family's loss has a term for pairs of segments.
    pub fn asks_pairs(&self) -> bool {
        self.recipe.terms().iter().any(|term| ["nsp", "sop"].contains(&term.name))
    }

    /// Micro-batch `index` of a run: text that is easy to learn, some rows of it short.
    pub fn batch(&self, index: u64) -> HostBatch {
        let rows = u64::from(self.plan.train.micro_batch);
        let examples: Vec<_> = (0..rows)
            .map(|row| {
                let key = Key::root(9).index(index).index(row);
                let mut stream = key.named("text").stream();
                let room = self.recipe.pack_spec().max_len() as u64 - 4;
                let len = if row == 0 { room } else { room / 2 + stream.below(room / 2) };
                let cut = len / 3;
                let start = stream.below(40);
                let ids: Vec<u32> = (0..len).map(|i| 5 + ((start + i) % 40) as u32).collect();
                let (first, second) = ids.split_at(cut as usize);
                let relation = self.asks_pairs().then_some(Relation::Next);
                let sample = Sample { relation, ..Sample::new([first, second]) };
                self.recipe.example(&sample, &sample.ids, key.named("mask"))
            })
            .collect();
        self.recipe.collate(&examples)
    }
}

pub fn vocabulary() -> Vocabulary {
    let specials = Specials { bos: 0, pad: 1, eos: 2, unk: 3, mask: 61 };
    Vocabulary::new(62, specials, |_| true)
}
