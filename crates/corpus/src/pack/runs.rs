//! Samples that are simply what comes next: FULL-SENTENCES, DOC-SENTENCES and SpanBERT's blocks.

use plan::Stream;

use super::{Layout, LongSentences, PackFormat, PackSpec, Segment, Table, target_len};

/// Packs whole sentences in order. Only a sentence that does not fit into any sample is cut.
pub(super) fn runs(table: &Table, rows: impl Iterator<Item = (usize, Stream)>, spec: &PackSpec) -> Layout {
    // Tokens and inner separators that fit between a sample's first and last special token.
    let room = spec.max_len() - 2;
    let across = spec.format() == PackFormat::FullSentences;
    let short_prob = spec.switches().short_seq_prob.unwrap_or_default();
    let skip = spec.switches().long_sentences == Some(LongSentences::Skip);
    let mut open = OpenSample::default();
    for (row, mut stream) in rows {
        // A short sample is aimed at as in BERT: it ends with the sentence that reaches the length.
        let target = target_len(&mut stream, short_prob, 2, room);
        // Whether the sample's last segment belongs to this row.
        let mut joined = false;
        for sentence in table.row(row) {
            let Segment { start: mut at, end, .. } = table.tokens(sentence..sentence + 1);
            let separator = u32::from(!joined && open.used > 0);
            if open.used + separator + (end - at) > room || open.used >= target {
                open.close();
                joined = false;
            }
            if skip && end - at > room {
                continue;
            }
            while end - at > room {
                open.add(Segment::new(at, at + room), false);
                open.close();
                at += room;
            }
            open.add(Segment::new(at, end), joined);
            joined = true;
        }
        if !across {
            open.close();
        }
    }
    open.close();
    open.layout
}

#[derive(Default)]
struct OpenSample {
    layout: Layout,
    used: u32,
}

impl OpenSample {
    fn add(&mut self, segment: Segment, joined: bool) {
        match self.layout.segments.last_mut() {
            Some(last) if joined => last.end = segment.end,
            _ => {
                self.used += u32::from(self.used > 0);
                self.layout.segments.push(segment);
            }
        }
        self.used += segment.len();
    }

    fn close(&mut self) {
        if self.used > 0 {
            self.layout.close(None);
            self.used = 0;
        }
    }
}
