//! BERT's settings and objective: what the published configurations come to, what is refused, what a sample
//! becomes.

use std::collections::BTreeSet;

use corpus::{Relation, Sample};
use plan::Key;

use super::FAMILY;
use crate::common::testing::{
    Bench, Fates, Published, SIZE, check_examples, check_published, full_sample, split_words, vocabulary,
};
use crate::{Init, Normaliser, Term};

/// Counted with `BertForPreTraining` of Transformers; the round numbers are those of Devlin et al. 2019 and
/// of the README of google-research/bert, those of the compact models are of Turc et al. 2019.
const PUBLISHED: [Published<'_>; 10] = [
    ("base", 30_522, &[110_106_428], Some(110.0)),
    ("base-cased", 28_996, &[108_932_934], Some(110.0)),
    ("cpu", 8_192, &[3_460_738], None),
    ("large", 30_522, &[336_226_108], Some(340.0)),
    ("large-cased", 28_996, &[334_661_958], Some(340.0)),
    ("large-whole-word", 30_522, &[336_226_108], Some(340.0)),
    ("medium", 30_522, &[41_668_412], Some(41.7)),
    ("mini", 30_522, &[11_267_900], Some(11.3)),
    ("small", 30_522, &[29_058_876], Some(29.1)),
    ("tiny", 30_522, &[4_433_468], Some(4.4)),
];

fn bench() -> Bench {
    Bench::new(FAMILY)
}

/// A pair of segments of 2 and 1 tokens.
fn pair(relation: Relation) -> Sample {
    Sample { relation: Some(relation), ..Sample::new([[10, 11].as_slice(), &[13]]) }
}

#[test]
fn the_published_models_have_their_published_sizes() {
    check_published(FAMILY, &PUBLISHED);
}

#[test]
fn mistakes_name_the_key_and_the_remedy() {
    bench().check_common_mistakes();
    bench().check_mistakes(&[
        ("model.embedding=128", "unknown key `model.embedding`"),
        (
            "objective.whole_word=true",
            "unknown key `objective.whole_word`; did you mean `objective.whole_words`?",
        ),
        (
            "objective.max_prediction=20",
            "unknown key `objective.max_prediction`; did you mean `objective.max_predictions`?",
        ),
        (
            "objective.format=segment-halves",
            "`objective.format` is segment-halves; this family has no head for it, it takes: segment-pair, ",
        ),
        (
            "objective.normaliser=global",
            "`objective.normaliser` is global, but the loss has 2 terms; take `group`",
        ),
        ("objective.max_predictions=-1", "[objective] invalid value: integer `-1`"),
        ("objective.whole_words=1", "[objective] invalid type: integer `1`, expected a boolean"),
        ("objective.pair_task=order", "[objective] unknown variant `order`, expected `nsp` or `sop`"),
    ]);
    bench().recipe(&["objective.normaliser=global", "objective.format=full-sentences"]);
}

#[test]
fn a_sample_has_room_for_a_target() {
    bench()
        .check_mistakes(&[("objective.max_predictions=0", "`objective.max_predictions` must be at least 1")]);
}

#[test]
fn switches_of_packing_are_named_themselves() {
    bench().check_mistakes(&[
        ("objective.negative_prob=1.5", "`objective.negative_prob` "),
        ("objective.short_seq_prob=-0.1", "`objective.short_seq_prob` "),
        ("objective.pair_specials=5", "`objective.pair_specials` "),
        ("objective.single_prob=0.1", "`objective.single_prob` "),
        ("objective.long_sentences=skip", "`objective.long_sentences` "),
        ("objective.max_len=4", "`objective.max_len` "),
    ]);
}

#[test]
fn the_loss_has_a_term_for_pairs_if_there_are_pairs() {
    let recipe = bench().recipe(&[]);
    let term = |name| Term { name, weight: 1.0 };
    assert_eq!(recipe.terms(), [term("mlm"), term("nsp")]);
    assert_eq!(recipe.ratios(), ["mlm_accuracy", "pair_accuracy"]);
    assert_eq!((recipe.normaliser(), recipe.static_masks()), (Normaliser::Group, true));
    // 15 % of 10 samples of 128 tokens, and 10 pairs.
    let [masked, pairs] = recipe.expected_targets(10)[..] else { panic!("one number for each term") };
    assert!((masked - 192.0).abs() < 1e-9 && pairs == 10.0, "{masked}, {pairs}");
    assert_eq!(bench().recipe(&["objective.pair_task=sop"]).terms()[1].name, "sop");
    assert_eq!(bench().recipe(&["objective.format=sentence-pair"]).terms()[1].name, "nsp");
    let single = bench().recipe(&["objective.format=full-sentences", "objective.masking=dynamic"]);
    assert_eq!((single.terms(), single.static_masks()), (vec![term("mlm")], false));
    assert_eq!((single.ratios().len(), single.expected_targets(10).len()), (1, 1));
}

#[test]
fn segments_stand_between_special_tokens_which_are_never_masked() {
    let recipe = bench().recipe(&["objective.mask_rate=0.5"]);
    for (relation, label) in [(Relation::Next, 0), (Relation::Random, 1)] {
        for example in check_examples(&*recipe, &pair(relation), &[0, 10, 11, 2, 13, 2]) {
            assert_eq!((example.second_segment, example.relation), (Some(4), Some(label)));
            assert!(example.span_targets.is_empty());
        }
    }
    let lone = Sample::new([[10, 11, 13].as_slice()]);
    for example in check_examples(&*recipe, &lone, &[0, 10, 11, 13, 2]) {
        assert_eq!((example.second_segment, example.relation), (None, None));
    }
    let four = bench().recipe(&["objective.pair_specials=4"]);
    for example in check_examples(&*four, &pair(Relation::Next), &[0, 10, 11, 2, 2, 13, 2]) {
        assert_eq!(example.second_segment, Some(5));
    }
    let plain = bench().recipe(&["objective.format=full-sentences"]);
    for example in check_examples(&*plain, &Sample::new([[10, 11].as_slice(), &[13]]), &[0, 10, 11, 2, 13, 2])
    {
        assert_eq!((example.second_segment, example.relation), (None, None));
    }
}

#[test]
fn the_number_of_targets_is_bounded() {
    let targets = |settings: &[&str], row| {
        let recipe = bench().recipe(settings);
        recipe.example(&full_sample(2, 3, row), &[], Key::root(row)).target_ids.len()
    };
    for row in 0..20 {
        // round(0.15 * 128); ceil(0.15 * 128) is as many as there may be.
        assert_eq!(targets(&[], row), 19);
        assert_eq!(targets(&["objective.max_predictions=5"], row), 5);
        assert_eq!(targets(&["objective.mask_rate=1.0"], row), 125);
        // round(0.8086 * 128) = round(103.5): without the rounding up there would be one less.
        assert_eq!(targets(&["objective.mask_rate=0.8086"], row), 104);
    }
}

#[test]
fn words_are_masked_whole_on_demand() {
    assert_eq!(split_words(&*bench().recipe(&["objective.whole_words=true"]), 3), 0);
    assert!(split_words(&*bench().recipe(&[]), 3) > 100);
}

#[test]
fn random_tokens_are_of_the_whole_vocabulary_and_padding_is_never_drawn() {
    let bench = Bench { vocabulary: vocabulary(10), ..bench() };
    let settings = ["objective.mask_rate=1.0", "objective.mask_share=0.0", "objective.random_share=1.0"];
    let recipe = bench.recipe(&[settings.as_slice(), &["model.vocab_size=1024"]].concat());
    assert_eq!(recipe.parameters()[0].shape, [1_024, 192]);
    let sample = Sample::new([[5; 60].as_slice(), &[6; 60]]);
    let drawn = |row| recipe.example(&sample, &[], Key::root(row)).input_ids;
    let drawn: BTreeSet<u32> = (0..20).flat_map(drawn).collect();
    assert_eq!(drawn.into_iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
}

#[test]
fn of_a_million_tokens_as_many_are_masked_as_were() {
    let one = 1.0 / f64::from(SIZE);
    for settings in [&[][..], &["objective.whole_words=true"]] {
        let fates = Fates::of(&*bench().recipe(settings), 2, 3, &[], false);
        let rate = fates.targets / fates.tokens;
        // Exactly round(0.15 * 128) of 128; whole words fall short of it now and then.
        assert!(rate <= 19.0 / 128.0 && rate > 0.995 * 19.0 / 128.0, "{rate}");
        assert!(!settings.is_empty() || rate == 19.0 / 128.0, "{rate}");
        // A random token may be the mask token, or the original.
        fates.check([0.8 + 0.1 * one, 0.1 * (1.0 - 2.0 * one), 0.1 + 0.1 * one]);
    }
}

#[test]
fn batches_have_one_length_whatever_is_in_them() {
    let recipe = bench().recipe(&[]);
    let example = recipe.example(&pair(Relation::Random), &[], Key::root(1));
    let batch = recipe.collate(&[example.clone(), example]);
    assert_eq!((batch.rows, batch.len, batch.tokens()), (2, 128, 12));
    assert!(batch.input_ids[6..128].iter().all(|&id| id == 1));
    assert_eq!((batch.segment_ids[..7].to_vec(), batch.relations), (vec![0, 0, 0, 0, 1, 1, 0], vec![1, 1]));
}

#[test]
fn an_exported_model_is_opened_again() {
    let recipe = bench().check_reopened(&[]);
    assert_eq!(recipe.exports()[0].config["architectures"][0], "BertForPreTraining");
    let has_pooler = |settings: &[&str]| {
        let recipe = bench().check_reopened(settings);
        recipe.parameters().iter().any(|spec| spec.name == "bert.pooler.dense.weight")
    };
    assert!(has_pooler(&["objective.format=sentence-pair", "model.vocab_size=1024"]));
    assert!(!has_pooler(&["objective.format=full-sentences"]));
    assert!(!has_pooler(&[
        "objective.format=span-blocks",
        "model.max_positions=600",
        "model.activation=gelu"
    ]));
    let sizes = ["model.feed_forward=100", "model.dropout=0.2", "model.attention_dropout=0.3"];
    assert!(has_pooler(&sizes));
    assert!(has_pooler(&["model.layer_norm_epsilon=1e-5", "model.init_std=0.01"]));
    bench().check_foreign_directory();
}

#[test]
fn weights_begin_as_in_the_original() {
    for format in ["segment-pair", "full-sentences"] {
        let settings = ["model.init_std=0.03", &format!("objective.format={format}")];
        bench().check_first_values(&settings, |_| Init::TruncatedNormal { std: 0.03 });
    }
}
