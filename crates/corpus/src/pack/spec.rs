//! What can be asked of packing: the format, the length of the samples, and the format's switches. Plain data.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::CorpusError;

/// Longer samples than any network of these families takes. The bound keeps sums of lengths within 32 bits.
const LONGEST: u32 = 1 << 20;

/// The rule by which sentences become samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackFormat {
    /// RoBERTa's FULL-SENTENCES (Liu et al. 2019, §4.2): whole sentences in order, over the ends of documents, with
    /// a separator between documents.
    FullSentences,
    /// RoBERTa's DOC-SENTENCES: the same, but a sample ends with its document. The paper enlarges the batch so that it
    /// holds as many tokens all the same; here a batch is a number of samples, and whoever chooses it can divide by
    /// the mean length ([`Layout::tokens`](crate::Layout::tokens)).
    DocSentences,
    /// RoBERTa's SENTENCE-PAIR + NSP: two natural sentences, either neighbours or of two documents.
    SentencePair,
    /// BERT's and ALBERT's pairs of segments (`create_pretraining_data.py` of both): sentences of a document up to
    /// the wanted length, divided at random into A and B; or A alone, with a B from elsewhere.
    SegmentPair,
    /// ELECTRA's pairs (`build_pretraining_dataset.py`): sentences of a document up to the wanted length, the first
    /// half to A and what follows to B, which goes on where A ends and is nothing to guess.
    SegmentHalves,
    /// SpanBERT's single segments (Joshi et al. 2020, §4.2; `no_nsp_span_bert_dataset.py`): whole sentences of one
    /// document.
    SpanBlocks,
}

impl fmt::Display for PackFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What a pair asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairTask {
    /// Next sentence prediction (BERT): is B what follows A, or from another document?
    #[default]
    Nsp,
    /// Sentence order prediction (ALBERT): do A and B stand as in the text, or swapped?
    Sop,
}

/// What becomes of a sentence that has no second one beside it: it is the last of its row, or reaches the wanted
/// length alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoneSentence {
    /// It gets a B from another document, even where the question is the order (both originals).
    #[default]
    Random,
    /// It gives no sample.
    Drop,
}

/// What becomes of a sentence that is longer than a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LongSentences {
    /// It is cut into several samples.
    #[default]
    Cut,
    /// It is left out, as SpanBERT's code does (its paper does not say so).
    Skip,
}

/// The quirks of the formats. What is not given is as in the original (but sentences that are too long are cut: see
/// [`LongSentences`]); what a format does not know must not be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PackSwitches {
    /// Pairs: special tokens of a sample of two segments: 3 for `[CLS] A [SEP] B [SEP]` (the default), 4 for
    /// `<s> A </s> </s> B </s>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair_specials: Option<u32>,
    /// `segment-pair`: `nsp` (the default) or `sop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair_task: Option<PairTask>,
    /// `sentence-pair`, `segment-pair`: how often B is from another document (NSP), or A and B are swapped (SOP),
    /// where there is a choice: 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_prob: Option<f64>,
    /// `sentence-pair`, `segment-pair`: `random` (the default) or `drop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lone_sentence: Option<LoneSentence>,
    /// How often shorter samples are aimed at, of any length that the format allows. `segment-pair`: 0.1, drawn once
    /// per row; `segment-halves`: 0.05, drawn per sample; `span-blocks`: 0, drawn once per row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_seq_prob: Option<f64>,
    /// `segment-halves`: how often a sample has only one segment: 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub single_prob: Option<f64>,
    /// `segment-halves`: whether a sentence that still fits into A goes there even if B has begun, so that neither need be in
    /// one piece: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interleaved: Option<bool>,
    /// `span-blocks`: `cut` (the default) or `skip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_sentences: Option<LongSentences>,
}

impl PackSwitches {
    /// All switches that a format has, as in the original.
    fn of(format: PackFormat) -> Self {
        let none = PackSwitches::default();
        let pair = PackSwitches { pair_specials: Some(3), ..none };
        let (negative_prob, lone_sentence) = (Some(0.5), Some(LoneSentence::Random));
        match format {
            PackFormat::FullSentences | PackFormat::DocSentences => none,
            PackFormat::SentencePair => PackSwitches { negative_prob, lone_sentence, ..pair },
            PackFormat::SegmentPair => PackSwitches {
                negative_prob,
                lone_sentence,
                pair_task: Some(PairTask::Nsp),
                short_seq_prob: Some(0.1),
                ..pair
            },
            PackFormat::SegmentHalves => PackSwitches {
                short_seq_prob: Some(0.05),
                single_prob: Some(0.1),
                interleaved: Some(true),
                ..pair
            },
            // "We always take sequences of up to 512 tokens", §4.2: the code's --short-seq-prob has no effect there.
            PackFormat::SpanBlocks => {
                PackSwitches { short_seq_prob: Some(0.0), long_sentences: Some(LongSentences::Cut), ..none }
            }
        }
    }

    /// What is given here, else the format's own.
    fn resolved(&self, format: PackFormat) -> Result<Self, CorpusError> {
        let own = PackSwitches::of(format);
        Ok(PackSwitches {
            pair_specials: chosen("pair_specials", self.pair_specials, own.pair_specials, format)?,
            pair_task: chosen("pair_task", self.pair_task, own.pair_task, format)?,
            negative_prob: chosen("negative_prob", self.negative_prob, own.negative_prob, format)?,
            lone_sentence: chosen("lone_sentence", self.lone_sentence, own.lone_sentence, format)?,
            short_seq_prob: chosen("short_seq_prob", self.short_seq_prob, own.short_seq_prob, format)?,
            single_prob: chosen("single_prob", self.single_prob, own.single_prob, format)?,
            interleaved: chosen("interleaved", self.interleaved, own.interleaved, format)?,
            long_sentences: chosen("long_sentences", self.long_sentences, own.long_sentences, format)?,
        })
    }

    fn check(&self) -> Result<(), CorpusError> {
        let shares = [
            ("negative_prob", self.negative_prob),
            ("short_seq_prob", self.short_seq_prob),
            ("single_prob", self.single_prob),
        ];
        for (name, share) in shares {
            if let Some(share) = share
                && !(0.0..=1.0).contains(&share)
            {
                return Err(CorpusError::Invalid(format!("{name} is {share}; it must lie between 0 and 1")));
            }
        }
        match self.pair_specials {
            Some(count) if !(3..=4).contains(&count) => {
                Err(CorpusError::Invalid(format!("pair_specials is {count}; it must be 3 or 4")))
            }
            _ => Ok(()),
        }
    }
}

fn chosen<T>(
    name: &str,
    given: Option<T>,
    own: Option<T>,
    format: PackFormat,
) -> Result<Option<T>, CorpusError> {
    if given.is_some() && own.is_none() {
        return Err(CorpusError::Invalid(format!("the format {format} has no switch {name}")));
    }
    Ok(given.or(own))
}

/// A format, the length of its samples, and its switches. Its text names all of them: specs of the same text pack
/// alike.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PackSpec {
    format: PackFormat,
    max_len: u32,
    switches: PackSwitches,
}

impl PackSpec {
    /// Samples of at most `max_len` tokens, special tokens included, with all switches as in the original.
    ///
    /// # Errors
    /// [`CorpusError::Invalid`] if no token fits between the special ones, or `max_len` is absurd.
    pub fn new(format: PackFormat, max_len: u32) -> Result<Self, CorpusError> {
        PackSpec::with(format, max_len, &PackSwitches::default())
    }

    /// The same with some switches set.
    ///
    /// # Errors
    /// As [`PackSpec::new`]; and [`CorpusError::Invalid`] for a switch that the format does not have or that cannot
    /// have this value.
    pub fn with(format: PackFormat, max_len: u32, switches: &PackSwitches) -> Result<Self, CorpusError> {
        let switches = switches.resolved(format)?;
        switches.check()?;
        // One token between two special ones, or one in each segment of a pair.
        let least = switches.pair_specials.map_or(3, |specials| specials + 2);
        if max_len < least {
            let reason =
                format!("samples of {max_len} tokens have no room for text; they need at least {least}");
            return Err(CorpusError::Invalid(reason));
        }
        if max_len > LONGEST {
            let reason = format!("samples of {max_len} tokens are too long; they may have {LONGEST}");
            return Err(CorpusError::Invalid(reason));
        }
        Ok(PackSpec { format, max_len, switches })
    }

    /// The rule.
    pub fn format(&self) -> PackFormat {
        self.format
    }

    /// The greatest length of a sample, special tokens included.
    pub fn max_len(&self) -> u32 {
        self.max_len
    }

    /// All switches that the format has, and nothing for those that it does not have.
    pub fn switches(&self) -> &PackSwitches {
        &self.switches
    }
}

impl fmt::Display for PackSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
