//! RoBERTa's settings and objective: what is refused, what the published configurations come to, what a sample
//! becomes.

use corpus::{Sample, Specials, Vocabulary};
use plan::{Key, RunPlan};

use super::FAMILY;
use crate::{Init, RecipeResult};

const TINY: &str = include_str!("../../../../configs/roberta/tiny.toml");
const BASE: &str = include_str!("../../../../configs/roberta/base.toml");
const LARGE: &str = include_str!("../../../../configs/roberta/large.toml");

fn vocabulary(size: u32) -> Vocabulary {
    Vocabulary::new(size, Specials { bos: 0, pad: 1, eos: 2, unk: 3, mask: size - 1 }, |_| true)
}

fn parse(text: &str, settings: &[&str], size: u32) -> RecipeResult {
    let settings: Vec<String> = settings.iter().map(|&pair| pair.to_owned()).collect();
    let plan = RunPlan::parse("test.toml", text, &settings).unwrap();
    (FAMILY.parse)(&plan, "test.toml", &vocabulary(size))
}

#[test]
fn the_published_models_have_their_published_sizes() {
    let count = |text| {
        let recipe = parse(text, &[], 50_265).unwrap();
        recipe.parameters().iter().map(|spec| spec.len()).sum::<usize>()
    };
    // What `RobertaForMaskedLM.num_parameters()` says of `roberta-base` and `roberta-large`.
    assert_eq!(count(BASE), 124_697_433);
    assert_eq!(count(LARGE), 355_412_057);
}

#[test]
fn mistakes_name_the_key_and_the_remedy() {
    let refused = |settings: &[&str]| match parse(TINY, settings, 1_000) {
        Ok(_) => panic!("accepted {settings:?}"),
        Err(error) => error.to_string(),
    };
    let cases: [(&[&str], &str); 10] = [
        (&["model.layer=3"], "unknown key `model.layer`; did you mean `model.layers`?"),
        (
            &["objective.mask_rat=0.1"],
            "unknown key `objective.mask_rat`; did you mean `objective.mask_rate`?",
        ),
        (&["model.layers=0"], "`model.layers` must be at least 1"),
        (&["model.heads=7"], "`model.hidden` is 192; it must be a multiple of model.heads = 7"),
        (&["model.dropout=1.0"], "`model.dropout` is 1; it must be at least 0 and below 1"),
        (&["model.vocab_size=999"], "`model.vocab_size` is 999, but the tokenizer has 1000 tokens; "),
        (
            &["objective.max_len=129"],
            "`objective.max_len` is 129; it must not exceed model.max_positions = 128",
        ),
        (&["objective.max_len=2"], "`objective.max_len` "),
        (&["objective.mask_rate=0"], "`objective.mask_rate` is 0; it must lie above 0"),
        (&["objective.mask_share=0.95"], "`objective.mask_share` is 0.95; with random_share = 0.1 "),
    ];
    for (settings, expected) in cases {
        let message = refused(settings);
        assert!(message.starts_with(&format!("test.toml: {expected}")), "{settings:?}: {message}");
    }
    assert!(refused(&["model.layers=two"]).starts_with("test.toml: [model] invalid type"));
}

#[test]
fn a_vocabulary_may_be_padded_but_padding_is_never_drawn() {
    let recipe = parse(TINY, &["model.vocab_size=1024", "objective.mask_rate=1.0"], 10).unwrap();
    assert_eq!(recipe.parameters()[0].shape, [1_024, 192]);
    let sample = Sample::new([[5; 100].as_slice()]);
    for index in 0..20 {
        let example = recipe.example(&sample, Key::root(index));
        assert!(example.input_ids.iter().all(|&id| (4..10).contains(&id) || id == 0 || id == 2));
    }
}

#[test]
fn segments_stand_between_special_tokens_which_are_masked_like_any_other() {
    let sample = Sample::new([[10, 11].as_slice(), &[12]]);
    let original = [0, 10, 11, 2, 12, 2];
    let masked_specials = |settings: &[&str]| {
        let recipe = parse(TINY, settings, 1_000).unwrap();
        let mut specials = 0;
        for index in 0..300 {
            let example = recipe.example(&sample, Key::root(index));
            assert_eq!(example, recipe.example(&sample, Key::root(index)));
            let mut ids = example.input_ids;
            for (&position, &id) in example.target_positions.iter().zip(&example.target_ids) {
                ids[position as usize] = id;
                specials += u32::from(id == 0 || id == 2);
            }
            assert_eq!(ids, original);
        }
        specials
    };
    // 3 of 6 tokens are special, and 15 % are chosen: 135 of 300 sequences.
    assert!((100..170).contains(&masked_specials(&[])));
    assert_eq!(masked_specials(&["objective.mask_specials=false"]), 0);
}

#[test]
fn batches_have_one_length_whatever_is_in_them() {
    let recipe = parse(TINY, &[], 1_000).unwrap();
    let example = recipe.example(&Sample::new([[10, 11].as_slice()]), Key::root(1));
    let batch = recipe.collate(&[example.clone(), example]);
    assert_eq!((batch.rows, batch.len, batch.tokens()), (2, 128, 8));
    assert!(batch.input_ids[4..128].iter().all(|&id| id == 1));
    assert!((recipe.expected_targets(10) - 192.0).abs() < 1e-9);
}

#[test]
fn an_exported_model_is_opened_again() {
    let recipe = parse(TINY, &["model.vocab_size=1024"], 1_000).unwrap();
    let again = (FAMILY.open)(&recipe.hf_config(), "config.json", &vocabulary(1_000)).unwrap();
    assert_eq!(again.parameters(), recipe.parameters());
    assert_eq!(again.hf_config(), recipe.hf_config());
    assert_eq!(recipe.hf_config()["max_position_embeddings"], 130);
    let error = (FAMILY.open)(&serde_json::json!({}), "config.json", &vocabulary(1_000)).err().unwrap();
    assert!(error.to_string().starts_with("config.json: missing field"), "{error}");
}

#[test]
fn weights_begin_as_in_fairseq() {
    let recipe = parse(TINY, &[], 1_000).unwrap();
    for spec in recipe.parameters() {
        let expected = match spec.name.as_str() {
            name if name.contains("orm.weight") => Init::Ones,
            name if name.ends_with("bias") || name.contains("token_type") => Init::Zeros,
            name if name.contains("embeddings") => Init::Normal { std: 0.02, zero_row: Some(1) },
            _ => Init::Normal { std: 0.02, zero_row: None },
        };
        assert_eq!(spec.init, expected, "{}", spec.name);
        assert_eq!(spec.trained, !spec.name.contains("token_type"), "{}", spec.name);
        assert_eq!(spec.decay, spec.name.ends_with("weight") && spec.init != Init::Ones, "{}", spec.name);
    }
}
