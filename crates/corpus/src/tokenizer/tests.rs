//! Tests of the tokenizer on a small vocabulary that is trained here.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::split;

const TEXT: &str = "The cat sat on the mat. The dog sat on the log! \"Don't,\" said Mr. Dent, \"you'll see 42 cats.\"\n\
    A cab, a bad cab: abide, decade, faced; bead... été — naïve 中文。 Is it? It is, he said.";

/// A tokenizer for tests: trained once.
pub(crate) fn trained() -> &'static Tokenizer {
    static TRAINED: OnceLock<Tokenizer> = OnceLock::new();
    TRAINED.get_or_init(|| train_byte_level_bpe([TEXT.repeat(3)], 320).unwrap())
}

#[test]
fn special_tokens_lie_where_roberta_has_them() {
    let tokenizer = trained();
    let specials = tokenizer.specials();
    assert_eq!((specials.bos, specials.pad, specials.eos, specials.unk), (0, 1, 2, 3));
    assert_eq!(specials.mask, tokenizer.vocab_size() - 1);
    assert_eq!(tokenizer.vocab_size(), 320);
    assert_eq!(tokenizer.token(specials.mask).unwrap(), "<mask>");
    assert!(tokenizer.vocabulary().is_special(0) && !tokenizer.vocabulary().is_special(4));
}

#[test]
fn text_never_becomes_a_special_token() {
    let tokenizer = trained();
    let text = "a <mask> and </s><s> end";
    for ids in [tokenizer.encode_sentence(text), encoded(text)] {
        assert!(ids.iter().all(|&id| !tokenizer.vocabulary().is_special(id)), "{ids:?}");
        assert_eq!(tokenizer.decode(&ids), text);
    }
}

#[test]
fn training_gives_the_same_bytes_in_any_order() {
    let texts: Vec<String> = TEXT.split('\n').map(|text| text.repeat(3)).collect();
    let forth = train_byte_level_bpe(&texts, 300).unwrap();
    let (mut left, mut right) = (WordCounts::default(), WordCounts::default());
    left.add(&texts[1]);
    right.add(&texts[0]);
    left.merge(right);
    let back = left.train(300).unwrap();
    assert_eq!(forth.json(), back.json());
    assert_eq!(forth.hash(), back.hash());
    assert_ne!(forth.hash(), trained().hash());
    assert_eq!(Tokenizer::from_bytes(back.json()).unwrap().hash(), back.hash());
}

#[test]
fn words_begin_with_a_space() {
    let tokenizer = trained();
    let ids = tokenizer.encode_sentence(" the cat's");
    let starts: Vec<bool> = ids.iter().map(|&id| tokenizer.word_start(id)).collect();
    assert!(starts[0] && starts.iter().filter(|&&start| start).count() == 2, "{starts:?}");
    assert!(!tokenizer.word_start(u32::MAX));
}

#[test]
fn a_vocabulary_survives_its_json() {
    let vocabulary = trained().vocabulary();
    let json = serde_json::to_string(vocabulary).unwrap();
    assert_eq!(&serde_json::from_str::<Vocabulary>(&json).unwrap(), vocabulary);
    let short = json.replace("000\"", "\"");
    assert!(short == json || serde_json::from_str::<Vocabulary>(&short).is_err());
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason() {
    let refused = |json: String| Tokenizer::from_bytes(json.as_bytes()).unwrap_err().to_string();
    assert!(refused("{}".into()).contains("not a tokenizer.json"));
    let json = String::from_utf8(trained().json().to_vec()).unwrap();
    assert_eq!(
        refused(json.replace("<mask>", "<gap>").replace("<pad>", "<fill>")),
        "the tokenizer cannot be used: its vocabulary has no <pad>, <mask>"
    );
    assert!(refused(json.replace("\"dropout\":null", "\"dropout\":0.1")).contains("dropout"));
    let small = train_byte_level_bpe(["a"], 100).unwrap_err().to_string();
    assert!(small.contains("need 261"), "{small}");
}

fn encoded(text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    trained().encoder().encode(text, &mut ids);
    ids
}

fn same_however_cut(text: &str) -> Result<(), TestCaseError> {
    let whole = trained().encode_sentence(text);
    prop_assert_eq!(&encoded(text), &whole);
    let mut pieces = Vec::new();
    for range in split(text) {
        pieces.extend(trained().encode_sentence(&text[range]));
    }
    prop_assert_eq!(&pieces, &whole);
    prop_assert_eq!(trained().decode(&whole), text);
    Ok(())
}

proptest! {
    #[test]
    fn sentences_and_words_encode_as_the_whole(
        text in "([A-Ca-e.!?,']{1,4}|[ \\n\u{a0}]{1,3}|'s|'ll|n't|[0-9]|[—“”’。中é<>]|<mask>){0,40}",
    ) {
        same_however_cut(&text)?;
    }

    #[test]
    fn any_text_encodes_as_the_whole(text in any::<String>()) {
        same_however_cut(&text)?;
    }
}
