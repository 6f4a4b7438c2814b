//! RoBERTa's settings and objective: what the published configurations come to, what is refused, what a
//! sample becomes.

use corpus::{Relation, Sample, Specials, Vocabulary};
use plan::Key;

use super::FAMILY;
use crate::common::testing::{
    Bench, Fates, Published, SPECIALS, check_examples, check_published, is_frame, restored,
};
use crate::{Init, Normaliser, Term};

/// What `RobertaForMaskedLM.num_parameters()` says of `roberta-base` and `roberta-large`; the round numbers
/// are those of fairseq's README.
const PUBLISHED: [Published<'_>; 5] = [
    ("base", 50_265, &[124_697_433], Some(125.0)),
    ("base-2k", 50_265, &[124_697_433], Some(125.0)),
    ("cpu", 8_192, &[3_423_488], None),
    ("demo", 8_192, &[1_478_912], None),
    ("large", 50_265, &[355_412_057], Some(355.0)),
];

const PAIRS: [&str; 2] = ["objective.format=segment-pair", "objective.normaliser=group"];

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
        (
            "objective.mask_special=false",
            "unknown key `objective.mask_special`; did you mean `objective.mask_specials`?",
        ),
        ("objective.whole_words=true", "unknown key `objective.whole_words`"),
        ("objective.mask_specials=0", "[objective] invalid type: integer `0`, expected a boolean"),
        (
            "objective.format=span-blocks",
            "`objective.format` is span-blocks; this family has no head for it, it takes: full-sentences, ",
        ),
        // A single loss is divided over the whole step, two are not.
        (
            "objective.format=segment-pair",
            "`objective.normaliser` is global, but the loss has 2 terms; take `group`",
        ),
        (
            "objective.format=sentence-pair",
            "`objective.normaliser` is global, but the loss has 2 terms; take `group`",
        ),
    ]);
}

#[test]
fn the_loss_has_a_term_for_pairs_if_there_are_pairs() {
    let term = |name| Term { name, weight: 1.0 };
    let recipe = bench().recipe(&[]);
    assert_eq!((recipe.terms(), recipe.ratios()), (vec![term("mlm")], vec!["mlm_accuracy"]));
    assert_eq!((recipe.normaliser(), recipe.static_masks()), (Normaliser::Global, false));
    let [masked] = recipe.expected_targets(10)[..] else { panic!("one number for each term") };
    assert!((masked - 192.0).abs() < 1e-9, "{masked}");
    let pairs = bench().recipe(&PAIRS);
    assert_eq!(pairs.terms(), [term("mlm"), term("nsp")]);
    assert_eq!(
        (pairs.ratios(), pairs.expected_targets(10)[1]),
        (vec!["mlm_accuracy", "pair_accuracy"], 10.0)
    );
    assert!(bench().recipe(&["objective.masking=static"]).static_masks());
}

#[test]
fn a_vocabulary_may_be_padded_but_padding_is_never_drawn() {
    // The mask token is the last, as in fairseq's dictionary.
    let vocabulary = Vocabulary::new(10, Specials { mask: 9, ..SPECIALS }, |_| true);
    let bench = Bench { vocabulary, ..bench() };
    let recipe = bench.recipe(&["model.vocab_size=1024", "objective.mask_rate=1.0"]);
    assert_eq!(recipe.parameters()[0].shape, [1_024, 192]);
    let sample = Sample::new([[5; 100].as_slice()]);
    let mut seen = [false; 10];
    for index in 0..20 {
        let example = recipe.example(&sample, &[], Key::root(index));
        assert!(example.input_ids.iter().all(|&id| (4..10).contains(&id) || id == 0 || id == 2));
        example.input_ids.iter().for_each(|&id| seen[id as usize] = true);
    }
    assert!(seen[4..].iter().all(|&seen| seen), "{seen:?}");
}

#[test]
fn segments_stand_between_special_tokens_which_are_masked_like_any_other() {
    let sample = Sample::new([[10, 11].as_slice(), &[12]]);
    let original = [0, 10, 11, 2, 12, 2];
    let masked_specials = |settings: &[&str]| {
        let recipe = bench().recipe(settings);
        let mut specials = 0;
        for index in 0..300 {
            let example = recipe.example(&sample, &[], Key::root(index));
            assert_eq!(example, recipe.example(&sample, &[], Key::root(index)));
            assert_eq!((example.second_segment, example.relation), (None, None));
            assert_eq!(restored(&example), original);
            specials += example.target_ids.iter().filter(|&&id| is_frame(id)).count();
        }
        specials
    };
    // 3 of 6 tokens are special, and 15 % are chosen: 135 of 300 sequences.
    assert!((100..170).contains(&masked_specials(&[])));
    assert_eq!(masked_specials(&["objective.mask_specials=false"]), 0);
}

#[test]
fn pairs_are_told_apart_by_two_special_tokens_alone() {
    let sample = Sample { relation: Some(Relation::Random), ..Sample::new([[10, 11].as_slice(), &[12]]) };
    let recipe = bench().recipe(&[&PAIRS[..], &["objective.mask_specials=false"]].concat());
    for example in check_examples(&*recipe, &sample, &[0, 10, 11, 2, 2, 12, 2]) {
        assert_eq!((example.second_segment, example.relation), (None, Some(1)));
    }
    let three = bench().recipe(&[&PAIRS[..], &["objective.pair_specials=3"]].concat());
    assert_eq!(restored(&three.example(&sample, &[], Key::root(1))), [0, 10, 11, 2, 12, 2]);
}

#[test]
fn of_a_million_tokens_as_many_are_masked_as_were() {
    let fates = Fates::of(&*bench().recipe(&[]), 1, 2, &[], false);
    // 19.2 in a sample: 19 or, in one sample of five, 20.
    let samples = fates.tokens / 128.0;
    let deviation = (samples * 0.2 * 0.8).sqrt();
    assert!((fates.targets - 19.2 * samples).abs() < 3.0 * deviation, "{fates:?}");
    // Of 128 tokens, 126 are text, and one of 50 of them is unknown; the rest may be replaced by itself.
    let own = 126.0 / 128.0 * 0.98 / 995.0;
    fates.check([0.8, 0.1 * (1.0 - own), 0.1 + 0.1 * own]);
}

#[test]
fn batches_have_one_length_whatever_is_in_them() {
    let recipe = bench().recipe(&[]);
    let example = recipe.example(&Sample::new([[10, 11].as_slice()]), &[], Key::root(1));
    let batch = recipe.collate(&[example.clone(), example]);
    assert_eq!((batch.rows, batch.len, batch.tokens()), (2, 128, 8));
    assert!(batch.input_ids[4..128].iter().all(|&id| id == 1));
    assert!(batch.segment_ids.is_empty() && batch.relations.is_empty());
}

#[test]
fn an_exported_model_is_opened_again() {
    let recipe = bench().check_reopened(&["model.vocab_size=1024"]);
    // Positions are counted from the padding's id + 1.
    assert_eq!(recipe.exports()[0].config["max_position_embeddings"], 130);
    assert_eq!(recipe.parameters()[1].shape, [130, 192]);
    bench().check_reopened(&[
        "model.max_positions=600",
        "model.activation=gelu-tanh",
        "model.feed_forward=100",
    ]);
    bench().check_reopened(&["model.dropout=0.2", "model.attention_dropout=0.3", "model.init_std=0.01"]);
    bench().check_foreign_directory();
}

#[test]
fn the_head_for_pairs_lies_beside_the_model_and_is_found_again() {
    let recipe = bench().recipe(&PAIRS);
    let files = &recipe.exports()[0].files;
    assert_eq!((files[0].name, files[1].name), ("model.safetensors", "pair_head.safetensors"));
    assert!(files[0].tensors.iter().all(|tensor| !tensor.name.starts_with("pair_head.")));
    assert_eq!(files[1].tensors.len(), 4);
    bench().check_reopened(&PAIRS);
}

#[test]
fn weights_begin_as_in_fairseq() {
    for settings in [&[][..], &PAIRS] {
        bench().check_first_values(settings, |name| match name {
            "roberta.embeddings.token_type_embeddings.weight" => Init::Zeros,
            name if name.contains("embeddings") => Init::Normal { std: 0.02, zero_row: Some(1) },
            _ => Init::Normal { std: 0.02, zero_row: None },
        });
    }
}
