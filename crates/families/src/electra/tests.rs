//! ELECTRA's settings and objective: what the published configurations come to, what is refused, what a
//! sample becomes.

use std::collections::BTreeSet;

use corpus::Sample;
use plan::Key;

use super::FAMILY;
use crate::common::testing::{
    Bench, Fates, Published, check_examples, check_published, full_sample, vocabulary,
};
use crate::{Init, Normaliser, Recipe, Term};

/// `ElectraForPreTraining` and `ElectraForMaskedLM` of Transformers, and both together with what they share
/// counted once; the round numbers are those of Clark et al. 2020, and of the README of
/// google-research/electra for base.
const PUBLISHED: [Published<'_>; 4] = [
    ("base", 30_522, &[109_483_009, 33_740_602, 119_386_427], Some(110.0)),
    ("cpu", 8_192, &[2_906_945, 1_199_472, 3_040_945], None),
    ("large", 30_522, &[335_142_913, 51_295_290, 354_655_291], Some(335.0)),
    ("small", 30_522, &[13_549_057, 4_620_026, 14_196_219], Some(14.0)),
];

fn bench() -> Bench {
    Bench::new(FAMILY)
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
        (
            "model.generator_width=0.5",
            "unknown key `model.generator_width`; did you mean `model.generator_hidden`?",
        ),
        (
            "objective.temprature=1.0",
            "unknown key `objective.temprature`; did you mean `objective.temperature`?",
        ),
        ("model.embedding=0", "`model.embedding` must be at least 1"),
        (
            "model.generator_hidden=0.0",
            "`model.generator_hidden` is 0, which makes a generator of 4 layers of width 0 with 1 heads",
        ),
        (
            "model.generator_hidden=-0.5",
            "`model.generator_hidden` is -0.5, which makes a generator of 4 layers of ",
        ),
        // An odd width for two heads.
        (
            "model.generator_hidden=0.672",
            "`model.generator_hidden` is 0.672, which makes a generator of 4 layers of width 129 with 2 ",
        ),
        ("model.share=all", "`model.share` is all, so generator_hidden and generator_layers must be 1"),
        ("model.share=some", "[model] unknown variant `some`, expected one of `embeddings`, `all`, `none`"),
        ("objective.temperature=0.0", "`objective.temperature` is 0; it must be a positive number"),
        ("objective.temperature=nan", "`objective.temperature` is NaN; it must be a positive number"),
        ("objective.temperature=inf", "`objective.temperature` is inf; it must be a positive number"),
        (
            "objective.generator_weight=-1.0",
            "`objective.generator_weight` is -1; it must be 0 or a positive number",
        ),
        (
            "objective.discriminator_weight=inf",
            "`objective.discriminator_weight` is inf; it must be 0 or a positive",
        ),
        ("objective.sampling=greedy", "[objective] unknown variant `greedy`, expected `gumbel` or `argmax`"),
        ("objective.with_replacement=1", "[objective] invalid type: integer `1`, expected a boolean"),
        ("objective.max_predictions=-1", "[objective] invalid value: integer `-1`"),
        (
            "objective.normaliser=global",
            "`objective.normaliser` is global, but the loss has 2 terms; take `group`",
        ),
        (
            "objective.format=segment-pair",
            "`objective.format` is segment-pair; this family has no head for it, it takes: segment-halves, ",
        ),
    ]);
    let message = bench().refused("model.generator_hidden=0.0");
    assert!(message.ends_with("; take another share of model.hidden = 192"), "{message}");
    let half = ["model.share=all", "model.generator_hidden=1.0", "model.generator_layers=0.5"];
    let message = bench().parse(&half).err().unwrap().to_string();
    assert!(message.starts_with("test.toml: `model.share` is all, so generator_hidden and"), "{message}");
    bench().recipe(&half[..2]);
}

#[test]
fn a_sample_has_room_for_a_target() {
    bench()
        .check_mistakes(&[("objective.max_predictions=0", "`objective.max_predictions` must be at least 1")]);
}

#[test]
fn a_generator_without_layers_is_refused_by_their_key() {
    bench().check_mistakes(&[("model.generator_layers=0.0", "`model.generator_layers` is 0")]);
}

#[test]
fn the_loss_has_a_term_for_each_network() {
    let recipe = bench().recipe(&[]);
    let terms = |mlm, rtd| vec![Term { name: "mlm", weight: mlm }, Term { name: "rtd", weight: rtd }];
    assert_eq!(recipe.terms(), terms(1.0, 50.0));
    assert_eq!(recipe.ratios(), ["mlm_accuracy", "rtd_accuracy", "rtd_precision", "rtd_recall"]);
    assert_eq!((recipe.normaliser(), recipe.static_masks()), (Normaliser::Group, false));
    // The discriminator is asked about all of 10 samples of 128 tokens.
    let [masked, all] = recipe.expected_targets(10)[..] else { panic!("one number for each term") };
    assert!((masked - 192.0).abs() < 1e-9 && all == 1_280.0, "{masked}, {all}");
    let weighted = bench().recipe(&["objective.generator_weight=2.0", "objective.discriminator_weight=0.0"]);
    assert_eq!(weighted.terms(), terms(2.0, 0.0));
}

#[test]
fn segments_stand_between_special_tokens_which_are_never_masked() {
    let recipe = bench().recipe(&["objective.mask_rate=0.5"]);
    let halves = Sample::new([[10, 11].as_slice(), &[13]]);
    for example in check_examples(&*recipe, &halves, &[0, 10, 11, 2, 13, 2]) {
        assert_eq!((example.second_segment, example.relation), (Some(4), None));
        assert!(example.span_targets.is_empty());
    }
    let single = Sample::new([[10, 11, 13].as_slice()]);
    for example in check_examples(&*recipe, &single, &[0, 10, 11, 13, 2]) {
        assert_eq!((example.second_segment, example.relation), (None, None));
    }
    let plain = bench().recipe(&["objective.format=full-sentences"]);
    for example in check_examples(&*plain, &halves, &[0, 10, 11, 2, 13, 2]) {
        assert_eq!(example.second_segment, None);
    }
}

#[test]
fn what_spells_the_mask_token_is_never_a_target() {
    let recipe = bench().recipe(&["objective.mask_rate=1.0"]);
    let sample = Sample::new([[10, 4, 3, 1].as_slice(), &[4, 11]]);
    let examples = check_examples(&*recipe, &sample, &[0, 10, 4, 3, 1, 2, 4, 11, 2]);
    let targets: BTreeSet<u32> = examples.into_iter().flat_map(|example| example.target_ids).collect();
    assert_eq!(targets.into_iter().collect::<Vec<_>>(), [3, 10, 11]);
}

#[test]
fn the_number_of_draws_is_bounded() {
    let example = |settings: &[&str], row| {
        bench().recipe(settings).example(&full_sample(2, 3, row), &[], Key::root(row))
    };
    let draws = |settings: &[&str], row| example(settings, row).target_ids.len();
    let mut repeated = 0;
    for row in 0..20 {
        assert_eq!(draws(&[], row), 19);
        assert_eq!(draws(&["objective.max_predictions=5"], row), 5);
        // int((0.2 + 0.005) * 128) = 26 = round(0.2 * 128); int((0.4 + 0.005) * 128) = 51 = round(0.4 * 128).
        assert_eq!(draws(&["objective.mask_rate=0.2"], row), 26);
        assert_eq!(draws(&["objective.mask_rate=0.4"], row), 51);
        // round(0.0435 * 128) = 6 = int((0.0435 + 0.005) * 128).
        assert_eq!(draws(&["objective.mask_rate=0.0435"], row), 6);
        assert_eq!(draws(&["objective.mask_rate=0.997"], row), 128);
        let distinct = |settings: &[&str]| {
            let drawn = example(settings, row).target_positions;
            drawn.len() - drawn.into_iter().collect::<BTreeSet<_>>().len()
        };
        repeated += distinct(&[]);
        assert_eq!(distinct(&["objective.with_replacement=false"]), 0);
    }
    // 1.3 of the 19 on average.
    assert!((10..50).contains(&repeated), "{repeated}");
}

#[test]
fn of_a_million_tokens_as_many_are_masked_as_were() {
    for settings in [&[][..], &["objective.with_replacement=false"]] {
        let fates = Fates::of(&*bench().recipe(settings), 2, 3, &[], false);
        assert_eq!(fates.targets, 19.0 * fates.tokens / 128.0);
        assert_eq!(fates.fates[1], 0.0, "no token is replaced by a random one");
        fates.check([0.85, 0.0, 0.15]);
    }
}

#[test]
fn random_tokens_are_of_the_whole_vocabulary_on_demand() {
    let bench = Bench { vocabulary: vocabulary(10), ..bench() };
    let settings = ["objective.mask_rate=1.0", "objective.mask_share=0.0", "objective.random_share=1.0"];
    let recipe = bench.recipe(&[settings.as_slice(), &["model.vocab_size=1024"]].concat());
    assert_eq!(recipe.parameters()[0].shape, [1_024, 192]);
    let sample = Sample::new([[5; 100].as_slice()]);
    let drawn = |row| recipe.example(&sample, &[], Key::root(row)).input_ids;
    let drawn: BTreeSet<u32> = (0..20).flat_map(drawn).collect();
    assert_eq!(drawn.into_iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
}

#[test]
fn batches_have_one_length_whatever_is_in_them() {
    let recipe = bench().recipe(&[]);
    let example = recipe.example(&Sample::new([[10, 11].as_slice(), &[13]]), &[], Key::root(1));
    let batch = recipe.collate(&[example.clone(), example]);
    assert_eq!((batch.rows, batch.len, batch.tokens()), (2, 128, 12));
    assert!(batch.input_ids[6..128].iter().all(|&id| id == 1));
    assert_eq!(batch.segment_ids[..7], [0, 0, 0, 0, 1, 1, 0]);
    assert!(batch.relations.is_empty());
}

#[test]
fn the_generator_has_heads_of_64() {
    let generator = |settings: &[&str]| {
        let config = bench().recipe(settings).exports().remove(1).config;
        let keys = [
            "num_hidden_layers",
            "hidden_size",
            "num_attention_heads",
            "intermediate_size",
            "embedding_size",
        ];
        keys.map(|key| config[key].as_u64().unwrap())
    };
    assert_eq!(generator(&[]), [4, 48, 1, 192, 192]);
    assert_eq!(generator(&["model.generator_hidden=0.75", "model.embedding=128"]), [4, 144, 2, 576, 128]);
    assert_eq!(generator(&["model.generator_layers=0.5", "model.share=none"]), [2, 48, 1, 192, 48]);
    assert_eq!(generator(&["model.generator_hidden=1.0"]), [4, 192, 3, 768, 192]);
    // One encoder has one size, whatever it is.
    let odd = ["model.share=all", "model.generator_hidden=1.0", "model.heads=4", "model.feed_forward=100"];
    assert_eq!(generator(&odd), [4, 192, 4, 100, 192]);
}

#[test]
fn both_networks_are_exported_with_what_they_share() {
    let shared = |settings: &[&str]| -> Vec<String> {
        let exports = bench().recipe(settings).exports();
        assert_eq!(exports.iter().map(|export| export.folder).collect::<Vec<_>>(), ["", "generator"]);
        assert_eq!(exports[0].config["architectures"][0], "ElectraForPreTraining");
        assert_eq!(exports[1].config["architectures"][0], "ElectraForMaskedLM");
        let parameters = |export: usize| -> BTreeSet<String> {
            exports[export].files[0].tensors.iter().map(|tensor| tensor.parameter.clone()).collect()
        };
        let begins =
            ["electra.", "discriminator_predictions.", "generator_predictions.", "generator_lm_head."];
        let known = |name: &str| begins.iter().any(|begin| name.starts_with(begin));
        assert!(
            exports.iter().all(|export| export.files[0].tensors.iter().all(|tensor| known(&tensor.name)))
        );
        parameters(0).intersection(&parameters(1)).cloned().collect()
    };
    let embeddings = shared(&["model.embedding=128"]);
    assert_eq!(embeddings.len(), 5, "{embeddings:?}");
    assert!(embeddings.iter().all(|name| name.starts_with("discriminator.electra.embeddings.")));
    assert!(shared(&["model.share=none"]).is_empty());
    let all = shared(&["model.share=all", "model.generator_hidden=1.0", "model.embedding=128"]);
    // Embeddings, their projection, and four layers of sixteen tensors.
    assert_eq!(all.len(), 5 + 2 + 64, "{all:?}");
}

#[test]
fn an_exported_model_is_opened_again() {
    bench().check_reopened(&[]);
    for share in [
        &["model.share=none"][..],
        &["model.share=none", "model.embedding=128", "model.generator_layers=0.5"],
        &["model.share=embeddings", "model.embedding=128", "model.vocab_size=1024"],
        &["model.share=embeddings", "model.hidden=384", "model.generator_hidden=0.33333333", "model.heads=6"],
        &["model.share=all", "model.generator_hidden=1.0", "model.embedding=128"],
        &["model.share=all", "model.generator_hidden=1.0", "model.heads=4", "model.feed_forward=100"],
    ] {
        bench().check_reopened(share);
    }
    bench().check_reopened(&["model.feed_forward=100", "model.dropout=0.2", "model.activation=gelu-tanh"]);
    bench().check_reopened(&["objective.format=full-sentences", "model.generator_hidden=0.75"]);
    bench().check_foreign_directory();
}

#[test]
fn a_discriminator_of_others_has_a_generator_of_the_usual_size() {
    let mut config = bench().recipe(&[]).exports().remove(0).config;
    let known = config.as_object_mut().unwrap();
    known.retain(|key, _| !key.starts_with("cloze_"));
    let open = |config: &serde_json::Value| {
        let recipe = (FAMILY.open)(config, "config.json", &bench().vocabulary).unwrap();
        recipe.exports().remove(1).config["hidden_size"].clone()
    };
    assert_eq!(open(&config), 48);
    config["generator_hidden_size"] = 96.into();
    assert_eq!(open(&config), 96);
}

#[test]
fn weights_begin_as_in_the_original() {
    let glorot = |recipe: &dyn Recipe| {
        recipe.parameters().iter().filter(|spec| spec.init == Init::GlorotUniform).count()
    };
    // The discriminator's last layer, and the projections of both, of one and of neither.
    let whole = ["model.share=all", "model.generator_hidden=1.0", "model.embedding=128"];
    for (settings, count) in
        [(&["model.embedding=128"][..], 3), (&[], 2), (&["model.share=none"], 1), (&whole, 2)]
    {
        let settings = [settings, &["model.init_std=0.03"]].concat();
        assert_eq!(glorot(&*bench().recipe(&settings)), count, "{settings:?}");
        bench().check_first_values(&settings, |name| match name {
            "discriminator.discriminator_predictions.dense_prediction.weight" => Init::GlorotUniform,
            name if name.contains("embeddings_project") => Init::GlorotUniform,
            _ => Init::TruncatedNormal { std: 0.03 },
        });
    }
}
