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
    for ids in [tokenizer.encode_sentence(text), encoded(tokenizer, text)] {
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

/// One tokenizer of every kind and shape, by name; all trained on the same text.
fn all() -> &'static [(&'static str, Tokenizer)] {
    static ALL: OnceLock<Vec<(&str, Tokenizer)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let train = |kind, lowercase| {
            let mut counts = WordCounts::default();
            counts.add(&TEXT.repeat(3));
            counts.train_as(TrainSpec { kind, vocab_size: 300, lowercase }).unwrap()
        };
        let unigram = train(TokenizerKind::Unigram, true);
        vec![
            ("byte-level", trained().clone()),
            ("uncased word-piece", train(TokenizerKind::WordPiece, true)),
            ("cased word-piece", train(TokenizerKind::WordPiece, false)),
            ("cased unigram", train(TokenizerKind::Unigram, false)),
            ("squeezing unigram", squeezing(&unigram)),
            ("uncased unigram", unigram),
        ]
    })
}

fn named(name: &str) -> &'static Tokenizer {
    &all().iter().find(|(known, _)| *known == name).unwrap().1
}

/// The same with the rules of a fresh conversion by Transformers, which keeps a space at the end of a text.
fn squeezing(unigram: &Tokenizer) -> Tokenizer {
    let mut json: serde_json::Value = serde_json::from_slice(unigram.json()).unwrap();
    json["pre_tokenizer"] = json["pre_tokenizer"]["pretokenizers"][1].clone();
    let squeeze = serde_json::json!({ "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": " " });
    json["normalizer"]["normalizers"].as_array_mut().unwrap().push(squeeze);
    Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap()
}

#[test]
fn every_kind_has_its_special_tokens_and_word_starts() {
    let bert = named("uncased word-piece");
    assert_eq!(bert.kind(), TokenizerKind::WordPiece);
    let Specials { bos, eos, pad, unk, mask } = bert.specials();
    assert_eq!([pad, unk, bos, eos, mask], [0, 1, 2, 3, 4]);
    let starts = |tokenizer: &Tokenizer, text: &str| -> Vec<bool> {
        tokenizer.encode_sentence(text).into_iter().map(|id| tokenizer.word_start(id)).collect()
    };
    assert_eq!(starts(bert, "the cat"), [true, true]);
    assert_eq!(starts(bert, "abba")[..2], [true, false]);
    assert!((0..5).all(|id| !bert.word_start(id) && bert.vocabulary().is_special(id)));
    let albert = named("uncased unigram");
    assert_eq!(albert.kind(), TokenizerKind::Unigram);
    let Specials { bos, eos, pad, unk, mask } = albert.specials();
    assert_eq!([pad, unk, bos, eos, mask], [0, 1, 2, 3, 4]);
    assert_eq!(starts(albert, "The cats").iter().filter(|&&start| start).count(), 2);
    assert_eq!(albert.token(mask).unwrap(), "[MASK]");
}

#[test]
fn no_kind_makes_special_tokens_of_text() {
    for (name, tokenizer) in all() {
        let text = "a [MASK] <mask> <pad>[SEP] b</s><s> [CLS] <PAD>c [PAD]";
        let Specials { bos, eos, pad, mask, .. } = tokenizer.specials();
        for ids in [tokenizer.encode_sentence(text), encoded(tokenizer, text)] {
            assert!(ids.iter().all(|id| ![bos, eos, pad, mask].contains(id)), "{name}: {ids:?}");
        }
    }
    // What spells the unknown token is not unknown: its letters are known.
    let albert = named("uncased unigram");
    let (a, b) = (albert.encode_sentence("x <unk> y"), albert.encode_sentence("x < unk > y"));
    assert!(a.len() > 4 && b.len() > 4, "{a:?} {b:?}");
}

#[test]
fn capitals_and_accents_go_together() {
    for (name, same) in [("uncased word-piece", true), ("uncased unigram", true), ("cased word-piece", false)]
    {
        let tokenizer = named(name);
        let equal = tokenizer.encode_sentence("The Élan") == tokenizer.encode_sentence("the elan");
        assert_eq!(equal, same, "{name}");
    }
}

fn encoded(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    tokenizer.encoder().encode(text, &mut ids);
    ids
}

fn sentence_by_sentence(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    split(text).into_iter().flat_map(|range| tokenizer.encode_sentence(&text[range])).collect()
}

/// Text as it is, and as it seldom is: accents and invisible characters on their own, white space of all widths,
/// ligatures, characters that become a space and more, characters that attach to the next.
fn nasty() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        4 => "[A-Ca-e]{1,5}",
        2 => " {1,2}",
        2 => "[.!?,'`\"()<>\\-]{1,3}",
        1 => proptest::sample::select(vec![
            "\u{301}", "\u{308}", "e\u{301}", "\u{a0}", "\u{200b}", "\u{200d}", "\u{feff}", "\u{ad}", "\u{2003}",
            "\u{3000}", "\u{85}", "\u{b}", "\u{c}", "\r\n", "\r", "\n", "\t", "\0", "\u{7f}", "\u{1c}", "中文", "。", "한",
            "ᄒ", "ᅡ", "ᆫ", "é", "É", "ß", "İ", "ſ", "ﬁ", "¨", "´", "¸", "\u{2017}", "ﷺ", "½", "…", "“", "”", "’",
            "—", "‥", "👩\u{200d}🔬", "🇩🇪", "\u{600}", "\u{110bd}", "\u{93e}", "न", "\u{e0001}", "▁", "Ġ", "##", "΅", "ǅ",
            "й", "ё", "\u{fffd}", "\u{345}", "ά", "Σ", "ς", "[MASK]", "<mask>", "<unk>", "<pad>", "[UNK]", "\u{2028}",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_encoder_gives_what_the_tokenizer_gives(texts in proptest::collection::vec(nasty(), 1..4)) {
        for (name, tokenizer) in all() {
            let mut encoder = tokenizer.encoder();
            for text in &texts {
                let mut ids = Vec::new();
                encoder.encode(text, &mut ids);
                prop_assert_eq!(&ids, &tokenizer.encode_sentence(text), "{} {:?}", name, text);
            }
        }
    }

    #[test]
    fn text_survives_byte_level_tokens(text in nasty()) {
        prop_assert_eq!(trained().decode(&trained().encode_sentence(&text)), text);
    }

    #[test]
    fn clean_sentences_encode_as_the_whole(text in nasty()) {
        let text = crate::clean(&text, crate::Paragraphs::Line);
        // Behind "。" a sentence may end without white space, where a Unigram model begins no word.
        prop_assume!(split(&text).iter().skip(1).all(|range| text[range.clone()].starts_with(char::is_whitespace)));
        for (name, tokenizer) in all().iter().filter(|(name, _)| *name != "squeezing unigram") {
            let whole = tokenizer.encode_sentence(&text);
            prop_assert_eq!(sentence_by_sentence(tokenizer, &text), whole, "{} {:?}", name, text);
        }
    }
}
