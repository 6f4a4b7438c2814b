//! Sentences of a clean text: Unicode's sentence boundaries, less those inside English sentences. Knows nothing of
//! tokens, but cuts only where a word tokenizer cuts too: between a visible character and the white space behind it.

use std::ops::Range;

use icu_segmenter::SentenceSegmenter;

/// Titles and the like, after which a sentence goes on.
const ABBREVIATIONS: [&str; 47] = [
    "Adm", "Asst", "Brig", "Bros", "Capt", "Cmdr", "Col", "Comdr", "Cpl", "Dr", "Drs", "Fr", "Ft", "Gen",
    "Gov", "Hon", "Insp", "Lieut", "Lt", "M", "MM", "Maj", "Messrs", "Mlle", "Mme", "Mr", "Mrs", "Ms", "Mt",
    "Mx", "Pres", "Prof", "Rep", "Rev", "Sen", "Sergt", "Sgt", "Sr", "St", "Ste", "Supt", "cf", "e.g", "i.e",
    "viz", "vs", "v",
];

/// Abbreviations only in front of a number: "No. 7", but "No. He went."
const NUMBERED: [&str; 14] =
    ["Art", "Ch", "Chap", "Fig", "No", "Nos", "Vol", "Vols", "art", "ch", "fig", "no", "p", "pp"];

/// Where the sentences of a clean text lie. Each range begins with the white space before the sentence, so the
/// ranges are the text, without gaps; a sentence never crosses the end of a paragraph.
///
/// ```
/// let text = "Mr. Smith came. He sat.\nThen J. R. left.";
/// let parts: Vec<&str> = corpus::split(text).into_iter().map(|range| &text[range]).collect();
/// assert_eq!(parts, ["Mr. Smith came.", " He sat.", "\nThen J. R. left."]);
/// ```
pub fn split(text: &str) -> Vec<Range<usize>> {
    let mut sentences = Vec::new();
    let mut start = 0;
    for next in SentenceSegmenter::new(Default::default()).segment_str(text) {
        let end = text[..next].trim_end().len();
        // No cut without white space: "end.”He" stays whole, as tokenizers keep punctuation together.
        if next == text.len() || end == next || end <= start {
            continue;
        }
        let paragraph = text[end..next].contains('\n');
        if paragraph || !goes_on(&text[start..end], &text[next..]) {
            sentences.push(start..end);
            start = end;
        }
    }
    if start < text.len() {
        sentences.push(start..text.len());
    }
    sentences
}

/// Whether what looks like the end of a sentence is inside one: an abbreviation, or speech (“Is it?” she asked).
fn goes_on(sentence: &str, next: &str) -> bool {
    if next.starts_with(char::is_lowercase) {
        return true;
    }
    let Some(sentence) = sentence.strip_suffix('.') else { return false };
    let word = sentence.rsplit(|c: char| c.is_whitespace() || "-—–".contains(c)).next().unwrap_or(sentence);
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    let mut letters = word.chars();
    // An initial, as in "J. R. Smith"; "I" is more often the pronoun.
    let initial = matches!((letters.next(), letters.next()), (Some(c), None) if c.is_uppercase() && c != 'I');
    let number = next.starts_with(|c: char| c.is_ascii_digit());
    initial || ABBREVIATIONS.contains(&word) || number && NUMBERED.contains(&word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> Vec<&str> {
        split(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn abbreviations_do_not_end_a_sentence() {
        let cases: [(&str, &[&str]); 7] = [
            (
                "\"No. He went,\" said Dr. Watson. See No. 7.",
                &["\"No.", " He went,\" said Dr. Watson.", " See No. 7."],
            ),
            ("It was I. He knew.", &["It was I.", " He knew."]),
            ("By (St. Paul) and J. R. R. Tolkien! Yes.", &["By (St. Paul) and J. R. R. Tolkien!", " Yes."]),
            ("He met Mr.\nNew paragraph", &["He met Mr.", "\nNew paragraph"]),
            ("One.Two and 3.5 end.", &["One.Two and 3.5 end."]),
            ("“Is it?” she asked. “It is.” He left.", &["“Is it?” she asked.", " “It is.”", " He left."]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(parts(text), expected);
        }
    }

    proptest! {
        #[test]
        fn the_ranges_are_the_text(text in "[A-Ca-c.!? \\n”\"\u{a0}。é]{0,60}") {
            let found = parts(&text);
            prop_assert_eq!(found.concat(), text.as_str());
            for (index, part) in found.iter().enumerate() {
                prop_assert!(!part.is_empty());
                prop_assert!(index == 0 || part.starts_with(char::is_whitespace));
                // A new line in the middle would be a paragraph's end inside a sentence.
                prop_assert!(!part.trim().contains('\n'));
            }
        }
    }
}
