//! The keys of `[objective]` that all families have, and the special tokens around a sample. Knows no family: what a
//! key is by default comes from the caller.

use corpus::{PackFormat, PackSpec, PackSwitches, PairTask, Sample, Specials};
use serde::Deserialize;

use super::model::Complaint;
use crate::{Normaliser, Term};

/// `[objective]`, as far as all families have it; the switches of packing are [`PackSwitches`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveSettings {
    /// How documents become samples.
    pub format: Option<PackFormat>,
    /// Longest sample, special tokens included.
    pub max_len: Option<u32>,
    /// Share of the tokens that is to be predicted.
    pub mask_rate: Option<f64>,
    /// Share of these that is replaced by the mask token.
    pub mask_share: Option<f64>,
    /// Share of these that is replaced by a random token; the others stay.
    pub random_share: Option<f64>,
    /// When masks are drawn.
    pub masking: Option<MaskTiming>,
    /// What the losses are divided by.
    pub normaliser: Option<Normaliser>,
}

/// When the masks of a sample are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaskTiming {
    /// Once for each way of packing (`data.variants`): what BERT's `dupe_factor` stores.
    Static,
    /// Anew in every epoch.
    Dynamic,
}

/// What a family takes where a configuration says nothing, and what it can do.
#[derive(Clone, Copy, Debug)]
pub struct ObjectiveDefaults {
    /// The formats that the family has heads for; the first is its own.
    pub formats: &'static [PackFormat],
    /// What pairs ask, where the format leaves a choice.
    pub pair_task: PairTask,
    /// Special tokens of a pair.
    pub pair_specials: u32,
    /// Share of the targets that is replaced by the mask token.
    pub mask_share: f64,
    /// Share of the targets that is replaced by a random token.
    pub random_share: f64,
    /// When masks are drawn.
    pub masking: MaskTiming,
    /// What the losses are divided by.
    pub normaliser: Normaliser,
}

/// What all five papers mask.
const MASK_RATE: f64 = 0.15;
const MAX_LEN: u32 = 512;

/// The settings, resolved.
#[derive(Clone, Copy, Debug)]
pub struct Objective {
    /// How documents become samples.
    pub pack: PackSpec,
    /// Share of the tokens that is to be predicted.
    pub mask_rate: f64,
    /// Share of these that is replaced by the mask token.
    pub mask_share: f64,
    /// Share of these that is replaced by a random token.
    pub random_share: f64,
    /// Whether masks are the same in every epoch of a variant.
    pub static_masks: bool,
    /// What the losses are divided by.
    pub normaliser: Normaliser,
}

impl ObjectiveSettings {
    /// No setting: everything as the family has it, for samples of at most `max_len` tokens.
    pub fn of_len(max_len: usize) -> Self {
        ObjectiveSettings {
            format: None,
            max_len: Some(MAX_LEN.min(u32::try_from(max_len).unwrap_or(MAX_LEN))),
            mask_rate: None,
            mask_share: None,
            random_share: None,
            masking: None,
            normaliser: None,
        }
    }

    /// Fills in what is not given.
    ///
    /// # Errors
    /// Which key cannot be, and why.
    pub fn resolve(
        &self,
        switches: &PackSwitches,
        defaults: &ObjectiveDefaults,
        max_positions: usize,
    ) -> Result<Objective, Complaint> {
        let objective = Objective {
            pack: self.pack(switches, defaults, max_positions)?,
            mask_rate: self.mask_rate.unwrap_or(MASK_RATE),
            mask_share: self.mask_share.unwrap_or(defaults.mask_share),
            random_share: self.random_share.unwrap_or(defaults.random_share),
            static_masks: self.masking.unwrap_or(defaults.masking) == MaskTiming::Static,
            normaliser: self.normaliser.unwrap_or(defaults.normaliser),
        };
        objective.check()?;
        Ok(objective)
    }

    fn pack(
        &self,
        switches: &PackSwitches,
        defaults: &ObjectiveDefaults,
        max_positions: usize,
    ) -> Result<PackSpec, Complaint> {
        let format = self.format.unwrap_or(defaults.formats[0]);
        if !defaults.formats.contains(&format) {
            let known = defaults.formats.iter().map(PackFormat::to_string).collect::<Vec<_>>().join(", ");
            let reason = format!("is {format}; this family has no head for it, it takes: {known}");
            return Err(("objective.format", reason));
        }
        let max_len = self.max_len.unwrap_or(MAX_LEN);
        if max_len as usize > max_positions {
            let reason = format!("is {max_len}; it must not exceed model.max_positions = {max_positions}");
            return Err(("objective.max_len", reason));
        }
        let mut switches = *switches;
        if format == PackFormat::SegmentPair {
            switches.pair_task = switches.pair_task.or(Some(defaults.pair_task));
        }
        if is_pair(format) {
            switches.pair_specials = switches.pair_specials.or(Some(defaults.pair_specials));
        }
        PackSpec::with(format, max_len, &switches).map_err(|error| about_packing(&error.to_string()))
    }
}

/// The switches of packing, as they are called there and here.
const SWITCHES: [(&str, &str); 8] = [
    ("pair_specials", "objective.pair_specials"),
    ("pair_task", "objective.pair_task"),
    ("negative_prob", "objective.negative_prob"),
    ("lone_sentence", "objective.lone_sentence"),
    ("short_seq_prob", "objective.short_seq_prob"),
    ("single_prob", "objective.single_prob"),
    ("interleaved", "objective.interleaved"),
    ("long_sentences", "objective.long_sentences"),
];

/// What packing refuses, with the key that it is about: it names switches, and knows no sections.
fn about_packing(message: &str) -> Complaint {
    match SWITCHES.iter().find(|(switch, _)| message.split(' ').any(|word| word == *switch)) {
        Some((switch, key)) => {
            let own = message.strip_prefix(switch).map_or(message, str::trim_start);
            (key, if own == message { format!("cannot be given: {message}") } else { own.to_owned() })
        }
        None => ("objective.max_len", message.to_owned()),
    }
}

/// Whether a format's samples have two segments that the network may tell apart.
fn is_pair(format: PackFormat) -> bool {
    matches!(format, PackFormat::SentencePair | PackFormat::SegmentPair | PackFormat::SegmentHalves)
}

impl Objective {
    fn check(&self) -> Result<(), Complaint> {
        let Objective { mask_rate, mask_share, random_share, .. } = *self;
        if !(mask_rate > 0.0 && mask_rate <= 1.0) {
            return Err((
                "objective.mask_rate",
                format!("is {mask_rate}; it must lie above 0 and not above 1"),
            ));
        }
        if !(0.0..=1.0).contains(&random_share) {
            let reason = format!("is {random_share}; it must lie between 0 and 1");
            return Err(("objective.random_share", reason));
        }
        if !(0.0..=1.0).contains(&mask_share) || mask_share + random_share > 1.0 + 1e-9 {
            let reason =
                format!("is {mask_share}; with random_share = {random_share} it must lie between 0 and 1");
            return Err(("objective.mask_share", reason));
        }
        Ok(())
    }

    /// What the network is asked about the two segments of a sample, if it is asked.
    pub fn pair_task(&self) -> Option<PairTask> {
        match self.pack.format() {
            PackFormat::SentencePair => Some(PairTask::Nsp),
            PackFormat::SegmentPair => self.pack.switches().pair_task,
            _ => None,
        }
    }

    /// The terms of a loss on masked tokens and, where the format asks, on pairs.
    pub fn masked_and_pair_terms(&self) -> Vec<Term> {
        let pair = self.pair_task().map(|task| match task {
            PairTask::Nsp => "nsp",
            PairTask::Sop => "sop",
        });
        [Some("mlm"), pair].into_iter().flatten().map(|name| Term { name, weight: 1.0 }).collect()
    }

    /// The ratios beside these terms.
    pub fn masked_and_pair_ratios(&self) -> Vec<&'static str> {
        let pair = self.pair_task().map(|_| "pair_accuracy");
        [Some("mlm_accuracy"), pair].into_iter().flatten().collect()
    }

    /// How many targets of these terms that many full samples have, on average.
    pub fn masked_and_pair_targets(&self, sequences: u64) -> Vec<f64> {
        let pairs = self.pair_task().map(|_| sequences as f64);
        [Some(self.masked_targets(sequences)), pairs].into_iter().flatten().collect()
    }

    /// How many masked tokens that many full samples have, on average.
    pub fn masked_targets(&self, sequences: u64) -> f64 {
        self.mask_rate * f64::from(self.pack.max_len()) * sequences as f64
    }

    /// The same objective on pairs of segments with that many special tokens, for a model with a head for pairs.
    pub fn with_pairs(self, specials: u32) -> Self {
        let switches = PackSwitches { pair_specials: Some(specials), ..PackSwitches::default() };
        match PackSpec::with(PackFormat::SegmentPair, self.pack.max_len(), &switches) {
            Ok(pack) => Objective { pack, normaliser: Normaliser::Group, ..self },
            Err(_) => self,
        }
    }

    /// The same objective on samples that are no pairs, for a model without a head for pairs.
    pub fn without_pairs(self) -> Self {
        match PackSpec::new(PackFormat::FullSentences, self.pack.max_len()) {
            Ok(pack) => Objective { pack, ..self },
            Err(_) => self,
        }
    }

    /// The most tokens that a sample may hide, where the originals reserve room for them: `given`, or what their READMEs
    /// want of `max_predictions_per_seq`, `max_seq_length * masked_lm_prob`.
    ///
    /// # Errors
    /// If there is room for none.
    pub fn max_predictions(&self, given: Option<usize>) -> Result<usize, Complaint> {
        let own = || (self.mask_rate * f64::from(self.pack.max_len()) - 1e-9).ceil() as usize;
        match given.unwrap_or_else(own) {
            0 => Err(("objective.max_predictions", "must be at least 1".into())),
            most => Ok(most),
        }
    }

    /// A sample with the special tokens around it: `[CLS] A [SEP] B [SEP]`.
    pub fn frame(&self, sample: &Sample, specials: &Specials) -> Framed {
        let mut ids = Vec::with_capacity(sample.ids.len() + sample.ends.len() + 2);
        let (pair, mut second) = (is_pair(self.pack.format()), None);
        ids.push(specials.bos);
        for (number, segment) in sample.segments().enumerate() {
            if pair && number == 1 {
                if self.pack.switches().pair_specials == Some(4) {
                    ids.push(specials.eos);
                }
                second = Some(ids.len() as u32);
            }
            ids.extend_from_slice(segment);
            ids.push(specials.eos);
        }
        Framed { ids, second_segment: second }
    }
}

/// A sample as a sequence of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framed {
    /// Token ids, special ones included.
    pub ids: Vec<u32>,
    /// Where the second segment of a pair begins.
    pub second_segment: Option<u32>,
}

impl Framed {
    /// The positions of ordinary tokens, ascending.
    pub fn ordinary(&self, specials: &Specials) -> Vec<u32> {
        let ordinary = |&(_, &id): &(usize, &u32)| id != specials.bos && id != specials.eos;
        self.ids.iter().enumerate().filter(ordinary).map(|(position, _)| position as u32).collect()
    }
}
