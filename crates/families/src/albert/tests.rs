//! ALBERT's settings and objective: what the published configurations come to, what is refused, what a sample
//! becomes.

use std::collections::BTreeSet;

use corpus::{Relation, Sample};
use plan::Key;

use super::FAMILY;
use crate::common::testing::{
    Bench, Fates, Published, SIZE, check_examples, check_published, full_sample, restored, split_words,
    vocabulary, words,
};
use crate::{Export, Init, Normaliser, Term};

/// Counted with `AlbertForPreTraining` of Transformers; the round numbers are those of Lan et al. 2020, and
/// of the model's card for xxlarge, whose shapes do not have the paper's 235 millions.
const PUBLISHED: [Published<'_>; 9] = [
    ("base", 30_000, &[11_813_810], Some(12.0)),
    ("base-v1", 30_000, &[11_813_810], Some(12.0)),
    ("cpu", 8_192, &[1_605_698], None),
    ("large", 30_000, &[17_847_474], Some(18.0)),
    ("large-v1", 30_000, &[17_847_474], Some(18.0)),
    ("xlarge", 30_000, &[59_021_490], Some(60.0)),
    ("xlarge-v1", 30_000, &[59_021_490], Some(60.0)),
    ("xxlarge", 30_000, &[223_158_450], Some(223.0)),
    ("xxlarge-v1", 30_000, &[223_158_450], Some(223.0)),
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
        ("model.embeding=64", "unknown key `model.embeding`; did you mean `model.embedding`?"),
        ("model.group=2", "unknown key `model.group`; did you mean `model.groups`?"),
        ("objective.ngrams=2", "unknown key `objective.ngrams`; did you mean `objective.ngram`?"),
        ("model.embedding=0", "`model.embedding` must be at least 1"),
        ("model.groups=0", "`model.groups` must be at least 1"),
        ("model.inner_groups=0", "`model.inner_groups` must be at least 1"),
        ("model.groups=5", "`model.groups` is 5, more than model.layers = 4"),
        (
            "model.share=some",
            "[model] unknown variant `some`, expected one of `all`, `ffn`, `attention`, `none`",
        ),
        ("objective.ngram=0", "`objective.ngram` must be at least 1"),
        ("objective.favor_shorter=1", "[objective] invalid type: integer `1`, expected a boolean"),
        ("objective.max_predictions=-1", "[objective] invalid value: integer `-1`"),
        (
            "objective.normaliser=global",
            "`objective.normaliser` is global, but the loss has 2 terms; take `group`",
        ),
        (
            "objective.format=segment-halves",
            "`objective.format` is segment-halves; this family has no head for it, it takes: segment-pair, ",
        ),
        ("objective.format=span-blocks", "`objective.format` is span-blocks; this family has no head for it"),
    ]);
    for share in ["ffn", "attention", "none"] {
        for groups in ["groups", "inner_groups"] {
            let settings = [format!("model.share={share}"), format!("model.{groups}=2")];
            let message = bench().parse(&[&settings[0], &settings[1]]).err().unwrap().to_string();
            let expected =
                "test.toml: `model.share` groups layers only where they share everything; leave groups";
            assert!(message.starts_with(expected), "{settings:?}: {message}");
        }
    }
}

#[test]
fn a_sample_has_room_for_a_target() {
    bench()
        .check_mistakes(&[("objective.max_predictions=0", "`objective.max_predictions` must be at least 1")]);
}

#[test]
fn the_loss_has_a_term_for_the_order_of_segments() {
    let term = |name| Term { name, weight: 1.0 };
    let recipe = bench().recipe(&[]);
    assert_eq!(recipe.terms(), [term("mlm"), term("sop")]);
    assert_eq!(recipe.ratios(), ["mlm_accuracy", "pair_accuracy"]);
    assert_eq!((recipe.normaliser(), recipe.static_masks()), (Normaliser::Group, true));
    let [masked, pairs] = recipe.expected_targets(10)[..] else { panic!("one number for each term") };
    assert!((masked - 192.0).abs() < 1e-9 && pairs == 10.0, "{masked}, {pairs}");
    assert_eq!(bench().recipe(&["objective.pair_task=nsp"]).terms()[1].name, "nsp");
    assert_eq!(bench().recipe(&["objective.format=doc-sentences"]).terms(), [term("mlm")]);
}

#[test]
fn segments_stand_between_special_tokens_which_are_never_masked() {
    let recipe = bench().recipe(&["objective.mask_rate=0.5"]);
    for (relation, label) in [(Relation::InOrder, 0), (Relation::Swapped, 1), (Relation::Random, 1)] {
        for example in check_examples(&*recipe, &pair(relation), &[0, 10, 11, 2, 13, 2]) {
            assert_eq!((example.second_segment, example.relation), (Some(4), Some(label)));
            assert!(example.span_targets.is_empty());
        }
    }
    let plain = bench().recipe(&["objective.format=doc-sentences"]);
    let lone = Sample::new([[10, 11, 13].as_slice()]);
    for example in check_examples(&*plain, &lone, &[0, 10, 11, 13, 2]) {
        assert_eq!((example.second_segment, example.relation), (None, None));
    }
}

#[test]
fn the_number_of_targets_is_bounded() {
    let most = |settings: &[&str]| {
        let recipe = bench().recipe(settings);
        let targets = |row| recipe.example(&full_sample(2, 3, row), &[], Key::root(row)).target_ids.len();
        (0..50).map(targets).max().unwrap()
    };
    // round(0.15 * 128); ceil(0.15 * 128) is as many as there may be.
    assert_eq!(most(&[]), 19);
    assert_eq!(most(&["objective.max_predictions=5"]), 5);
    // round(0.8086 * 128) = round(103.5): without the rounding up there would be one less.
    assert_eq!(
        most(&["objective.mask_rate=0.8086", "objective.ngram=1", "objective.whole_words=false"]),
        104
    );
}

#[test]
fn runs_of_words_are_masked_whole() {
    assert_eq!(split_words(&*bench().recipe(&[]), 3), 0);
    assert!(split_words(&*bench().recipe(&["objective.whole_words=false"]), 3) > 100);
    // The mean number of words in a run, those that touch being one.
    let mean = |settings: &[&str]| {
        let recipe = bench().recipe(&[settings, &["objective.mask_rate=0.03"]].concat());
        let (mut masked, mut runs) = (0, 0);
        for row in 0..1_000 {
            let example = recipe.example(&full_sample(2, 3, row), &[], Key::root(row));
            let is_target: Vec<bool> = words(&restored(&example))
                .iter()
                .map(|word| word.iter().all(|position| example.target_positions.contains(position)))
                .collect();
            masked += is_target.iter().filter(|&&is_target| is_target).count();
            runs += is_target.chunk_by(|a, b| a == b).filter(|run| run[0]).count();
        }
        f64::from(masked as u32) / f64::from(runs as u32)
    };
    // Few enough words that budgets cut the longer runs, so that the means of 1.64 and 2.36 are not reached.
    let [single, shorter, longer] =
        [mean(&["objective.ngram=1"]), mean(&[]), mean(&["objective.favor_shorter=false"])];
    assert!(single < 1.1 && shorter > single + 0.2 && longer > shorter + 0.2, "{single} {shorter} {longer}");
}

#[test]
fn random_tokens_are_of_the_whole_vocabulary_and_padding_is_never_drawn() {
    let bench = Bench { vocabulary: vocabulary(10), ..bench() };
    let settings = ["objective.mask_rate=1.0", "objective.mask_share=0.0", "objective.random_share=1.0"];
    let recipe = bench.recipe(&[settings.as_slice(), &["model.vocab_size=1024"]].concat());
    assert_eq!(recipe.parameters()[0].shape, [1_024, 128]);
    let sample = Sample::new([[5; 60].as_slice(), &[7; 60]]);
    let drawn = |row| recipe.example(&sample, &[], Key::root(row)).input_ids;
    let drawn: BTreeSet<u32> = (0..20).flat_map(drawn).collect();
    assert_eq!(drawn.into_iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
}

#[test]
fn of_a_million_tokens_as_many_are_masked_as_were() {
    let one = 1.0 / f64::from(SIZE);
    let fates = Fates::of(&*bench().recipe(&[]), 2, 3, &[], false);
    let rate = fates.targets / fates.tokens;
    // At most round(0.15 * 128) of 128; whole words fall short of it now and then.
    assert!(rate <= 19.0 / 128.0 && rate > 0.995 * 19.0 / 128.0, "{rate}");
    // A random token may be the mask token, or the original.
    fates.check([0.8 + 0.1 * one, 0.1 * (1.0 - 2.0 * one), 0.1 + 0.1 * one]);
}

#[test]
fn layers_share_what_they_are_told_to() {
    let layers = |settings: &[&str], part: &str| {
        let specs = bench().recipe(settings).parameters();
        specs.iter().filter(|spec| spec.name.ends_with(part)).count()
    };
    let counts = |settings: &[&str]| (layers(settings, "query.weight"), layers(settings, "ffn.weight"));
    assert_eq!(counts(&[]), (1, 1));
    assert_eq!(counts(&["model.share=attention"]), (1, 4));
    assert_eq!(counts(&["model.share=ffn"]), (4, 1));
    assert_eq!(counts(&["model.share=none"]), (4, 4));
    assert_eq!(counts(&["model.groups=2"]), (2, 2));
    assert_eq!(counts(&["model.groups=2", "model.inner_groups=3"]), (6, 6));
    assert_eq!(bench().recipe(&["model.embedding=64"]).parameters()[0].shape, [1_000, 64]);
}

#[test]
fn an_exported_model_is_opened_again() {
    let export = |settings: &[&str]| -> Export { bench().check_reopened(settings).exports().remove(0) };
    let whole = export(&[]);
    assert_eq!(
        (&whole.config["num_hidden_groups"], &whole.config["inner_group_num"]),
        (&1.into(), &1.into())
    );
    assert_eq!(whole.config["architectures"][0], "AlbertForPreTraining");
    let single = export(&["objective.format=full-sentences", "model.embedding=64", "model.vocab_size=1024"]);
    assert_eq!(single.config["architectures"][0], "AlbertForMaskedLM");
    assert!(!single.files[0].tensors.iter().any(|tensor| tensor.name == "albert.pooler.weight"));
    let grouped = export(&["model.groups=2", "model.inner_groups=3"]);
    assert_eq!(grouped.config["num_hidden_groups"], 2);
    assert_eq!(grouped.config["inner_group_num"], 3);
    export(&["model.groups=4"]);
    export(&[
        "model.dropout=0.2",
        "model.attention_dropout=0.3",
        "model.activation=gelu",
        "model.feed_forward=100",
    ]);
    // Layers that share a part are layers of their own to Transformers, which hold the same.
    let names = |export: &Export| -> Vec<String> {
        let names = export.files[0].tensors.iter().map(|tensor| tensor.name.clone());
        names.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let none = export(&["model.share=none"]);
    for share in ["ffn", "attention"] {
        let shared = export(&[&format!("model.share={share}")]);
        assert_eq!(shared.config["num_hidden_groups"], 4);
        assert_eq!(names(&shared), names(&none));
        assert_eq!(shared.files[0].tensors.len(), names(&shared).len());
    }
    bench().check_foreign_directory();
}

#[test]
fn shared_parts_are_exported_for_each_layer() {
    let holds = |share: &str, part: &str| -> Vec<String> {
        let export = bench().recipe(&[&format!("model.share={share}")]).exports().remove(0);
        let at = |layer: usize| format!("albert.encoder.albert_layer_groups.{layer}.albert_layers.0.{part}");
        let held = |layer| {
            let mut parameters = export.files[0].tensors.iter().filter(|tensor| tensor.name == at(layer));
            parameters.next().unwrap().parameter.clone()
        };
        (0..4).map(held).collect()
    };
    let is_one = |held: Vec<String>| held.iter().all(|parameter| *parameter == held[0]);
    assert!(is_one(holds("attention", "attention.query.weight")));
    assert!(is_one(holds("attention", "attention.LayerNorm.bias")));
    assert!(!is_one(holds("attention", "ffn.weight")));
    assert!(is_one(holds("ffn", "ffn_output.bias")));
    assert!(is_one(holds("ffn", "full_layer_layer_norm.weight")));
    assert!(!is_one(holds("ffn", "attention.dense.weight")));
}

#[test]
fn weights_begin_as_in_the_original() {
    for share in ["all", "ffn", "attention", "none"] {
        let settings = ["model.init_std=0.03", &format!("model.share={share}")];
        bench().check_first_values(&settings, |_| Init::TruncatedNormal { std: 0.03 });
    }
}
