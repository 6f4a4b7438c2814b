//! Bytes to text, and text to paragraphs: one `\n` between paragraphs, one space between words, nothing else that
//! is white or invisible. Knows nothing of sentences or tokens.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// How paragraphs are marked in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paragraphs {
    /// Found out per document: long lines, or no blank ones, are paragraphs; short ones are joined.
    #[default]
    Auto,
    /// Blank lines stand between paragraphs; the lines of a paragraph are joined.
    BlankLine,
    /// Every line is a paragraph.
    Line,
}

/// Lines longer than this were not wrapped for reading.
const LONG_LINE: usize = 100;

/// The five undefined codes of Windows-1252 stay the control characters that they are, and go with them.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Bytes as text: UTF-8 if they are, else Windows-1252 (which includes Latin-1). The flag says that they were not
/// UTF-8.
pub fn decode(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (Cow::Owned(bytes.iter().map(|&byte| windows_1252(char::from(byte))).collect()), true),
    }
}

/// C1 control characters are what Windows-1252 becomes when it is taken for Latin-1: put right.
fn windows_1252(char: char) -> char {
    match char {
        '\u{80}'..='\u{9f}' => WINDOWS_1252[char as usize - 0x80],
        other => other,
    }
}

/// The clean text: paragraphs joined by `\n`, words by single spaces, no control characters, no byte order mark.
pub fn clean(text: &str, paragraphs: Paragraphs) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let by_line = match paragraphs {
        Paragraphs::Line => true,
        Paragraphs::BlankLine => false,
        Paragraphs::Auto => lines_are_paragraphs(text),
    };
    let mut clean = String::with_capacity(text.len());
    // What stands between the text so far and the next line that is not blank.
    let mut between = None;
    for line in text.split('\n') {
        let start = clean.len();
        clean.extend(between);
        let written = clean.len();
        squeeze(line, &mut clean);
        let blank = clean.len() == written;
        if blank {
            clean.truncate(start);
        }
        between = match (clean.is_empty(), blank, by_line) {
            (true, ..) => None,
            (_, true, _) | (_, _, true) => Some('\n'),
            (_, false, false) => Some(' '),
        };
    }
    clean
}

/// Whether lines are paragraphs: the median line is long, or (almost) no line is blank.
fn lines_are_paragraphs(text: &str) -> bool {
    let (mut lines, mut long, mut blank) = (0usize, 0usize, 0usize);
    for line in text.split('\n') {
        let line = line.trim();
        if line.is_empty() {
            blank += 1;
        } else {
            lines += 1;
            long += usize::from(line.chars().nth(LONG_LINE).is_some());
        }
    }
    2 * long > lines || 50 * blank < lines
}

/// Appends one line: single spaces between words, none at its ends, no control characters.
fn squeeze(line: &str, clean: &mut String) {
    let start = clean.len();
    let mut space = false;
    for char in line.chars().map(windows_1252) {
        if char.is_whitespace() {
            space = true;
        } else if !char.is_control() {
            if std::mem::take(&mut space) && clean.len() > start {
                clean.push(' ');
            }
            clean.push(char);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wrapped_lines_are_joined_and_blank_lines_part() {
        let text = "\u{feff}  One two\r\nthree\t \tfour. \r\n\r\n\r\nFive\u{a0}six\u{0}.\r\n";
        assert_eq!(clean(text, Paragraphs::BlankLine), "One two three four.\nFive six.");
        assert_eq!(clean(text, Paragraphs::Line), "One two\nthree four.\nFive six.");
        assert_eq!(clean(" \n\n \t\n", Paragraphs::Auto), "");
    }

    #[test]
    fn the_kind_of_paragraphs_is_found_out() {
        let wrapped = "A line of a book that was wrapped\nat some seventy characters.\n\nThe next one.\n";
        assert_eq!(clean(wrapped, Paragraphs::Auto).matches('\n').count(), 1);
        let long = format!("{0}\n\n{0}\n{0}\nshort\n", "A paragraph on one line. ".repeat(8));
        assert_eq!(clean(&long, Paragraphs::Auto).matches('\n').count(), 3);
        let verses = "First line\nSecond line\nThird line";
        assert_eq!(clean(verses, Paragraphs::Auto), verses);
    }

    #[test]
    fn windows_characters_are_put_right() {
        let (text, converted) = decode(b"caf\xe9 \x93quoted\x94 \x97 end");
        assert_eq!((text.as_ref(), converted), ("café “quoted” — end", true));
        assert_eq!(clean("situations \u{97} however", Paragraphs::Auto), "situations — however");
        assert_eq!(decode("déjà".as_bytes()), (Cow::Borrowed("déjà"), false));
    }

    proptest! {
        #[test]
        fn clean_text_is_clean_and_stays_as_it_is(text in "[ \\t\\r\\na-c\u{85}\u{a0}\u{2028}\u{feff}]{0,80}") {
            for rule in [Paragraphs::Auto, Paragraphs::BlankLine, Paragraphs::Line] {
                let once = clean(&text, rule);
                prop_assert!(once.split('\n').all(|paragraph| !paragraph.is_empty()) || once.is_empty());
                prop_assert!(!once.contains("  ") && !once.contains(" \n") && !once.contains("\n "));
                prop_assert!(once.chars().all(|c| c == '\n' || c == ' ' || !(c.is_control() || c.is_whitespace())));
                // A byte order mark inside the text may come to its beginning; anything else stays.
                if !once.starts_with('\u{feff}') {
                    prop_assert_eq!(&clean(&once, Paragraphs::Line), &once);
                }
                let words = |text: &str| text.replace(|c: char| c.is_whitespace(), "").replace('\u{85}', "…");
                prop_assert_eq!(words(&once), words(text.strip_prefix('\u{feff}').unwrap_or(&text)
                    .replace('\u{85}', "…").as_str()));
            }
        }
    }
}
