//! Reading a dataset: one request per block, checked before it is decoded. Knows nothing of who asks.

use std::collections::BTreeMap;
use std::path::Path as FsPath;
use std::sync::Arc;

use bytes::Bytes;
use corpus::{DocRow, SentenceLens, Tokenizer, Vocabulary, Weights};

use super::MANIFEST;
use super::manifest::{File, Manifest, Source};
use super::shard::{Elsewhere, ShardFile, checked, missing_part};
use crate::retry::retry;
use crate::{BlockCache, Location, StoreError, service};

/// A prepared dataset. Clones share what was read of it.
#[derive(Clone, Debug)]
pub struct Dataset {
    inner: Arc<Inner>,
    weights: Weights,
}

#[derive(Debug)]
struct Inner {
    at: Location,
    manifest: Manifest,
    /// Shard and row group of every block.
    blocks: Vec<(usize, usize)>,
    tokens: Vec<ShardFile>,
    docs: Vec<ShardFile>,
    /// Other places with the same dataset.
    replicas: Vec<Location>,
}

impl Dataset {
    /// Opens a dataset at a path or URL: of its folder, or of one of its manifests, where it has several for several
    /// tokenizers (`data/books/manifest-1a2b3c4d.json`).
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, [`StoreError::Damaged`] if its manifest is.
    pub async fn open(place: &str) -> Result<Self, StoreError> {
        if !Location::may_exist(place) {
            return Err(missing(place.to_owned()));
        }
        match place.rsplit_once('/') {
            Some((folder, name)) if name.ends_with(".json") => {
                Self::open_at(Location::open(folder)?, name).await
            }
            _ => Self::open_at(Location::open(place)?, MANIFEST).await,
        }
    }

    /// Opens the dataset that a run is for: with its weights, its replicas, and a cache of what lies on other machines.
    ///
    /// # Errors
    /// As [`Dataset::open`], and [`Dataset::weighted`].
    pub async fn of_run(data: &plan::Data) -> Result<Self, StoreError> {
        let places: Vec<&String> = std::iter::once(&data.dataset).chain(&data.replicas).collect();
        // Before any of them is named in a message.
        places
            .iter()
            .filter(|place| place.contains("://"))
            .try_for_each(|place| service::url(place).map(drop))?;
        let mut opened = Self::open(places[0]).await;
        for replica in &places[1..] {
            let Err(error) = &opened else { break };
            tracing::warn!(%error, replica, "the dataset is opened at a replica");
            if let Ok(found) = Self::open(replica).await {
                opened = Ok(found);
            }
        }
        let dataset = opened?;
        let mut elsewhere = Elsewhere::default();
        for place in places.into_iter().filter(|place| Location::may_exist(place)) {
            let folder = place.strip_suffix(".json").and_then(|name| name.rsplit_once('/'));
            elsewhere.replicas.push(Location::open(folder.map_or(place.as_str(), |(folder, _)| folder))?);
        }
        let here = dataset.inner.at.place("");
        elsewhere.replicas.retain(|replica| replica.place("") != here);
        if let Some(folder) = data.cache.as_ref().filter(|_| !dataset.inner.at.is_local()) {
            elsewhere.cache = Some(BlockCache::open(FsPath::new(folder), (data.cache_gb * 1e9) as u64)?);
        }
        dataset.with(&elsewhere).weighted(&data.weights)
    }

    pub(super) fn with(self, elsewhere: &Elsewhere) -> Self {
        let Inner { at, manifest, blocks, tokens, docs, .. } = &*self.inner;
        let with = |files: &[ShardFile]| files.iter().map(|file| file.with(elsewhere.clone())).collect();
        let (tokens, docs) = (with(tokens), with(docs));
        let (at, manifest, blocks) = (at.clone(), manifest.clone(), blocks.clone());
        let inner = Inner { at, manifest, blocks, tokens, docs, replicas: elsewhere.replicas.clone() };
        Dataset { inner: Arc::new(inner), weights: self.weights }
    }

    /// Opens a dataset at a location by the name of its manifest.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub async fn open_at(at: Location, name: &str) -> Result<Self, StoreError> {
        let bytes = match retry(name, || at.get(name)).await {
            Err(StoreError::NotFound { .. }) => return Err(missing(at.place(""))),
            other => other?,
        };
        let manifest = Manifest::parse(&at.place(name), &bytes)?;
        let blocks = manifest.shards.iter().enumerate();
        let blocks = blocks
            .flat_map(|(shard, file)| (0..file.blocks.len()).map(move |group| (shard, group)))
            .collect();
        let open =
            |files: &[File]| files.iter().map(|file| ShardFile::new(at.clone(), file.clone())).collect();
        let (tokens, docs) = (open(&manifest.shards), open(&manifest.docs));
        let inner = Inner { at, manifest, blocks, tokens, docs, replicas: Vec::new() };
        Ok(Dataset { inner: Arc::new(inner), weights: Weights::default() })
    }

    /// The dataset with the documents of each source taken as often as its table of contents says, or `said` for the
    /// sources that are named there; as it is opened, every document is taken once.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a source that there is none of, or a weight that cannot be.
    pub fn weighted(self, said: &BTreeMap<String, f64>) -> Result<Self, StoreError> {
        let sources = &self.manifest().sources;
        let place = self.place();
        if let Some(unknown) = said.keys().find(|name| sources.iter().all(|source| source.name != **name)) {
            let known: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            let known = known.join(", ");
            return Err(StoreError::Invalid(format!(
                "{place} has no source `{unknown}` to weigh; it has {known}"
            )));
        }
        let weight = |source: &Source| said.get(&source.name).copied().unwrap_or(source.weight);
        let weights = Weights::new(sources.iter().map(weight).collect())
            .map_err(|error| StoreError::Invalid(format!("the sources of {place}: {error}")))?;
        Ok(Dataset { weights, ..self })
    }

    /// How often the documents of each source are taken, by the order of the table of contents.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The table of contents.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// About how many tokens an epoch takes from each source: those of the dataset by its bytes of text, and as often as
    /// its weight says.
    pub fn epoch_tokens(&self) -> Vec<(&Source, f64)> {
        let sources = &self.manifest().sources;
        let bytes: u64 = sources.iter().map(|source| source.bytes).sum();
        let per_byte = self.tokens() as f64 / bytes.max(1) as f64;
        let taken = |(number, source): (usize, &Source)| {
            source.bytes as f64 * per_byte * self.weights.of(u16::try_from(number).unwrap_or(u16::MAX))
        };
        sources.iter().enumerate().map(|(number, source)| (source, taken((number, source)))).collect()
    }

    /// The identity of the dataset.
    pub fn hash(&self) -> String {
        self.manifest().hash.clone()
    }

    /// The identity of its tokenizer.
    pub fn tokenizer_hash(&self) -> String {
        self.manifest().tokenizer.hash.clone()
    }

    /// What the families need to know of its vocabulary.
    pub fn vocabulary(&self) -> Vocabulary {
        self.manifest().tokenizer.vocabulary.clone()
    }

    /// Where it is, for messages.
    pub fn place(&self) -> String {
        self.inner.at.place("")
    }

    /// How many tokens it has.
    pub fn tokens(&self) -> u64 {
        self.manifest().totals.tokens
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> usize {
        self.inner.blocks.len()
    }

    /// The `tokenizer.json`, byte for byte.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Damaged`], [`StoreError::Io`].
    pub async fn tokenizer_json(&self) -> Result<Bytes, StoreError> {
        let Inner { at, manifest, replicas, .. } = &*self.inner;
        let name = &manifest.tokenizer.file;
        let read = async |at: &Location| {
            let bytes = retry(name, || at.get(name)).await.map_err(missing_part)?;
            checked(&bytes, &manifest.tokenizer.hash, || at.place(name))?;
            Ok::<_, StoreError>(bytes)
        };
        let first = read(at).await;
        let Err(error) = &first else { return first };
        for replica in replicas {
            if let Ok(found) = read(replica).await {
                tracing::warn!(%error, replica = replica.place(""), "the tokenizer is read from a replica");
                return Ok(found);
            }
        }
        first
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// As [`Dataset::tokenizer_json`].
    pub async fn tokenizer(&self) -> Result<Tokenizer, StoreError> {
        let json = self.tokenizer_json().await?;
        let place = self.inner.at.place(&self.manifest().tokenizer.file);
        Tokenizer::from_bytes(&json).map_err(|error| StoreError::Damaged { place, reason: error.to_string() })
    }

    /// Reads a block with one request (and one more for each shard, the first time).
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the file and the row group; [`StoreError::Invalid`] if there is no such block.
    pub async fn block(&self, index: usize) -> Result<corpus::Block, StoreError> {
        let (shard, group) = self.find(index)?;
        let block = self.inner.tokens[shard].block(group, self.manifest().tokenizer.vocabulary.size).await?;
        Ok(block.weighed(self.weights.clone()))
    }

    /// Reads only the lengths of the sentences of a block: a hundredth of it, and all that packing needs.
    ///
    /// # Errors
    /// As [`Dataset::block`].
    pub async fn sentence_lens(&self, index: usize) -> Result<SentenceLens, StoreError> {
        let (shard, group) = self.find(index)?;
        let mut lens = self.inner.tokens[shard].sentence_lens(group).await?;
        lens.weigh(self.weights.clone());
        Ok(lens)
    }

    /// What `docs` says of the rows of a block: their texts, and the documents that they are from.
    ///
    /// # Errors
    /// As [`Dataset::block`].
    pub async fn documents(&self, index: usize) -> Result<Vec<DocRow>, StoreError> {
        let (shard, group) = self.find(index)?;
        self.inner.docs[shard].doc_rows(group).await
    }

    fn find(&self, index: usize) -> Result<(usize, usize), StoreError> {
        self.inner.blocks.get(index).copied().ok_or_else(|| {
            StoreError::Invalid(format!(
                "the dataset has {} blocks, there is no block {index}",
                self.blocks()
            ))
        })
    }
}

fn missing(place: String) -> StoreError {
    let remedy = "prepare it with `cloze prepare CONFIG`".to_owned();
    StoreError::NotFound { what: "a dataset".into(), place, remedy }
}
