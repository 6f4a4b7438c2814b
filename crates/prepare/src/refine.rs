//! A document that was found becomes one that is kept, or a reason why it is not: cleaning, rules of quality, language.
//! Knows one document at a time, and nothing of where it came from but its source's settings.

use std::collections::BTreeSet;

use corpus::normal::Oddities;
use corpus::quality::Quality;
use corpus::similar::{MinHashSpec, Scratch, Signer, exact_hash};
use corpus::{Document, Paragraphs, clean, language, normal};
use xxhash_rust::xxh3::xxh3_64;

use crate::part::{Entry, Kept};
use crate::{Config, SourceConfig};

/// The rules for the documents of one source.
pub(crate) struct Refinery<'a> {
    config: &'a Config,
    quality: Option<&'a Quality>,
    languages: BTreeSet<&'a str>,
    signer: Option<Signer>,
}

impl<'a> Refinery<'a> {
    /// The rules for the documents of `source`.
    pub fn new(config: &'a Config, source: &'a SourceConfig) -> Self {
        let duplicates = &config.duplicates;
        let spec = MinHashSpec {
            shingle_words: duplicates.shingle_words as usize,
            bands: duplicates.bands as usize,
            rows: duplicates.rows as usize,
            ..MinHashSpec::default()
        };
        Refinery {
            config,
            quality: config.quality.as_ref().filter(|_| source.quality),
            languages: config.clean.languages.iter().map(String::as_str).collect(),
            signer: duplicates.near.then(|| Signer::new(spec)),
        }
    }

    /// What is kept of a document, and what identifies it among others; or why it is left out, and its clean text.
    pub fn refine(
        &self,
        document: Document,
        paragraphs: Paragraphs,
        scratch: &mut Scratch,
        oddities: &mut Oddities,
    ) -> Result<(Kept, Entry), (&'static str, String)> {
        let text = clean(&normal::normalise(&document.text, self.config.clean.unicode, oddities), paragraphs);
        if text.is_empty() {
            return Err(("document without text", text));
        }
        if let Some(reason) = self.quality.and_then(|rules| rules.check(&text)) {
            return Err((reason, text));
        }
        let language = self.language(&text, document.language.as_deref());
        if !self.languages.is_empty()
            && !language.as_deref().is_some_and(|language| self.languages.contains(language))
        {
            return Err(("document is in another language", text));
        }
        let entry = Entry {
            doc_id: document.doc_id(),
            text: exact_hash(&text).to_le_bytes(),
            source: 0,
            bytes: text.len() as u64,
            bands: self.signer.as_ref().and_then(|signer| signer.bands(&text, scratch)).unwrap_or_default(),
            paragraphs: self.paragraphs(&text),
        };
        let kept = Kept {
            source: 0,
            key: document.key,
            title: document.title,
            url: document.url,
            date: document.date,
            language,
            text,
        };
        Ok((kept, entry))
    }

    /// The language of a text: what is found out, unless its source says that it is in one which cannot be.
    fn language(&self, text: &str, declared: Option<&str>) -> Option<String> {
        if let Some(declared) = declared
            && !language::knows(declared)
        {
            return Some(declared.to_owned());
        }
        let certain = |&(_, confidence): &(_, f32)| confidence >= self.config.clean.language_confidence;
        let found = language::detect(text).filter(certain).map(|(language, _)| language);
        found.or(declared).map(str::to_owned)
    }

    /// Hashes of the paragraphs that may be left out, each with its number.
    fn paragraphs(&self, text: &str) -> Vec<(u32, u64)> {
        if !self.config.duplicates.paragraphs {
            return Vec::new();
        }
        let least = self.config.duplicates.paragraph_min_bytes as usize;
        let numbered = text.split('\n').enumerate();
        numbered
            .filter(|(_, paragraph)| paragraph.len() >= least)
            .map(|(number, paragraph)| (number as u32, xxh3_64(paragraph.as_bytes())))
            .collect()
    }
}
