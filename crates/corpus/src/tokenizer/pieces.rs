//! The pieces of a Unigram model, found by what a text begins with, and the best way to cut a text into them. Knows
//! not where scores come from.

/// A piece, at some place of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Match {
    /// Where it ends.
    pub end: usize,
    /// Its place in the list of pieces.
    pub piece: u32,
    /// Its logarithmic probability.
    pub score: f64,
}

/// A trie over bytes: the children of a node lie next to each other.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    nodes: Vec<Node>,
    /// Children of the root, by their bytes: it has most of all.
    first: Box<[u32; 256]>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    byte: u8,
    children: u16,
    first_child: u32,
    /// `u32::MAX` if no piece ends here.
    piece: u32,
    score: f64,
}

const NONE: u32 = u32::MAX;

impl Pieces {
    /// Pieces and their scores. Of equal ones, the last counts; empty ones are never found.
    pub(super) fn new<'a>(pieces: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        let mut sorted: Vec<(&[u8], u32, f64)> =
            pieces.into_iter().zip(0..).map(|((text, score), id)| (text.as_bytes(), id, score)).collect();
        sorted.sort_unstable_by(|a, b| a.0.cmp(b.0).then(a.1.cmp(&b.1)));
        let mut nodes = vec![Node { byte: 0, children: 0, first_child: 1, piece: NONE, score: 0.0 }];
        // A node is the range of those pieces that begin as it does.
        let mut open = std::collections::VecDeque::from([(0, 0, sorted.len(), 0)]);
        while let Some((node, mut from, to, depth)) = open.pop_front() {
            while from < to && sorted[from].0.len() == depth {
                if depth > 0 {
                    (nodes[node].piece, nodes[node].score) = (sorted[from].1, sorted[from].2);
                }
                from += 1;
            }
            nodes[node].first_child = nodes.len() as u32;
            while from < to {
                let byte = sorted[from].0[depth];
                let next = from + sorted[from..to].partition_point(|(text, ..)| text[depth] == byte);
                open.push_back((nodes.len(), from, next, depth + 1));
                nodes.push(Node { byte, children: 0, first_child: 0, piece: NONE, score: 0.0 });
                nodes[node].children += 1;
                from = next;
            }
        }
        let mut first = Box::new([NONE; 256]);
        for (index, child) in nodes.iter().enumerate().skip(1).take(nodes[0].children.into()) {
            first[usize::from(child.byte)] = index as u32;
        }
        Pieces { nodes, first }
    }

    /// The pieces that a text goes on with from a place on, shortest first.
    pub(super) fn matches<'a>(&'a self, text: &'a [u8], at: usize) -> impl Iterator<Item = Match> + 'a {
        let mut node = text.get(at).map_or(NONE, |&byte| self.first[usize::from(byte)]);
        let mut end = at;
        std::iter::from_fn(move || {
            while node != NONE {
                let here = self.nodes[node as usize];
                end += 1;
                node = text.get(end).map_or(NONE, |&byte| self.child(here, byte));
                if here.piece != NONE {
                    return Some(Match { end, piece: here.piece, score: here.score });
                }
            }
            None
        })
    }

    fn child(&self, node: Node, byte: u8) -> u32 {
        let from = node.first_child as usize;
        let children = &self.nodes[from..from + usize::from(node.children)];
        let at = match children.len() {
            0..=8 => children.iter().position(|child| child.byte == byte),
            _ => children.binary_search_by_key(&byte, |child| child.byte).ok(),
        };
        at.map_or(NONE, |at| (from + at) as u32)
    }
}

/// How a text is cut best: from the end, where each piece begins and which one it is (`None` for one that is unknown).
#[derive(Clone, Debug, Default)]
pub(super) struct Viterbi {
    /// Per place of the text: the best score up to there, and the last piece with its beginning.
    best: Vec<Option<(f64, u32, Option<u32>)>>,
    path: Vec<Option<u32>>,
}

impl Viterbi {
    /// The pieces of the best way, first to last, if there is a way. Characters that are no piece are unknown, with
    /// the score `unknown`, or in the way if that is none. With `whole` as `false`, the text itself is no piece of it.
    pub(super) fn cut(
        &mut self,
        pieces: &Pieces,
        text: &str,
        unknown: Option<f64>,
        whole: bool,
    ) -> Option<&[Option<u32>]> {
        let bytes = text.as_bytes();
        self.best.clear();
        self.best.resize(bytes.len() + 1, None);
        self.best[0] = Some((0.0, 0, None));
        for (at, c) in text.char_indices() {
            let Some((so_far, ..)) = self.best[at] else { continue };
            let mut single = false;
            for Match { end, piece, score } in pieces.matches(bytes, at) {
                single |= end == at + c.len_utf8();
                if whole || end - at < bytes.len() {
                    self.offer(end, so_far + score, at, Some(piece));
                }
            }
            if let (false, Some(unknown)) = (single, unknown) {
                self.offer(at + c.len_utf8(), so_far + unknown, at, None);
            }
        }
        self.path.clear();
        let mut end = bytes.len();
        while end > 0 {
            let (_, start, piece) = self.best[end]?;
            self.path.push(piece);
            end = start as usize;
        }
        self.path.reverse();
        Some(&self.path)
    }

    /// Of ways that are as good, the first stays.
    fn offer(&mut self, end: usize, score: f64, start: usize, piece: Option<u32>) {
        if self.best[end].is_none_or(|(best, ..)| score > best) {
            self.best[end] = Some((score, start as u32, piece));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces_are_found_shortest_first() {
        let pieces =
            Pieces::new([("a", -1.0), ("ab", -2.0), ("", 0.0), ("abcd", -3.0), ("é", -4.0), ("a", -5.0)]);
        let found = |text: &str| -> Vec<(usize, u32)> {
            pieces.matches(text.as_bytes(), 0).map(|found| (found.end, found.piece)).collect()
        };
        assert_eq!(found("abcde"), [(1, 5), (2, 1), (4, 3)]);
        assert_eq!(found("éa"), [(2, 4)]);
        assert_eq!(found("b"), []);
    }

    proptest! {
        #[test]
        fn the_best_way_is_the_best_of_all(
            words in proptest::collection::btree_map("[ab]{1,3}", -9.0..0.0, 1..9),
            text in "[ab]{1,8}",
        ) {
            let list: Vec<(&str, f64)> = words.iter().map(|(text, &score)| (text.as_str(), score)).collect();
            let pieces = Pieces::new(list.iter().copied());
            // All ways, one piece after the other.
            fn best(list: &[(&str, f64)], text: &str) -> Option<f64> {
                if text.is_empty() {
                    return Some(0.0);
                }
                let ways = list.iter().filter_map(|(piece, score)| {
                    text.strip_prefix(piece).and_then(|rest| best(list, rest)).map(|rest| rest + score)
                });
                ways.reduce(f64::max)
            }
            let mut viterbi = Viterbi::default();
            let path = viterbi.cut(&pieces, &text, None, true);
            let score = path.map(|path| path.iter().flatten().map(|&id| list[id as usize].1).sum::<f64>());
            match (score, best(&list, &text)) {
                (Some(found), Some(best)) => prop_assert!((found - best).abs() < 1e-9, "{found} {best}"),
                (found, best) => prop_assert_eq!(found, best),
            }
        }
    }
}
