//! The published algorithms, word by word and slowly, on tokens instead of lengths, with the same draws.

use super::*;

/// A pair as tokens, and whether it is a negative one.
type Pair = (Vec<u32>, Vec<u32>, Option<bool>);

/// A block as the originals read it: documents of sentences of tokens, without empty ones.
struct Text {
    rows: Vec<Vec<Vec<u32>>>,
    documents: Vec<u8>,
}

impl Text {
    fn new(rows: &[(u8, Vec<u16>)]) -> Self {
        let mut next = 0..;
        let mut sentence = |&len: &u16| next.by_ref().take(usize::from(len)).collect::<Vec<u32>>();
        let mut row = |lens: &Vec<u16>| {
            lens.iter().map(&mut sentence).filter(|tokens| !tokens.is_empty()).collect::<Vec<_>>()
        };
        Text {
            rows: rows.iter().map(|(_, lens)| row(lens)).collect(),
            documents: rows.iter().map(|&(document, _)| document).collect(),
        }
    }

    /// `random_document`, without giving up after ten tries where there is another one.
    fn random_row(&self, own: usize, stream: &mut Stream) -> &[Vec<u32>] {
        let mut all: Vec<usize> = (0..self.rows.len()).filter(|&row| !self.rows[row].is_empty()).collect();
        all.sort_by_key(|&row| (self.documents[row], row));
        let others: Vec<usize> =
            all.iter().copied().filter(|&row| self.documents[row] != self.documents[own]).collect();
        let from = if others.is_empty() { all } else { others };
        &self.rows[from[stream.below(from.len() as u64) as usize]]
    }

    /// `create_instances_from_document` of BERT and ALBERT.
    fn segment_pairs(&self, row: usize, spec: &PackSpec, stream: &mut Stream) -> Vec<Pair> {
        let document = &self.rows[row];
        let switches = spec.switches();
        let max_num_tokens = (spec.max_len() - switches.pair_specials.unwrap()) as usize;
        let mut target_seq_length = max_num_tokens;
        if stream.uniform() < switches.short_seq_prob.unwrap() {
            target_seq_length = 2 + stream.below(max_num_tokens as u64 - 1) as usize;
        }
        let (mut instances, mut current_chunk, mut current_length) = (Vec::new(), Vec::new(), 0);
        let mut i = 0;
        while i < document.len() {
            current_chunk.push(document[i].clone());
            current_length += document[i].len();
            if i == document.len() - 1 || current_length >= target_seq_length {
                let mut a_end = 1;
                if current_chunk.len() >= 2 {
                    a_end = 1 + stream.below(current_chunk.len() as u64 - 1) as usize;
                }
                let mut tokens_a = current_chunk[..a_end].concat();
                let mut tokens_b = Vec::new();
                let lone = current_chunk.len() == 1;
                let negative = lone || stream.uniform() < switches.negative_prob.unwrap();
                if lone || (negative && switches.pair_task == Some(PairTask::Nsp)) {
                    let target_b_length = target_seq_length as i64 - tokens_a.len() as i64;
                    let random_document = self.random_row(row, stream);
                    let random_start = stream.below(random_document.len() as u64) as usize;
                    for sentence in &random_document[random_start..] {
                        tokens_b.extend(sentence);
                        if tokens_b.len() as i64 >= target_b_length {
                            break;
                        }
                    }
                    i -= current_chunk.len() - a_end;
                } else {
                    tokens_b = current_chunk[a_end..].concat();
                    if negative {
                        std::mem::swap(&mut tokens_a, &mut tokens_b);
                    }
                }
                truncate_seq_pair(&mut tokens_a, &mut tokens_b, max_num_tokens, stream);
                instances.push((tokens_a, tokens_b, Some(negative)));
                current_chunk.clear();
                current_length = 0;
            }
            i += 1;
        }
        instances
    }

    /// `ExampleBuilder` of ELECTRA, with a target of its own for every example.
    fn electra(&self, row: usize, spec: &PackSpec, stream: &mut Stream) -> Vec<Pair> {
        let (switches, max_length) = (spec.switches(), spec.max_len() as usize);
        let specials = switches.pair_specials.unwrap() as usize;
        let (mut examples, mut sentences) = (Vec::new(), self.rows[row].iter().peekable());
        while sentences.peek().is_some() {
            let mut target_length = max_length;
            if stream.uniform() < switches.short_seq_prob.unwrap() {
                target_length = 5 + stream.below(max_length as u64 - 4) as usize;
            }
            let (mut current, mut current_length) = (Vec::new(), 0);
            while current_length < target_length
                && let Some(sentence) = sentences.next()
            {
                current_length += sentence.len();
                current.push(sentence);
            }
            let single = stream.uniform() < switches.single_prob.unwrap();
            let first_target = if single { 100_000 } else { (target_length - specials) / 2 };
            let (mut first, mut second) = (Vec::new(), Vec::new());
            for sentence in current {
                if first.is_empty()
                    || first.len() + sentence.len() < first_target
                    || (second.is_empty() && first.len() < first_target && stream.uniform() < 0.5)
                {
                    first.extend(sentence);
                } else {
                    second.extend(sentence);
                }
            }
            first.truncate(max_length - 2);
            second.truncate(max_length.saturating_sub(first.len() + specials));
            examples.push((first, second, None));
        }
        examples
    }
}

/// `truncate_seq_pair`. Which side loses is the same; its coins come in words, those of A before those of B.
fn truncate_seq_pair(
    tokens_a: &mut Vec<u32>,
    tokens_b: &mut Vec<u32>,
    max_num_tokens: usize,
    stream: &mut Stream,
) {
    let (mut a, mut b) = (tokens_a.len(), tokens_b.len());
    while a + b > max_num_tokens {
        *(if a > b { &mut a } else { &mut b }) -= 1;
    }
    for (tokens, len) in [(tokens_a, a), (tokens_b, b)] {
        let (mut coins, mut count) = (0, 0);
        while tokens.len() > len {
            if count % 64 == 0 {
                coins = stream.next_u64();
            }
            if coins >> (63 - count % 64) & 1 == 1 {
                tokens.remove(0);
            } else {
                tokens.pop();
            }
            count += 1;
        }
    }
}

/// What the reference makes of all rows, in the order of the layout.
fn expected(
    rows: &[(u8, Vec<u16>)],
    block: &Block,
    variant: u32,
    pack: impl Fn(&Text, usize, &mut Stream) -> Vec<Pair>,
) -> Vec<Pair> {
    let (text, lens) = (Text::new(rows), block.sentence_lens());
    let key = Key::root(0).named("pack").index(u64::from(variant));
    let order = Permutation::new(rows.len() as u64, key);
    let row = |position| order.apply(position) as usize;
    (0..order.len()).flat_map(|at| pack(&text, row(at), &mut draws(lens, key, row(at), 0))).collect()
}

fn found(block: &Block, layout: &Layout) -> Vec<Pair> {
    let pair = |placement: Placement<'_>| {
        let sample = block.sample(placement);
        let mut segments = sample.segments().map(<[u32]>::to_vec);
        let (first, second) = (segments.next().unwrap(), segments.next().unwrap_or_default());
        (first, second, sample.relation.map(|relation| relation.label() == 1))
    };
    layout.samples().map(pair).collect()
}

proptest! {
    #[test]
    fn segment_pairs_are_those_of_the_original(
        rows in rows(), max_len in 6u32..100, sop in any::<bool>(), short in 0.0..1.0, negative in 0.0..1.0,
    ) {
        let block = block(&rows);
        let switches = PackSwitches {
            pair_task: Some(if sop { PairTask::Sop } else { PairTask::Nsp }),
            short_seq_prob: Some(short),
            negative_prob: Some(negative),
            ..PackSwitches::default()
        };
        let spec = PackSpec::with(PackFormat::SegmentPair, max_len, &switches).unwrap();
        let expected =
            expected(&rows, &block, 3, |text, row, stream| text.segment_pairs(row, &spec, stream));
        prop_assert_eq!(found(&block, &layout(block.sentence_lens(), &spec, 3)), expected);
    }

    #[test]
    fn electra_is_that_of_the_original(rows in rows(), max_len in 6u32..100, short in 0.0..1.0) {
        let block = block(&rows);
        let switches = PackSwitches { short_seq_prob: Some(short), ..PackSwitches::default() };
        let spec = PackSpec::with(PackFormat::SegmentHalves, max_len, &switches).unwrap();
        let expected = expected(&rows, &block, 3, |text, row, stream| text.electra(row, &spec, stream));
        prop_assert_eq!(found(&block, &layout(block.sentence_lens(), &spec, 3)), expected);
    }
}
