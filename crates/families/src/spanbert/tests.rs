//! SpanBERT's settings and objective: what the published configurations come to, what is refused, what a
//! sample becomes.

use std::collections::BTreeSet;
use std::ops::Range;

use corpus::Sample;
use plan::Key;

use super::FAMILY;
use crate::common::testing::{
    Bench, Fates, MAX_LEN, Published, SPECIALS, check_examples, check_published, full_sample, restored,
    vocabulary, words,
};
use crate::{Example, Init, Normaliser, SpanTarget, Term};

/// `BertForMaskedLM` of Transformers, and with the head that it does not know; the round numbers are those of
/// the README of facebookresearch/SpanBERT.
const PUBLISHED: [Published<'_>; 3] = [
    ("base", 28_996, &[108_340_804, 110_300_480], Some(110.0)),
    ("cpu", 8_192, &[3_423_296, 3_584_632], None),
    ("large", 28_996, &[333_610_308, 336_998_976], Some(340.0)),
];

/// Tokens of a corpus of which no text here has any.
const NEIGHBOURS: [u32; 3] = [1_000, 1_001, 1_001];

fn bench() -> Bench {
    Bench::new(FAMILY)
}

/// Full samples of one segment, masked.
fn examples(settings: &[&str], rows: u64) -> Vec<Example> {
    let recipe = bench().recipe(settings);
    (0..rows).map(|row| recipe.example(&full_sample(1, 2, row), &NEIGHBOURS, Key::root(row))).collect()
}

/// The runs of targets without a gap.
fn spans(example: &Example) -> Vec<Range<usize>> {
    let runs = example.target_positions.chunk_by(|a, b| a + 1 == *b);
    runs.map(|run| run[0] as usize..run[0] as usize + run.len()).collect()
}

#[test]
fn the_published_models_have_their_published_sizes() {
    check_published(FAMILY, &PUBLISHED);
}

#[test]
fn mistakes_name_the_key_and_the_remedy() {
    bench().check_common_mistakes();
    bench().check_mistakes(&[
        ("model.pair_embeding=64", "unknown key `model.pair_embeding`; did you mean `model.pair_embedding`?"),
        (
            "objective.span_length=clipped",
            "unknown key `objective.span_length`; did you mean `objective.span_lengths`?",
        ),
        ("objective.max_predictions=20", "unknown key `objective.max_predictions`"),
        ("model.pair_embedding=0", "`model.pair_embedding` must be at least 1"),
        ("objective.span_p=0.0", "`objective.span_p` is 0; it must lie above 0 and not above 1"),
        ("objective.span_p=1.5", "`objective.span_p` is 1.5; it must lie above 0 and not above 1"),
        ("objective.span_p=nan", "`objective.span_p` is NaN; it must lie above 0 and not above 1"),
        ("objective.max_span=0", "`objective.max_span` must be at least 1"),
        ("objective.max_pair_targets=0", "`objective.max_pair_targets` must be at least 1"),
        ("objective.sbo_weight=-1.0", "`objective.sbo_weight` is -1; it must be 0 or a positive number"),
        ("objective.sbo_weight=nan", "`objective.sbo_weight` is NaN; it must be 0 or a positive number"),
        (
            "objective.span_lengths=cut",
            "[objective] unknown variant `cut`, expected `renormalised` or `clipped`",
        ),
        ("objective.replacement=word", "[objective] unknown variant `word`, expected `span` or `token`"),
        ("objective.random=unigram", "[objective] unknown variant `unigram`, expected `corpus` or `uniform`"),
        ("objective.whole_words=1", "[objective] invalid type: integer `1`, expected a boolean"),
        (
            "objective.normaliser=global",
            "`objective.normaliser` is global, but the loss has 2 terms; take `group`",
        ),
        (
            "objective.format=segment-pair",
            "`objective.format` is segment-pair; this family has no head for it, it takes: span-blocks, ",
        ),
    ]);
    bench().recipe(&["objective.span_p=1.0"]);
}

#[test]
fn the_loss_has_a_term_for_the_ends_of_spans() {
    let recipe = bench().recipe(&[]);
    let terms = |sbo| vec![Term { name: "mlm", weight: 1.0 }, Term { name: "sbo", weight: sbo }];
    assert_eq!((recipe.terms(), recipe.ratios()), (terms(1.0), vec!["mlm_accuracy", "sbo_accuracy"]));
    assert_eq!((recipe.normaliser(), recipe.static_masks()), (Normaliser::GroupOverTargets, false));
    let targets = recipe.expected_targets(10);
    assert!(
        targets.len() == 2 && targets.iter().all(|targets| (targets - 192.0).abs() < 1e-9),
        "{targets:?}"
    );
    assert_eq!(bench().recipe(&["objective.sbo_weight=0.5"]).terms(), terms(0.5));
}

#[test]
fn segments_stand_between_special_tokens_which_are_never_masked() {
    let recipe = bench().recipe(&["objective.mask_rate=0.5"]);
    let block = Sample::new([[10, 11, 12, 13].as_slice()]);
    for example in check_examples(&*recipe, &block, &[0, 10, 11, 12, 13, 2]) {
        assert_eq!((example.second_segment, example.relation), (None, None));
    }
    let recipe = bench().recipe(&["objective.format=full-sentences"]);
    for example in
        check_examples(&*recipe, &Sample::new([[10, 11].as_slice(), &[13]]), &[0, 10, 11, 2, 13, 2])
    {
        assert_eq!((example.second_segment, example.relation), (None, None));
        // ceil(0.15 * 2) and ceil(0.15 * 1).
        assert_eq!(example.target_ids.len(), 2);
    }
}

#[test]
fn targets_of_spans_are_between_their_ends() {
    let recipe = bench().recipe(&["objective.whole_words=false"]);
    // A block of ten tokens has two targets: a span of two, or two of one.
    let block: Vec<u32> = (10..20).collect();
    let mut seen = BTreeSet::new();
    for example in
        check_examples(&*recipe, &Sample::new([block.as_slice()]), &[&[0], &block[..], &[2]].concat())
    {
        let target = |left: u32, right, offset| SpanTarget { left, right, offset, id: 9 + left + offset };
        let expected = match example.target_positions[..] {
            [1, 2] | [9, 10] | [1, 10] => vec![],
            [1, other] | [other, 10] => vec![target(other - 1, other + 1, 1)],
            [one, other] if one + 1 == other => {
                vec![target(one - 1, other + 1, 1), target(one - 1, other + 1, 2)]
            }
            [one, other] => vec![target(one - 1, one + 1, 1), target(other - 1, other + 1, 1)],
            _ => panic!("{example:?}"),
        };
        assert_eq!(example.span_targets, expected, "{example:?}");
        seen.insert(expected.iter().map(|target| target.offset).collect::<Vec<_>>());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [vec![], vec![1], vec![1, 1], vec![1, 2]]);
}

#[test]
fn only_the_first_tokens_of_a_span_are_targets_of_its_ends() {
    for (most, settings) in [(20, &[][..]), (2, &["objective.max_pair_targets=2"])] {
        let (mut outer, mut longer) = (0, 0);
        for example in examples(&[settings, &["objective.mask_rate=0.4"]].concat(), 500) {
            let mut expected = Vec::new();
            for span in spans(&example) {
                let (left, right) = (span.start as u32 - 1, span.end as u32);
                if left == 0 || right as usize == MAX_LEN - 1 {
                    outer += 1;
                    continue;
                }
                longer += usize::from(span.len() > most);
                let ids = restored(&example)[span].to_vec();
                let place = |(offset, id)| SpanTarget { left, right, offset, id };
                expected.extend((1..).zip(ids).take(most).map(place));
            }
            assert_eq!(example.span_targets, expected);
        }
        assert!(
            outer > 50 && longer > 5,
            "{outer} spans at an end of their block, {longer} of more than {most}"
        );
    }
}

#[test]
fn spans_do_not_look_over_separators() {
    let recipe = bench().recipe(&["objective.format=full-sentences", "objective.mask_rate=0.5"]);
    let sample = Sample::new([[10, 11, 13].as_slice(), &[14, 16, 17]]);
    for row in 0..300 {
        let example = recipe.example(&sample, &[], Key::root(row));
        assert_eq!(restored(&example), [0, 10, 11, 13, 2, 14, 16, 17, 2]);
        assert!(
            example.span_targets.iter().all(|target| [(1, 3), (5, 7)].contains(&(target.left, target.right)))
        );
    }
}

#[test]
fn spans_begin_with_words() {
    let inside = |settings: &[&str]| {
        let in_example = |example: Example| {
            let firsts: Vec<usize> = words(&restored(&example)).iter().map(|word| word[0] as usize).collect();
            spans(&example).iter().filter(|span| !firsts.contains(&span.start)).count()
        };
        examples(settings, 200).into_iter().map(in_example).sum::<usize>()
    };
    assert_eq!(inside(&[]), 0);
    assert!(inside(&["objective.whole_words=false"]) > 100);
}

#[test]
fn a_span_has_one_fate_unless_each_token_has_its_own() {
    let mixed = |settings: &[&str]| {
        let in_example = |example: Example| {
            let original = restored(&example);
            let fate = |position: usize| match example.input_ids[position] {
                now if now == original[position] => 'k',
                now if now == SPECIALS.mask => 'm',
                now => {
                    assert!(NEIGHBOURS.contains(&now));
                    'r'
                }
            };
            let fates = spans(&example).into_iter().map(|span| span.map(fate).collect::<BTreeSet<_>>());
            fates.filter(|fates| fates.len() > 1).count()
        };
        examples(settings, 200).into_iter().map(in_example).sum::<usize>()
    };
    assert_eq!(mixed(&[]), 0);
    assert!(mixed(&["objective.replacement=token"]) > 100);
}

#[test]
fn lengths_are_drawn_as_they_are_asked_for() {
    // Three targets in a sample: a single span, if its length is three.
    let single = |settings: &[&str]| {
        let rare = ["objective.mask_rate=0.02", "objective.span_p=0.01", "objective.whole_words=false"];
        let examples = examples(&[&rare, settings].concat(), 2_000);
        assert!(examples.iter().all(|example| example.target_ids.len() == 3));
        examples.iter().filter(|example| spans(example).len() == 1).count() as f64 / 2_000.0
    };
    // One length in three is three; with what is longer, 98 %. Spans that touch and ends of blocks add and
    // take a little.
    let (renormalised, clipped) = (
        single(&["objective.max_span=3"]),
        single(&["objective.max_span=3", "objective.span_lengths=clipped"]),
    );
    assert!(
        (0.30..0.42).contains(&renormalised) && (0.94..0.99).contains(&clipped),
        "{renormalised}, {clipped}"
    );
    assert!(single(&["objective.max_span=1"]) < 0.02);
}

#[test]
fn random_tokens_are_of_the_corpus_or_of_the_vocabulary() {
    let bench = Bench { vocabulary: vocabulary(10), ..bench() };
    let drawn = |random: &str, neighbours: &[u32]| -> Vec<u32> {
        let settings = ["objective.mask_rate=1.0", "objective.mask_share=0.0", "objective.random_share=1.0"];
        let random = format!("objective.random={random}");
        let recipe = bench.recipe(&[settings.as_slice(), &[&random, "model.vocab_size=1024"]].concat());
        assert_eq!(recipe.parameters()[0].shape, [1_024, 192]);
        let sample = Sample::new([[5, 6, 7, 7].repeat(30).as_slice()]);
        let inner = |row| recipe.example(&sample, neighbours, Key::root(row)).input_ids[1..121].to_vec();
        (0..20).flat_map(inner).collect::<BTreeSet<_>>().into_iter().collect()
    };
    assert_eq!(drawn("corpus", &[8, 9]), [8, 9]);
    assert_eq!(drawn("corpus", &[]), [5, 6, 7], "a sample without neighbours is its own corpus");
    assert_eq!(drawn("uniform", &[8, 9]), (0..10).collect::<Vec<_>>());
}

#[test]
fn of_a_million_tokens_as_many_are_masked_as_were() {
    for (settings, shared) in [(&[][..], true), (&["objective.replacement=token"], false)] {
        let fates = Fates::of(&*bench().recipe(settings), 1, 2, &NEIGHBOURS, shared);
        // ceil(0.15 * 126)
        assert_eq!(fates.targets, 19.0 * fates.tokens / 128.0);
        fates.check([0.8, 0.1, 0.1]);
    }
}

#[test]
fn batches_have_one_length_whatever_is_in_them() {
    let recipe = bench().recipe(&["objective.whole_words=false"]);
    let sample = Sample::new([[10; 10].as_slice()]);
    let mut examples = (0..).map(|row| recipe.example(&sample, &[], Key::root(row)));
    let example = examples.find(|example| example.span_targets.len() == 2).unwrap();
    let [first, second] = example.span_targets[..] else { unreachable!("there are two") };
    let batch = recipe.collate(&[example.clone(), example]);
    assert_eq!((batch.rows, batch.len, batch.tokens()), (2, 128, 24));
    assert!(batch.input_ids[12..128].iter().all(|&id| id == 1));
    assert!(batch.segment_ids.is_empty() && batch.relations.is_empty());
    let lefts = [first.left, second.left, first.left + 128, second.left + 128].map(i64::from);
    assert_eq!(batch.spans.left, lefts);
}

#[test]
fn an_exported_model_is_opened_again() {
    let recipe = bench().check_reopened(&[]);
    let [export] = &recipe.exports()[..] else { panic!("one directory") };
    assert_eq!(export.config["architectures"][0], "BertForMaskedLM");
    assert_eq!(export.config["model_type"], "bert");
    assert_eq!((export.files[0].name, export.files[1].name), ("model.safetensors", "sbo_head.safetensors"));
    assert!(export.files[0].tensors.iter().all(|tensor| !tensor.name.starts_with("sbo.")));
    assert_eq!(export.files[1].tensors.len(), 10);
    let places = |settings: &[&str]| {
        let specs = bench().check_reopened(settings).parameters();
        specs.into_iter().find(|spec| spec.name == "sbo.position_embeddings.weight").unwrap().shape
    };
    assert_eq!(places(&[]), [20, 200]);
    assert_eq!(places(&["model.pair_embedding=64", "objective.max_pair_targets=15"]), [15, 64]);
    assert_eq!(places(&["objective.format=full-sentences", "model.vocab_size=1024"]), [20, 200]);
    places(&[
        "model.dropout=0.2",
        "model.attention_dropout=0.3",
        "model.activation=gelu-tanh",
        "model.init_std=0.01",
    ]);
    bench().check_foreign_directory();
}

#[test]
fn weights_begin_as_in_the_original() {
    // No row of the tables is zero, not even the padding's.
    bench().check_first_values(&["model.init_std=0.03"], |_| Init::Normal { std: 0.03, zero_row: None });
}
