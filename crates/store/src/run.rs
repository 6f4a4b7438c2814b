//! The state of a run: what it is, who coordinates it, and its ledger. Knows neither what the records of the
//! ledger say nor what a plan means. Fencing is described in the README of this crate.

mod record;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::retry::retry;
use crate::{CheckpointManifest, Checkpoints, Location, StoreError, location};

pub use record::Segment;

const IDENTITY: &str = "run.json";
const PLAN: &str = "plan.toml";
const TERMS: Series = Series { first: 1, folder: "terms", before: "term-", digits: 6, after: ".json" };
const EVALUATIONS: &str = "evaluations";

/// How often a claim may lose against others: each time somebody else has started, so more is a cluster gone
/// wrong.
const CLAIMS: u32 = 32;

/// The number of a coordinator of a run, counted from 1. The highest one is in charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

impl std::fmt::Display for Term {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a run is. Written once, when the run starts; all that follows must agree in the hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The run's name.
    pub name: String,
    /// Hash of all that decides the weights.
    pub recipe_hash: String,
    /// Hash of the dataset.
    pub dataset_hash: String,
    /// Hash of the tokenizer.
    pub tokenizer_hash: String,
    /// The version of the program.
    pub version: String,
}

/// Samples per block, for each way of packing. Computed once per run and dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packing {
    /// One list per variant, with one number per block.
    pub counts: Vec<Vec<u32>>,
}

/// Objects that are numbered as they are written, each once the one before is there.
struct Series {
    first: u64,
    folder: &'static str,
    before: &'static str,
    digits: usize,
    after: &'static str,
}

impl Series {
    fn name(&self, number: u64) -> String {
        let Series { folder, before, digits, after, .. } = self;
        format!("{folder}/{before}{number:0digits$}{after}")
    }

    /// The numbers in names, in order.
    fn numbers(&self, names: impl Iterator<Item = String>) -> Vec<u64> {
        let number = |name: String| {
            let name = name.strip_prefix(self.folder)?.strip_prefix('/')?;
            name.strip_prefix(self.before)?.strip_suffix(self.after)?.parse().ok()
        };
        let mut numbers: Vec<u64> = names.filter_map(number).collect();
        // Names are in the order of their letters, which is another one beyond the padding.
        numbers.sort_unstable();
        numbers
    }
}

/// A term object. The claim is random, so that a claimer knows its own.
#[derive(Serialize)]
struct TermObject<'a> {
    term: Term,
    claim: String,
    version: &'a str,
}

/// The place of one run.
#[derive(Clone, Debug)]
pub struct RunStore {
    at: Location,
}

impl RunStore {
    /// Opens a run at a path or URL. There need not be one yet.
    ///
    /// # Errors
    /// As [`Location::open`].
    pub fn open(place: &str) -> Result<Self, StoreError> {
        Location::open(place).map(Self::at)
    }

    /// A run at this location.
    pub fn at(location: Location) -> Self {
        RunStore { at: location }
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.at
    }

    /// Its checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::of(self.clone())
    }

    /// What the run is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, [`StoreError::Damaged`] if that cannot be read.
    pub async fn identity(&self) -> Result<Claim, StoreError> {
        let bytes = self.required(IDENTITY).await?;
        serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged {
            place: self.at.place(IDENTITY),
            reason: format!("{error}; restore it from a copy, or start another run"),
        })
    }

    /// Takes the run over: a new one is made, an existing one must have the same hashes. Whoever had the run
    /// before is fenced from now on.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if the run is another one, [`StoreError::Fenced`] if others keep taking it.
    pub async fn claim(&self, claim: &Claim) -> Result<Term, StoreError> {
        let found = match self.identity().await {
            Err(StoreError::NotFound { .. }) => {
                match retry(IDENTITY, || self.at.put_once(IDENTITY, json(claim))).await {
                    Ok(()) => claim.clone(),
                    Err(StoreError::Fenced { .. }) => self.identity().await?,
                    Err(error) => return Err(error),
                }
            }
            found => found?,
        };
        self.require_same(&found, claim)?;
        self.take_term(claim).await
    }

    fn require_same(&self, found: &Claim, claim: &Claim) -> Result<(), StoreError> {
        let pairs = [
            ("recipe", &found.recipe_hash, &claim.recipe_hash),
            ("dataset", &found.dataset_hash, &claim.dataset_hash),
            ("tokenizer", &found.tokenizer_hash, &claim.tokenizer_hash),
        ];
        for (what, there, here) in pairs {
            if there != here {
                let (run, plan) = (self.at.place(""), self.at.place(PLAN));
                return Err(StoreError::Invalid(format!(
                    "the run {} at {run} has the {what} hash {there}, this configuration has {here}; choose \
                     another run name, or use --resume with the configuration it was started with ({plan})",
                    found.name
                )));
            }
        }
        Ok(())
    }

    async fn take_term(&self, claim: &Claim) -> Result<Term, StoreError> {
        let nonce = location::nonce();
        for _ in 0..CLAIMS {
            let term = Term(self.current_term().await?.0 + 1);
            let object = json(&TermObject { term, claim: nonce.clone(), version: &claim.version });
            let name = TERMS.name(term.0);
            match retry(&name, || self.at.put_once(&name, object.clone())).await {
                Err(StoreError::Fenced { .. }) => {}
                done => return done.map(|()| term),
            }
        }
        Err(StoreError::Fenced {
            place: self.at.place(TERMS.folder),
            reason: "other coordinators keep taking the run; stop all but one".into(),
        })
    }

    /// The highest term that was taken; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn current_term(&self) -> Result<Term, StoreError> {
        Ok(Term(self.next_of(&TERMS).await? - 1))
    }

    /// Whether this term is still the highest. Terms are taken one after the other, so one request tells.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if it is not.
    pub async fn check_term(&self, term: Term) -> Result<(), StoreError> {
        let next = TERMS.name(term.0 + 1);
        match retry(&next, || self.at.size(&next)).await? {
            None => Ok(()),
            Some(_) => Err(StoreError::Fenced {
                place: self.at.place(&next),
                reason: format!(
                    "another coordinator has taken the run after term {term}; this one must stop"
                ),
            }),
        }
    }

    /// Keeps the plan that the run goes by.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn put_plan(&self, text: &str) -> Result<(), StoreError> {
        retry(PLAN, || self.at.put(PLAN, text.to_owned())).await
    }

    /// The plan that the run goes by.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no run.
    pub async fn plan(&self) -> Result<String, StoreError> {
        text(self.at.place(PLAN), &self.required(PLAN).await?)
    }

    /// The counts that were kept under this hash (of dataset, format and length).
    ///
    /// # Errors
    /// [`StoreError::Io`]. A damaged object counts as none: the counts can be computed again.
    pub async fn packing(&self, hash: &str) -> Result<Option<Packing>, StoreError> {
        let name = packing_name(hash);
        match retry(&name, || self.at.get(&name)).await {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps counts under this hash.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn put_packing(&self, hash: &str, packing: &Packing) -> Result<(), StoreError> {
        let (name, bytes) = (packing_name(hash), json(packing));
        retry(&name, || self.at.put(&name, bytes.clone())).await
    }

    /// What held-out samples said of the weights after `step` updates, by the name of the measure.
    ///
    /// # Errors
    /// [`StoreError::Io`]. A damaged object counts as none: it only tells which checkpoints are the best.
    pub async fn evaluation(&self, step: u64) -> Result<Option<BTreeMap<String, f64>>, StoreError> {
        let name = evaluation_name(step);
        match retry(&name, || self.at.get(&name)).await {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps what held-out samples said. What is no number is left out: JSON has no word for it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn put_evaluation(
        &self,
        step: u64,
        measures: &BTreeMap<String, f64>,
    ) -> Result<(), StoreError> {
        let numbers: BTreeMap<&String, f64> = measures
            .iter()
            .filter(|(_, value)| value.is_finite())
            .map(|(name, &value)| (name, value))
            .collect();
        let (name, bytes) = (evaluation_name(step), json(&numbers));
        retry(&name, || self.at.put(&name, bytes.clone())).await
    }

    /// Keeps lines of JSON that tell people how the run goes. `number` counts them in this term, so that no coordinator
    /// overwrites another one's.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn put_metrics(&self, term: Term, number: u64, lines: String) -> Result<(), StoreError> {
        let name = format!("metrics/term-{:06}-{number:08}.jsonl", term.0);
        let lines = bytes::Bytes::from(lines);
        retry(&name, || self.at.put(&name, lines.clone())).await
    }

    /// Copies the run as it stood at a checkpoint: what it is, its plan, the `record` up to there, the checkpoint itself.
    /// What says that there is a run comes last, so that half a copy is none.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if there is a run already; [`StoreError::Damaged`] names what cannot be copied.
    pub async fn copy_to(
        &self,
        to: &RunStore,
        manifest: &CheckpointManifest,
        record: &[Segment],
    ) -> Result<(), StoreError> {
        let identity = self.identity().await?;
        match to.identity().await {
            Err(StoreError::NotFound { .. }) => {}
            Ok(_) => {
                let reason = format!("there is a run at {} already; name an empty place", to.at.place(""));
                return Err(StoreError::Invalid(reason));
            }
            Err(error) => return Err(error),
        }
        to.put_plan(&self.plan().await?).await?;
        for name in self.at.list_here().await?.iter().filter(|name| name.starts_with("packing-")) {
            let bytes = retry(name, || self.at.get(name)).await?;
            retry(name, || to.at.put(name, bytes.clone())).await?;
        }
        // Terms go on from there: the record's segments are of earlier ones.
        for term in self.numbered(&TERMS).await? {
            let term = TERMS.name(term);
            let bytes = retry(&term, || self.at.get(&term)).await?;
            retry(&term, || to.at.put(&term, bytes.clone())).await?;
        }
        for segment in record {
            let (name, text) = (segment.name(), segment.sealed());
            retry(&name, || to.at.put(&name, text.clone())).await?;
        }
        self.checkpoints().copy_to(&to.checkpoints(), manifest).await?;
        retry(IDENTITY, || to.at.put_once(IDENTITY, json(&identity))).await
    }

    async fn required(&self, name: &str) -> Result<bytes::Bytes, StoreError> {
        retry(name, || self.at.get(name)).await.map_err(|error| match error {
            StoreError::NotFound { place, .. } => StoreError::NotFound {
                what: "a run".into(),
                place,
                remedy: "name the folder or URL of a run, or start one with `cloze train`".into(),
            },
            error => error,
        })
    }

    /// The numbers of the objects of a series, in order: those that a listing shows, and those behind them, of which an
    /// old listing knows nothing.
    async fn numbered(&self, series: &Series) -> Result<Vec<u64>, StoreError> {
        let found = retry(series.folder, || self.at.list(series.folder)).await?;
        let mut numbers = series.numbers(found.into_iter().map(|(name, _)| name));
        let next = numbers.last().map_or(series.first, |last| last + 1);
        numbers.extend(next..self.end_of(series, next).await?);
        Ok(numbers)
    }

    /// The number behind the last one of a series.
    async fn next_of(&self, series: &Series) -> Result<u64, StoreError> {
        Ok(self.numbered(series).await?.last().map_or(series.first, |last| last + 1))
    }

    /// The number behind the last one of a series of which everything before `next` is there. Asks for objects and not
    /// for a listing: usually for one, and for a few more if `next` is far from the end.
    async fn end_of(&self, series: &Series, next: u64) -> Result<u64, StoreError> {
        let is_there = async |number| {
            let name = series.name(number);
            retry(&name, || self.at.size(&name)).await.map(|size| size.is_some())
        };
        let (mut end, mut stride) = (next, 1);
        while is_there(end + stride - 1).await? {
            end += stride;
            stride *= 2;
        }
        // Everything before `end` is there, and what is `stride` further is not.
        while stride > 1 {
            stride /= 2;
            if is_there(end + stride - 1).await? {
                end += stride;
            }
        }
        Ok(end)
    }
}

fn evaluation_name(step: u64) -> String {
    format!("{EVALUATIONS}/step-{step:08}.json")
}

fn packing_name(hash: &str) -> String {
    format!("packing-{hash}.json")
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and whole numbers always become JSON")
}

fn text(place: String, bytes: &[u8]) -> Result<String, StoreError> {
    String::from_utf8(bytes.to_vec())
        .map_err(|error| StoreError::Damaged { place, reason: format!("it is not UTF-8: {error}") })
}
