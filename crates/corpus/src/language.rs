//! Which language a text is in, by a sample of it. Where languages are told apart is whatlang's trigrams of letters;
//! scripts that only one language writes decide alone.

use whatlang::Lang;

/// A sample is whole if the text is short, else three pieces of so many characters: from its beginning, its middle
/// and its end, as beginnings are often titles and ends often notes.
const PIECE: usize = 600;

/// The language of a text, by its ISO 639-1 code (639-3 where there is none), and how sure that is, from 0 to 1.
/// `None` if the text has no letters. A language that is not known is taken for the nearest that is.
///
/// ```
/// let (language, sure) = corpus::language::detect("Wer reitet so spät durch Nacht und Wind? Es ist der Vater mit seinem Kind.").unwrap();
/// assert!(language == "de" && sure > 0.8);
/// ```
pub fn detect(text: &str) -> Option<(&'static str, f32)> {
    let sample = sample(text);
    let sample = sample.as_deref().unwrap_or(text);
    if let Some(language) = script(sample) {
        return Some((language, 1.0));
    }
    let info = whatlang::detect(sample)?;
    Some((code(info.lang()), info.confidence() as f32))
}

/// Whether [`detect`] can tell a language, given by its ISO 639-1 code, from others.
pub fn knows(language: &str) -> bool {
    ["dv", "lo", "bo", "chr"].contains(&language) || CODES.iter().any(|&(_, code)| code == language)
}

/// Pieces of a text that is too long to be looked at whole.
fn sample(text: &str) -> Option<String> {
    // Most languages have at most two bytes a character; longer texts of three are cut a little early.
    const SHORT: usize = 2 * 3 * PIECE;
    if text.len() <= SHORT {
        return None;
    }
    let piece = |from: usize| {
        let rest = &text[text.floor_char_boundary(from)..];
        let end = rest.char_indices().nth(PIECE).map_or(rest.len(), |(at, _)| at);
        &rest[..end]
    };
    let last = text.char_indices().rev().nth(PIECE - 1).map_or(0, |(at, _)| at);
    Some([piece(0), piece(text.len() / 2), &text[last..]].join("\n"))
}

/// The language that alone writes the script of most letters, for scripts that whatlang does not know.
fn script(sample: &str) -> Option<&'static str> {
    let (mut letters, mut found) = (0usize, [0usize; 4]);
    // All of them have three bytes, and so have too few ASCII characters around them to hide in.
    if sample.is_ascii() {
        return None;
    }
    for c in sample.chars().filter(|c| c.is_alphabetic()) {
        letters += 1;
        match c {
            '\u{780}'..='\u{7bf}' => found[0] += 1,
            '\u{e80}'..='\u{eff}' => found[1] += 1,
            '\u{f00}'..='\u{fff}' => found[2] += 1,
            '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => found[3] += 1,
            _ => {}
        }
    }
    let most = found.iter().position(|&count| 2 * count > letters)?;
    Some(["dv", "lo", "bo", "chr"][most])
}

/// ISO 639-3 codes and their 639-1 equivalents.
const CODES: [(&str, &str); 70] = [
    ("afr", "af"),
    ("aka", "ak"),
    ("amh", "am"),
    ("ara", "ar"),
    ("aze", "az"),
    ("bel", "be"),
    ("ben", "bn"),
    ("bul", "bg"),
    ("cat", "ca"),
    ("ces", "cs"),
    ("cmn", "zh"),
    ("cym", "cy"),
    ("dan", "da"),
    ("deu", "de"),
    ("ell", "el"),
    ("eng", "en"),
    ("epo", "eo"),
    ("est", "et"),
    ("fin", "fi"),
    ("fra", "fr"),
    ("guj", "gu"),
    ("heb", "he"),
    ("hin", "hi"),
    ("hrv", "hr"),
    ("hun", "hu"),
    ("hye", "hy"),
    ("ind", "id"),
    ("ita", "it"),
    ("jav", "jv"),
    ("jpn", "ja"),
    ("kan", "kn"),
    ("kat", "ka"),
    ("khm", "km"),
    ("kor", "ko"),
    ("lat", "la"),
    ("lav", "lv"),
    ("lit", "lt"),
    ("mal", "ml"),
    ("mar", "mr"),
    ("mkd", "mk"),
    ("mya", "my"),
    ("nep", "ne"),
    ("nld", "nl"),
    ("nob", "nb"),
    ("ori", "or"),
    ("pan", "pa"),
    ("pes", "fa"),
    ("pol", "pl"),
    ("por", "pt"),
    ("ron", "ro"),
    ("rus", "ru"),
    ("sin", "si"),
    ("slk", "sk"),
    ("slv", "sl"),
    ("sna", "sn"),
    ("spa", "es"),
    ("srp", "sr"),
    ("swe", "sv"),
    ("tam", "ta"),
    ("tel", "te"),
    ("tgl", "tl"),
    ("tha", "th"),
    ("tuk", "tk"),
    ("tur", "tr"),
    ("ukr", "uk"),
    ("urd", "ur"),
    ("uzb", "uz"),
    ("vie", "vi"),
    ("yid", "yi"),
    ("zul", "zu"),
];

/// The shortest code of a language.
fn code(lang: Lang) -> &'static str {
    let long = lang.code();
    CODES.iter().find(|(known, _)| *known == long).map_or(long, |(_, short)| short)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn language(text: &str) -> &'static str {
        detect(text).map_or("", |(language, _)| language)
    }

    #[test]
    fn languages_and_scripts() {
        for (text, expected) in [
            ("It is a truth universally acknowledged, that a single man must be in want of a wife.", "en"),
            ("Wer reitet so spät durch Nacht und Wind? Es ist der Vater mit seinem Kind.", "de"),
            ("Longtemps, je me suis couché de bonne heure. Parfois, à peine ma bougie éteinte.", "fr"),
            ("En un lugar de la Mancha, de cuyo nombre no quiero acordarme, no ha mucho tiempo.", "es"),
            ("Nel mezzo del cammin di nostra vita mi ritrovai per una selva oscura.", "it"),
            (
                "Он вышел из дома рано утром, потому что ему ещё нужно было купить хлеб, и никого не встретил.",
                "ru",
            ),
            ("今日は天気がいいので、散歩に行きました。", "ja"),
            ("他昨天去了北京，看望了他的老朋友。", "zh"),
            ("그는 어제 오랜 친구를 만나러 서울에 갔다.", "ko"),
            ("ภาษาไทยเป็นภาษาที่มีระดับเสียงของคำแน่นอน", "th"),
            ("यह एक छोटी कहानी है जो एक गाँव के बारे में है।", "hi"),
            ("ພາສາລາວເປັນພາສາທີ່ມີວັນນະຍຸດ", "lo"),
            ("བོད་སྐད་ནི་བོད་པའི་སྐད་ཡིག་ཡིན།", "bo"),
            ("Αυτή είναι μια πρόταση στα ελληνικά.", "el"),
            ("", ""),
            ("12345 -- !!", ""),
        ] {
            assert_eq!(language(text), expected, "{text}");
        }
    }

    #[test]
    fn every_language_of_the_library_has_a_code() {
        for lang in Lang::all() {
            assert_eq!(code(*lang).len(), 2, "{lang:?}");
        }
    }

    #[test]
    fn long_texts_are_sampled() {
        let german = "Der Hund lief über die Straße, und niemand wusste, wohin er wollte. ".repeat(4000);
        assert_eq!(sample(&german).unwrap().chars().count(), 3 * PIECE + 2);
        let thirds = ["a", "б", "c"].map(|letter| letter.repeat(5000)).concat();
        let pieces = ["a", "б", "c"].map(|letter| letter.repeat(PIECE)).join("\n");
        assert_eq!(sample(&thirds), Some(pieces));
        assert_eq!(language(&german), "de");
        // A title and a notice in English do not hide it.
        assert_eq!(
            language(&format!(
                "{} {german} {}",
                "The quick fox. ".repeat(10),
                "All rights reserved. ".repeat(10)
            )),
            "de"
        );
    }

    proptest! {
        #[test]
        fn nothing_is_too_odd(text in "\\PC{0,50}", times in 1usize..100) {
            if let Some((code, sure)) = detect(&text.repeat(times)) {
                prop_assert!((2..=3).contains(&code.len()) && (0.0..=1.0).contains(&sure));
            }
        }
    }
}
