//! FULL-SENTENCES, DOC-SENTENCES and span blocks.

use super::*;

#[test]
fn sentences_are_packed_as_the_paper_says() {
    // One document: 5 + 4 fit into 10 - 2 only one by one; 3 goes with 4; 20 is cut into 8, 8 and 4.
    let block = block(&[(0, vec![5, 4, 3, 20, 1])]);
    for format in [PackFormat::FullSentences, PackFormat::DocSentences, PackFormat::SpanBlocks] {
        let layout = layout(block.sentence_lens(), &spec(format, 10), 0);
        assert_eq!(sketch(&layout), "0-5 5-12 12-20 20-28 28-33", "{format}");
    }
}

#[test]
fn a_separator_is_paid_between_documents() {
    // 3 + separator + 4 = 8 = 10 - 2 fits exactly; with 9 it does not.
    let block = block(&[(0, vec![4]), (1, vec![3])]);
    let full = |max_len| layout(block.sentence_lens(), &spec(PackFormat::FullSentences, max_len), 0);
    assert_eq!((full(10).len(), full(9).len()), (1, 2));
    let sample = block.sample(full(10).sample(0));
    let mut lens: Vec<_> = sample.segments().map(<[u32]>::len).collect();
    lens.sort();
    assert_eq!(lens, [3, 4]);
}

#[test]
fn full_sentences_are_pinned() {
    let rows: Vec<_> = (0..20).map(|document| (document, vec![7, 9])).collect();
    let layout = layout(block(&rows).sentence_lens(), &spec(PackFormat::FullSentences, 32), 0);
    // A change here changes every run ever made: it must be on purpose.
    let pinned = Segment::new(304, 320);
    assert_eq!(layout.sample(0).segments[0], pinned, "the definition of a packing has changed");
}

#[test]
fn long_sentences_can_be_skipped() {
    let block = block(&[(0, vec![3, 20, 4, 2])]);
    let skip = PackSwitches { long_sentences: Some(LongSentences::Skip), ..PackSwitches::default() };
    let spec = PackSpec::with(PackFormat::SpanBlocks, 12, &skip).unwrap();
    let layout = layout(block.sentence_lens(), &spec, 0);
    assert_eq!((sketch(&layout).as_str(), layout.uncovered(block.sentence_lens())), ("0-3 23-29", 20));
}

#[test]
fn short_blocks_are_as_frequent_as_asked() {
    let rows: Vec<_> = (0..2000u32).map(|row| (row as u8, vec![1; 40])).collect();
    let block = block(&rows);
    for (prob, bounds) in [(0.0, 0..1), (0.1, 160..240), (1.0, 1900..2001)] {
        let short = PackSwitches { short_seq_prob: Some(prob), ..PackSwitches::default() };
        let spec = PackSpec::with(PackFormat::SpanBlocks, 34, &short).unwrap();
        let layout = layout(block.sentence_lens(), &spec, 0);
        let first = |placement: &Placement<'_>| placement.segments[0].start.is_multiple_of(40);
        let short = layout.samples().filter(first).filter(|sample| sample.segments[0].len() < 32).count();
        assert!(bounds.contains(&short), "{prob}: {short}");
    }
}

fn cut() -> impl Strategy<Value = PackFormat> {
    prop::sample::select(vec![PackFormat::FullSentences, PackFormat::DocSentences, PackFormat::SpanBlocks])
}

proptest! {
    #[test]
    fn every_token_lies_in_exactly_one_sample(
        rows in rows(), format in cut(), max_len in 3u32..130, short in any::<bool>(), variant in 0u32..5,
    ) {
        let block = block(&rows);
        let short = (short && format == PackFormat::SpanBlocks).then_some(0.5);
        let switches = PackSwitches { short_seq_prob: short, ..PackSwitches::default() };
        let spec = PackSpec::with(format, max_len, &switches).unwrap();
        let layout = layout(block.sentence_lens(), &spec, variant);
        prop_assert!(seen(&block, &layout).iter().all(|&count| count == 1));
        prop_assert_eq!(layout.uncovered(block.sentence_lens()), 0);
        for placement in layout.samples() {
            prop_assert_eq!(placement.relation, None);
            // One segment means one row, and so one document.
            prop_assert!(format == PackFormat::FullSentences || placement.segments.len() == 1);
        }
    }

    #[test]
    fn only_sentences_that_cannot_fit_are_cut(rows in rows(), format in cut(), max_len in 3u32..80) {
        let block = block(&rows);
        let layout = layout(block.sentence_lens(), &spec(format, max_len), 0);
        let mut inside = vec![false; block.ids().len() + 1];
        for (row, (_, lens)) in rows.iter().enumerate() {
            let mut at = block.sentence_lens().start(row);
            for &len in lens {
                let len = u32::from(len);
                if len <= max_len - 2 {
                    (at + 1..at + len).for_each(|token| inside[token as usize] = true);
                }
                at += len;
            }
        }
        for segment in layout.samples().flat_map(|placement| placement.segments) {
            prop_assert!(!inside[segment.start as usize] && !inside[segment.end as usize]);
        }
    }

    #[test]
    fn a_skipped_sentence_takes_nothing_else_with_it(rows in rows(), max_len in 3u32..80) {
        let block = block(&rows);
        let skip = PackSwitches { long_sentences: Some(LongSentences::Skip), ..PackSwitches::default() };
        let spec = PackSpec::with(PackFormat::SpanBlocks, max_len, &skip).unwrap();
        let long = rows.iter().flat_map(|(_, lens)| lens).map(|&len| u32::from(len));
        let long: u32 = long.filter(|&len| len > max_len - 2).sum();
        prop_assert_eq!(layout(block.sentence_lens(), &spec, 0).uncovered(block.sentence_lens()), long);
    }
}
