//! Fuzzes what is done with any text: decoding, cleaning, normal forms, sentences, rules of quality, languages,
//! signatures, and books.
#![no_main]

use fuzz::corpus::book::{Dropped, strip, tidy};
use fuzz::corpus::clean::{Paragraphs, clean, decode};
use fuzz::corpus::language::detect;
use fuzz::corpus::normal::{Form, Oddities, normalise};
use fuzz::corpus::quality::Quality;
use fuzz::corpus::sentence::split_in;
use fuzz::corpus::similar::{MinHashSpec, Scratch, Signer, exact_hash};
use fuzz::{controls, stretched};
use libfuzzer_sys::fuzz_target;

const LANGUAGES: [Option<&str>; 10] = [
    None,
    Some("en"),
    Some("de"),
    Some("fr"),
    Some("ru"),
    Some("ja"),
    Some("th"),
    Some("pl"),
    Some("hy"),
    Some("xx"),
];

fn cleaned(text: &str) -> String {
    for rule in [Paragraphs::Line, Paragraphs::BlankLine, Paragraphs::Auto] {
        let once = clean(text, rule);
        assert!(once.is_empty() || once.split('\n').all(|line| !line.is_empty() && line.trim() == line));
        assert!(once.chars().all(|c| matches!(c, ' ' | '\n') || !c.is_whitespace() && !c.is_control()));
    }
    clean(text, Paragraphs::Auto)
}

fn book(text: &str) {
    let book = strip(text);
    let mut dropped = Dropped::default();
    let tidied = tidy(&text[book.body], &mut dropped);
    assert!(tidied.len() <= 2 * text.len() + 1);
}

fn sentences(text: &str, language: Option<&str>) {
    let mut end = 0;
    for range in split_in(text, language) {
        assert!(range.start == end && range.end > end && text.is_char_boundary(range.end));
        end = range.end;
    }
    assert_eq!(end, text.len(), "the sentences are not the text");
}

fn normal(text: &str) {
    for form in [Form::None, Form::Nfc, Form::Nfkc] {
        let once = normalise(text, form, &mut Oddities::default());
        let mut oddities = Oddities::default();
        assert_eq!(normalise(&once, form, &mut oddities), once, "{form:?}");
        assert_eq!((oddities.invisible, oddities.private), (0, 0), "{form:?}");
    }
}

fn judged(text: &str) {
    assert_eq!(Quality::off().check(text), None);
    let _reason = Quality::default().check(text);
    let patient = Quality {
        max_duplicate_lines: 1.0,
        max_duplicate_line_chars: 1.0,
        max_top_ngrams: [f32::MAX; 3],
        max_duplicate_ngrams: [1.0; 6],
        blocklist: ["\0".to_owned()].into(),
        ..Quality::off()
    };
    assert_eq!(patient.check(text), None, "a share is over 1");
}

fn signed(text: &str) {
    let spec = MinHashSpec { shingle_words: 2, bands: 3, rows: 2, seed: 1 };
    let signer = Signer::new(spec);
    let bands = signer.bands(text, &mut Scratch::default());
    assert!(bands.as_ref().is_none_or(|bands| bands.len() == 3));
    assert_eq!(bands, signer.bands(&text.replace('\n', " "), &mut Scratch::default()));
    assert_eq!(exact_hash(text), exact_hash(text));
}

fuzz_target!(|input: &[u8]| {
    let ([mode, language, from, to], rest) = controls(input);
    let (text, _) = decode(rest);
    let text = if mode & 1 == 1 { stretched(&text, [from, to], 1 << 15) } else { text.into_owned() };
    book(&text);
    normal(&text);
    let clean = cleaned(&text);
    sentences(&clean, LANGUAGES[usize::from(language) % LANGUAGES.len()]);
    if let Some((code, sure)) = detect(&clean) {
        assert!((2..=3).contains(&code.len()) && (0.0..=1.0).contains(&sure), "{code} {sure}");
    }
    judged(&clean);
    signed(&clean);
});
