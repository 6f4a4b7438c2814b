//! Sentence pairs, segment pairs and ELECTRA's.

use super::*;

const PAIRS: [PackFormat; 2] = [PackFormat::SentencePair, PackFormat::SegmentPair];

fn sop(switches: PackSwitches) -> PackSwitches {
    PackSwitches { pair_task: Some(PairTask::Sop), ..switches }
}

fn count(layout: &Layout, relation: Relation) -> usize {
    layout.samples().filter(|sample| sample.relation == Some(relation)).count()
}

/// The share of the second relation among the two.
fn share(layout: &Layout, one: Relation, two: Relation) -> f64 {
    let (one, two) = (count(layout, one) as f64, count(layout, two) as f64);
    two / (one + two)
}

proptest! {
    #[test]
    fn relations_are_what_they_say(rows in rows(), spec in specs(), variant in 0u32..4) {
        let block = block(&rows);
        let lens = block.sentence_lens();
        let documents: std::collections::BTreeSet<_> =
            rows.iter().filter(|(_, lens)| lens.iter().any(|&len| len > 0)).map(|&(document, _)| document).collect();
        let room = spec.max_len() - spec.switches().pair_specials.unwrap_or(0);
        let sop = spec.switches().pair_task == Some(PairTask::Sop);
        for placement in layout(lens, &spec, variant).samples() {
            let Some(relation) = placement.relation else {
                prop_assert!(!PAIRS.contains(&spec.format()));
                continue;
            };
            prop_assert!(PAIRS.contains(&spec.format()));
            let [first, second] = placement.segments else { panic!("no pair: {placement:?}") };
            let (in_first, in_second) = (row_of(&block, first).unwrap(), row_of(&block, second).unwrap());
            let (left, right) = if relation == Relation::Swapped { (second, first) } else { (first, second) };
            if relation == Relation::Random {
                let other = lens.document(in_first) != lens.document(in_second);
                prop_assert!(other || documents.len() == 1);
                prop_assert!(!sop || spec.switches().lone_sentence == Some(LoneSentence::Random));
            } else {
                prop_assert_eq!(in_first, in_second);
                prop_assert!(left.end <= right.start);
                // Only truncation leaves a gap.
                prop_assert!(left.end == right.start || left.len() + right.len() == room);
                prop_assert_eq!(sop, matches!(relation, Relation::InOrder | Relation::Swapped));
            }
        }
    }

    #[test]
    fn nothing_is_lost_but_by_truncation(rows in rows(), variant in 0u32..4) {
        let block = block(&rows);
        let most = rows.iter().flat_map(|(_, lens)| lens).map(|&len| u32::from(len)).max().unwrap_or(0);
        // Two sentences always fit.
        let spec = spec(PackFormat::SentencePair, 2 * most + 5);
        prop_assert_eq!(layout(block.sentence_lens(), &spec, variant).uncovered(block.sentence_lens()), 0);
    }

    #[test]
    fn electra_goes_on_where_it_was(rows in rows(), max_len in 6u32..100, interleaved in any::<bool>()) {
        let block = block(&rows);
        let switches = PackSwitches { interleaved: Some(interleaved), ..PackSwitches::default() };
        let spec = PackSpec::with(PackFormat::SegmentHalves, max_len, &switches).unwrap();
        let layout = layout(block.sentence_lens(), &spec, 0);
        // No token lies in two samples.
        prop_assert_eq!(
            layout.tokens() + u64::from(layout.uncovered(block.sentence_lens())),
            block.ids().len() as u64
        );
        for placement in layout.samples() {
            let row = row_of(&block, &placement.segments[0]);
            prop_assert!(placement.segments.iter().all(|segment| row_of(&block, segment) == row));
            if !interleaved {
                prop_assert!(placement.segments.len() <= 2);
                prop_assert!(placement.segments.is_sorted_by_key(|segment| segment.start));
            }
        }
    }
}

#[test]
fn labels_are_balanced() {
    let block = prose(60, 300);
    let lens = block.sentence_lens();
    let within =
        |share: f64, expected: f64| assert!((share - expected).abs() < 0.02, "{share}, not {expected}");
    for format in PAIRS {
        let layout = layout(lens, &spec(format, 128), 0);
        assert!(layout.len() > 2000);
        within(share(&layout, Relation::Next, Relation::Random), 0.5);
    }
    for (prob, max_len) in [(None, 128), (Some(0.2), 128), (None, 512)] {
        let switches = sop(PackSwitches { negative_prob: prob, ..PackSwitches::default() });
        let spec = PackSpec::with(PackFormat::SegmentPair, max_len, &switches).unwrap();
        let layouts: Vec<_> = (0..4).map(|variant| layout(lens, &spec, variant)).collect();
        let sum = |relation| layouts.iter().map(|layout| count(layout, relation)).sum::<usize>() as f64;
        let (in_order, swapped) = (sum(Relation::InOrder), sum(Relation::Swapped));
        within(swapped / (in_order + swapped), prob.unwrap_or(0.5));
        assert_eq!(sum(Relation::Next), 0.0);
    }
}

#[test]
fn certain_draws_are_certain() {
    let block = prose(9, 40);
    for (prob, never) in [(0.0, Relation::Swapped), (1.0, Relation::InOrder)] {
        let switches = sop(PackSwitches { negative_prob: Some(prob), ..PackSwitches::default() });
        let spec = PackSpec::with(PackFormat::SegmentPair, 64, &switches).unwrap();
        assert_eq!(count(&layout(block.sentence_lens(), &spec, 0), never), 0);
    }
}

#[test]
fn a_lone_sentence_gets_a_second_from_elsewhere_or_none() {
    let rows = block(&[(0, vec![6]), (1, vec![7]), (1, vec![8])]);
    for task in [PairTask::Nsp, PairTask::Sop] {
        let random = PackSwitches { pair_task: Some(task), ..PackSwitches::default() };
        let spec = PackSpec::with(PackFormat::SegmentPair, 20, &random).unwrap();
        let found = layout(rows.sentence_lens(), &spec, 0);
        assert_eq!((found.len(), count(&found, Relation::Random)), (3, 3));
        let drop = PackSwitches { lone_sentence: Some(LoneSentence::Drop), ..random };
        let spec = PackSpec::with(PackFormat::SegmentPair, 20, &drop).unwrap();
        let found = layout(rows.sentence_lens(), &spec, 0);
        assert_eq!((found.len(), found.uncovered(rows.sentence_lens())), (0, 21));
    }
}

#[test]
fn the_only_document_is_its_own_other() {
    let block = block(&[(4, vec![5])]);
    for format in PAIRS {
        let layout = layout(block.sentence_lens(), &spec(format, 32), 0);
        assert_eq!(sketch(&layout), "Random:0-5/0-5", "{format}");
    }
}

#[test]
fn a_pair_that_is_too_long_is_cut_at_both_ends() {
    let block = block(&[(0, vec![300]), (1, vec![2])]);
    let all: Vec<_> = (0..50)
        .map(|variant| layout(block.sentence_lens(), &spec(PackFormat::SentencePair, 103), variant))
        .collect();
    let long = |layout: &Layout| {
        *layout.samples().flat_map(|sample| sample.segments).find(|segment| segment.len() > 2).unwrap()
    };
    let mut starts: Vec<u32> = all.iter().map(|layout| long(layout).start).collect();
    assert!(
        all.iter().all(|layout| long(layout).len() == 98 && layout.uncovered(block.sentence_lens()) >= 101)
    );
    // 202 coins: 101 from the front, with a standard deviation of 7.1.
    let mean = starts.iter().sum::<u32>() as f64 / starts.len() as f64;
    assert!((mean - 101.0).abs() < 4.0, "{mean}");
    starts.sort();
    starts.dedup();
    assert!(starts.len() > 10 && starts[0] > 70 && starts[starts.len() - 1] < 132, "{starts:?}");
}

#[test]
fn short_pairs_are_as_frequent_as_asked() {
    let rows: Vec<_> = (0..2000u32).map(|row| (row as u8, vec![1; 250])).collect();
    let block = block(&rows);
    for (prob, bounds) in [(None, 160..240), (Some(0.0), 0..1), (Some(0.5), 900..1100)] {
        let switches = sop(PackSwitches { short_seq_prob: prob, ..PackSwitches::default() });
        let spec = PackSpec::with(PackFormat::SegmentPair, 103, &switches).unwrap();
        let layout = layout(block.sentence_lens(), &spec, 0);
        // The first sample of each row has all the length that was aimed at.
        let first =
            |sample: &Placement<'_>| sample.segments.iter().any(|segment| segment.start.is_multiple_of(250));
        let len = |sample: Placement<'_>| sample.segments.iter().map(Segment::len).sum::<u32>();
        let lens: Vec<u32> = layout.samples().filter(first).map(len).collect();
        let short = lens.iter().filter(|&&len| len < 100).count();
        assert_eq!(lens.len(), 2000);
        assert!(bounds.contains(&short), "{prob:?}: {short}");
        assert!(lens.iter().all(|&len| (2..=100).contains(&len)));
    }
}

#[test]
fn electra_draws_as_often_as_its_code() {
    let rows: Vec<_> = (0..100u32).map(|row| (row as u8, vec![3; 1000])).collect();
    let block = block(&rows);
    let layout = layout(block.sentence_lens(), &spec(PackFormat::SegmentHalves, 128), 0);
    let lens: Vec<(usize, usize)> =
        layout.samples().map(|sample| block.sample(sample)).map(|s| (s.ends.len(), s.ids.len())).collect();
    let within =
        |share: f64, expected: f64| assert!((share - expected).abs() < 0.02, "{share}, not {expected}");
    let (short, full): (Vec<_>, Vec<_>) = lens.iter().partition(|&&(_, len)| len < 120);
    // 46 of 1000 are aimed at a length from 5 to 119, and one in 25 is the rest of a row.
    within(short.len() as f64 / lens.len() as f64, 0.046 + 0.04);
    within(full.iter().filter(|&&(segments, _)| segments == 1).count() as f64 / full.len() as f64, 0.1);
    assert!(lens.len() > 2300);
    assert!(lens.iter().all(|&(segments, len)| len <= 127 - segments));
}
