//! What a preparation has made, for people and scripts. The same dataset has the same report, whoever made it.

mod page;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use store::{Location, Manifest, SourceEntry, StoreError, Totals, retry};
use tokio::runtime::Handle;

use crate::PrepareError;
use crate::tally::{Sample, Tally};

/// What a dataset holds, and what was left out of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The identity of the dataset.
    pub dataset: String,
    /// The identity of its texts.
    pub docs: String,
    /// The identity of its tokenizer.
    pub tokenizer: String,
    /// How many tokens the tokenizer has.
    pub vocab_size: u32,
    /// The manifest, relative to the dataset.
    pub manifest: String,
    /// Sums over everything that is in it.
    pub totals: Totals,
    /// What each source gave.
    pub sources: Vec<SourceReport>,
    /// Paragraphs that were left out because they occurred before.
    pub duplicate_paragraphs: u64,
    /// Some of the duplicates, by kind.
    pub duplicate_samples: BTreeMap<String, Vec<Sample>>,
}

/// What one source gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Its name in the configuration.
    pub name: String,
    /// Its weight in the configuration.
    pub weight: f64,
    /// Documents of it that are in the dataset.
    pub documents: u64,
    /// Their bytes of text.
    pub bytes: u64,
    /// Documents that were left out because they are there already, by kind.
    pub duplicates: BTreeMap<String, u64>,
    /// What was seen when it was read.
    pub tally: Tally,
}

impl SourceReport {
    /// What the manifest says of it.
    pub(crate) fn entry(&self) -> SourceEntry {
        SourceEntry {
            name: self.name.clone(),
            documents: self.documents,
            bytes: self.bytes,
            weight: self.weight,
        }
    }
}

impl Report {
    /// Documents that were left out, by reason.
    pub fn dropped(&self) -> BTreeMap<String, u64> {
        let mut dropped = BTreeMap::new();
        for source in &self.sources {
            for (reason, count) in source.tally.dropped.iter().chain(&source.duplicates) {
                *dropped.entry(reason.clone()).or_default() += count;
            }
        }
        dropped
    }

    /// Damaged places.
    pub fn damaged(&self) -> u64 {
        self.sources.iter().map(|source| source.tally.damaged).sum()
    }

    /// With what is known when the dataset is there.
    pub(crate) fn completed(mut self, manifest: &Manifest) -> Self {
        self.dataset = manifest.hash.clone();
        self.docs = manifest.docs_hash.clone();
        self.tokenizer = manifest.tokenizer.hash.clone();
        self.vocab_size = manifest.tokenizer.vocabulary.size;
        self.totals = manifest.totals;
        self
    }

    /// `report.json` stands beside `manifest.json`, `report-1a2b3c4d.json` beside `manifest-1a2b3c4d.json`.
    fn name(manifest: &str, ending: &str) -> String {
        format!("{}.{ending}", manifest.trim_end_matches(".json").replacen("manifest", "report", 1))
    }

    /// Writes it beside its manifest, as JSON and as a page.
    pub(crate) fn write(&self, at: &Location, manifest: &str, runtime: &Handle) -> Result<(), PrepareError> {
        let mut json = serde_json::to_vec_pretty(self).expect("a report is made of strings and numbers");
        json.push(b'\n');
        let page = page::html(self).into_bytes();
        for (ending, content) in [("json", json), ("html", page)] {
            let name = Report::name(manifest, ending);
            runtime.block_on(retry(&name, || at.put(&name, content.clone())))?;
        }
        Ok(())
    }

    /// Reads the one beside a manifest. A dataset may have lost its report, or never had one: then it is made of what
    /// the manifest says.
    pub(crate) fn find(
        at: &Location,
        name: &str,
        manifest: &Manifest,
        runtime: &Handle,
    ) -> Result<Self, PrepareError> {
        let file = Report::name(name, "json");
        let read = match runtime.block_on(retry(&file, || at.get(&file))) {
            Ok(bytes) => serde_json::from_slice::<Report>(&bytes).ok(),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let bare = || {
            let source = |source: &SourceEntry| SourceReport {
                name: source.name.clone(),
                weight: source.weight,
                documents: source.documents,
                bytes: source.bytes,
                ..SourceReport::default()
            };
            Report { sources: manifest.sources.iter().map(source).collect(), ..Report::default() }
        };
        let report = read.unwrap_or_else(bare);
        Ok(Report { manifest: name.to_owned(), ..report.completed(manifest) })
    }
}
