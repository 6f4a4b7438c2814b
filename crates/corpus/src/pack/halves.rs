//! ELECTRA's samples (`build_pretraining_dataset.py`): two halves of a stretch of text, or one piece of it.

use std::ops::Range;

use plan::Stream;

use super::{Layout, PackSpec, Segment, Table, target_len};

/// Packs stretches of sentences into one or two segments. What does not fit is lost, not carried over.
pub(super) fn halves(table: &Table, rows: impl Iterator<Item = (usize, Stream)>, spec: &PackSpec) -> Layout {
    let mut layout = Layout::default();
    let mut open = Halves::default();
    let (max_len, specials) = (spec.max_len(), spec.switches().pair_specials.unwrap_or_default());
    for (row, mut stream) in rows {
        let Range { start: mut at, end: last } = table.row(row);
        while at < last {
            // The original counts no special tokens here, and so always gathers more than it keeps.
            let short_prob = spec.switches().short_seq_prob.unwrap_or_default();
            let target = target_len(&mut stream, short_prob, 5, max_len);
            let stretch = table.take(at..last, target);
            at = stretch.end;
            open.divide(table, stretch, target, spec, &mut stream);
            open.first.trim(max_len - 2);
            open.second.trim(max_len.saturating_sub(open.first.len + specials));
            open.first.move_to(&mut layout);
            open.second.move_to(&mut layout);
            layout.close(None);
        }
    }
    layout
}

#[derive(Default)]
struct Halves {
    first: Pieces,
    second: Pieces,
}

impl Halves {
    fn divide(
        &mut self,
        table: &Table,
        stretch: Range<usize>,
        target: u32,
        spec: &PackSpec,
        stream: &mut Stream,
    ) {
        let switches = spec.switches();
        let single = stream.uniform() < switches.single_prob.unwrap_or_default();
        let half = target.saturating_sub(switches.pair_specials.unwrap_or_default()) / 2;
        let aim = if single { u32::MAX } else { half };
        let interleaved = switches.interleaved == Some(true);
        for sentence in stretch {
            let tokens = table.tokens(sentence..sentence + 1);
            let (first, open) = (self.first.len, self.second.len == 0);
            let fits = (open || interleaved) && first + tokens.len() < aim;
            if first == 0 || fits || (open && first < aim && stream.uniform() < 0.5) {
                self.first.add(tokens);
            } else {
                self.second.add(tokens);
            }
        }
    }
}

/// A segment in the making: ranges that follow each other, with gaps.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Segment>,
    len: u32,
}

impl Pieces {
    fn add(&mut self, tokens: Segment) {
        self.len += tokens.len();
        match self.pieces.last_mut() {
            Some(last) if last.end == tokens.start => last.end = tokens.end,
            _ => self.pieces.push(Segment { joined: !self.pieces.is_empty(), ..tokens }),
        }
    }

    /// Takes tokens away from the end until at most `most` are left.
    fn trim(&mut self, most: u32) {
        while let Some(last) = self.pieces.last_mut()
            && self.len > most
        {
            let cut = last.len().min(self.len - most);
            last.end -= cut;
            self.len -= cut;
            if last.len() == 0 {
                self.pieces.pop();
            }
        }
    }

    fn move_to(&mut self, layout: &mut Layout) {
        layout.segments.append(&mut self.pieces);
        self.len = 0;
    }
}
