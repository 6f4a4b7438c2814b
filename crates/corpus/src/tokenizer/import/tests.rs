//! Tests of the imports, on files that are written here.

use super::*;
use crate::TokenizerKind;

const VOCAB_TXT: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\n##s\nelan\nElan\n.\n";

fn tokens(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
    tokenizer.encode_sentence(text).into_iter().map(|id| tokenizer.token(id).unwrap()).collect()
}

fn refused(tokenizer: Result<Tokenizer, CorpusError>) -> String {
    tokenizer.unwrap_err().to_string()
}

#[test]
fn a_bert_vocabulary_has_the_ids_of_its_lines() {
    let uncased = wordpiece(VOCAB_TXT.as_bytes(), WordPieceOptions { lowercase: true }).unwrap();
    assert_eq!(uncased.kind(), TokenizerKind::WordPiece);
    assert_eq!(uncased.vocab_size(), 11);
    assert_eq!(tokens(&uncased, "The cats. Élan dog"), ["the", "cat", "##s", ".", "elan", "[UNK]"]);
    let cased = wordpiece(VOCAB_TXT.as_bytes(), WordPieceOptions { lowercase: false }).unwrap();
    assert_eq!(tokens(&cased, "The cats. Elan"), ["[UNK]", "cat", "##s", ".", "Elan"]);
    assert_eq!(uncased.decode(&uncased.encode_sentence("the cats.")), "the cats.");
    assert_eq!(tokens(&uncased, &"a".repeat(101)), ["[UNK]"]);
    // Windows line ends are no part of a token.
    let windows = wordpiece(VOCAB_TXT.replace('\n', "\r\n").as_bytes(), WordPieceOptions { lowercase: true });
    assert_eq!(windows.unwrap().hash(), uncased.hash());
    let again = Tokenizer::from_bytes(uncased.json()).unwrap();
    assert_eq!(again.hash(), uncased.hash());
    let options = WordPieceOptions { lowercase: true };
    assert!(refused(wordpiece(b"[PAD]\nthe\n", options)).contains("has no [CLS]"));
    assert!(
        refused(wordpiece(VOCAB_TXT.replace("##s", "the").as_bytes(), options)).contains("twice (line 8)")
    );
    assert!(refused(wordpiece(b"\xff", options)).contains("not UTF-8"));
}

const ENCODER: &str = r#"{"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġab": 4, "<|endoftext|>": 5}"#;
const BPE: &str = "#version: 0.2\na b\nĠ ab\n";

#[test]
fn a_dictionary_of_fairseq_gives_roberta_its_ids() {
    let roberta = fairseq(
        ENCODER.as_bytes(),
        BPE.as_bytes(),
        Some(b"4 9\n0 8\n5 0\nmadeupword0000 0\n1 1\n2 1\n3 0\n"),
    );
    let roberta = roberta.unwrap();
    assert_eq!(roberta.vocab_size(), 12);
    assert_eq!(roberta.encode_sentence("ab ab"), [10, 4]);
    assert_eq!((roberta.specials().mask, roberta.token(7).unwrap().as_str()), (11, "madeupword0000"));
    let plain = super::fairseq(ENCODER.as_bytes(), BPE.as_bytes(), None).unwrap();
    assert_eq!(plain.encode_sentence("ab ab"), [7, 8]);
    let wrong = |dict: &[u8]| refused(super::fairseq(ENCODER.as_bytes(), BPE.as_bytes(), Some(dict)));
    assert!(wrong(b"0 1\n6 1\n").contains("dict.txt:2: encoder.json has no id 6"));
    assert!(wrong(b"0 1\n0 1\n").contains("twice"));
    let merges = |merges: &[u8]| refused(super::fairseq(ENCODER.as_bytes(), merges, None));
    assert!(merges(b"a b c\n").contains("line 1 of the merges"));
    assert!(merges(b"a c\n").contains("cannot be used"));
    assert!(refused(super::fairseq(b"[]", b"", None)).contains("not a JSON object"));
    // GPT-2 itself has no special tokens of its own to train with.
    assert!(refused(byte_level_bpe(ENCODER.as_bytes(), BPE.as_bytes())).contains("has no <s>"));
}

#[test]
fn files_are_told_by_their_names() {
    let pick = |names: &[(&str, &[u8])]| Tokenizer::import(names, None);
    let vocab = VOCAB_TXT.as_bytes();
    let uncased = pick(&[("bert-base-uncased-vocab.txt", vocab)]).unwrap();
    assert_eq!(tokens(&uncased, "THE"), ["the"]);
    assert_eq!(tokens(&pick(&[("cased/vocab.txt", vocab)]).unwrap(), "THE"), ["[UNK]"]);
    let json = pick(&[("x", b""), ("a/tokenizer.json", uncased.json())]).unwrap();
    assert_eq!(json.hash(), uncased.hash());
    assert_eq!(pick(&[("mine.json", uncased.json())]).unwrap().hash(), uncased.hash());
    let files: [(&str, &[u8]); 2] =
        [("gpt2-encoder.json", ENCODER.as_bytes()), ("vocab.bpe", BPE.as_bytes())];
    assert_eq!(pick(&files).unwrap().kind(), TokenizerKind::ByteLevelBpe);
    let own = r#"{"<s>":0,"<pad>":1,"</s>":2,"<unk>":3,"a":4,"b":5,"ab":6,"<mask>":7}"#.as_bytes();
    let own = pick(&[("vocab.json", own), ("merges.txt", b"a b\n")]).unwrap();
    assert_eq!(own.encode_sentence("ab"), [6]);
    assert!(refused(pick(&[("vocab.json", b"{}")])).contains("there are tokenizer.json"));
}
