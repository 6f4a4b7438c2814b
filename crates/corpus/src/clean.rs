//! Bytes to text, and text to paragraphs: one `\n` between paragraphs, one space between words, nothing else that
//! is white or invisible. Knows nothing of sentences or tokens.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// How paragraphs are marked in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paragraphs {
    /// Found out per document: long lines are paragraphs, short ones are joined up to the next blank line; where
    /// none is blank, lines are joined where they were wrapped, and else are paragraphs.
    #[default]
    Auto,
    /// Blank lines stand between paragraphs; the lines of a paragraph are joined.
    BlankLine,
    /// Every line is a paragraph.
    Line,
}

/// Lines longer than this were not wrapped for reading.
const LONG_LINE: usize = 100;
/// Where half of the lines have fewer characters, they are verse, or a list.
const NARROWEST: usize = 40;

/// What the end of a line stands for.
#[derive(Clone, Copy)]
enum Layout {
    /// The end of a paragraph.
    Lines,
    /// A space; paragraphs end at blank lines.
    Blocks,
    /// A space if the next word had no room left on the line or is in the middle of a sentence, else the end of a
    /// paragraph; that ends too where the next line is indented, if indents tell.
    Wrapped { width: usize, indents: bool },
}

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
    let layout = match paragraphs {
        Paragraphs::Line => Layout::Lines,
        Paragraphs::BlankLine => Layout::Blocks,
        Paragraphs::Auto => layout(text),
    };
    let mut clean = String::with_capacity(text.len());
    // The line before; `None` if it was blank.
    let mut before = None;
    for line in text.split('\n') {
        let start = clean.len();
        if start > 0 {
            clean.push(if before.is_some_and(|before| layout.joins(before, line)) { ' ' } else { '\n' });
        }
        let written = clean.len();
        squeeze(line, &mut clean);
        let blank = clean.len() == written;
        if blank {
            clean.truncate(start);
        }
        before = (!blank).then_some(line);
    }
    clean
}

impl Layout {
    /// Whether a line goes on in the next one. Neither is blank.
    fn joins(self, line: &str, next: &str) -> bool {
        match self {
            Layout::Lines => false,
            Layout::Blocks => true,
            Layout::Wrapped { indents: true, .. } if is_indented(next) && !is_indented(line) => false,
            Layout::Wrapped { width, .. } => {
                is_full(line, next, width) || begins_within(next) || ends_within(line, width)
            }
        }
    }
}

/// Whether the first word of the next line had no room on this one.
fn is_full(line: &str, next: &str, width: usize) -> bool {
    let word = next.split_whitespace().next().unwrap_or_default();
    line.trim().chars().count() + 1 + word.chars().count() > width
}

/// Whether a line begins within a sentence.
fn begins_within(line: &str) -> bool {
    line.trim_start().starts_with(char::is_lowercase)
}

/// Whether a line ends within a sentence. It may end early where marks stood that are gone by now; headings and
/// verse are short.
fn ends_within(line: &str, width: usize) -> bool {
    let line = line.trim();
    line.ends_with(|c: char| c.is_alphanumeric() || c == ',') && 2 * line.chars().count() > width
}

fn is_indented(line: &str) -> bool {
    line.starts_with([' ', '\t'])
}

/// Finds out what the ends of lines stand for. Lines are paragraphs if the median one is long, or if (almost) none
/// is blank and they were not wrapped.
fn layout(text: &str) -> Layout {
    let (mut lines, mut long, mut blank) = (0usize, 0usize, 0usize);
    // The new line at the end makes no blank line.
    for line in text.trim().split('\n') {
        let line = line.trim();
        if line.is_empty() {
            blank += 1;
        } else {
            lines += 1;
            long += usize::from(line.len() > LONG_LINE && line.chars().nth(LONG_LINE).is_some());
        }
    }
    match (2 * long > lines, 50 * blank < lines) {
        (true, _) => Layout::Lines,
        (false, true) => wrapped(text).unwrap_or(Layout::Lines),
        (false, false) => Layout::Blocks,
    }
}

/// How a text without blank lines was wrapped, if it was: a good part of its lines begin within a sentence, as those
/// of verse and of lists do not; and they are as full as they can be, or even more begin so.
fn wrapped(text: &str) -> Option<Layout> {
    let lines: Vec<&str> = text.split('\n').filter(|line| !line.trim().is_empty()).collect();
    let mut lengths: Vec<usize> = lines.iter().map(|line| line.trim().chars().count()).collect();
    lengths.sort_unstable();
    let median = *lengths.get(lengths.len() / 2)?;
    // A few lines can be longer than the rest.
    let width = lengths[(lengths.len() - 1) * 98 / 100];
    let full = lines.windows(2).filter(|pair| is_full(pair[0], pair[1], width)).count();
    let within = lines.iter().filter(|line| begins_within(line)).count();
    let indented = lines.iter().filter(|line| is_indented(line)).count();
    let is_wrapped = median >= NARROWEST
        && 3 * within > lines.len()
        && (3 * full > lines.len() || 2 * within > lines.len());
    is_wrapped.then_some(Layout::Wrapped { width, indents: 2 * indented < lines.len() })
}

/// How far a line is words of visible ASCII with single spaces between them: most lines are to their ends.
fn tidy(line: &[u8]) -> usize {
    let mut before = b' ';
    let is_other = |&byte: &u8| {
        !matches!((std::mem::replace(&mut before, byte), byte), (_, b'!'..=b'~') | (b'!'..=b'~', b' '))
    };
    let end = line.iter().position(is_other).unwrap_or(line.len());
    end - usize::from(line[..end].ends_with(b" "))
}

/// Appends one line: single spaces between words, none at its ends, no control characters.
fn squeeze(line: &str, clean: &mut String) {
    let start = clean.len();
    let mut space = false;
    let mut rest = line;
    loop {
        let (tidy, other) = rest.split_at(tidy(rest.as_bytes()));
        if !tidy.is_empty() {
            if std::mem::take(&mut space) && clean.len() > start {
                clean.push(' ');
            }
            clean.push_str(tidy);
        }
        let mut chars = other.chars();
        let Some(char) = chars.next().map(windows_1252) else { return };
        rest = chars.as_str();
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
    fn wrapped_lines_are_joined_without_blank_ones() {
        let text = "CHAPTER I\nThe weather door of the smoking-room had been left open to the North\nAtlantic fog, as \
                    the big liner rolled and lifted, whistling to warn\nthe fishing-fleet.\n\"That boy is the biggest \
                    nuisance aboard,\" said a man in a frieze\novercoat, shutting the door with a bang, so that all of \
                    them turned\nround.\n\"He is not wanted here.\"\nA white-haired German reached for a sandwich, and \
                    grunted\nbetween bites, while the others looked at him and waited for more of\nit.\n";
        let starts = |text: &str| -> Vec<String> {
            let lines = clean(text, Paragraphs::Auto);
            lines.split('\n').map(|line| line.chars().take(9).collect()).collect()
        };
        assert_eq!(starts(text), ["CHAPTER I", "The weath", "\"That boy", "\"He is no", "A white-h"]);
        let full = "\"He is not wanted here, and I would rather that he left at once.\"";
        let indented = text.replace("\"He is not wanted here.\"\nA", &format!("{full}\n  A"));
        assert_eq!(starts(&indented), starts(text));
        let verse = "So we settled it all when the storm was done and over,\nAs comfy as comfy could be;\n\
                     And I was to wait in the barn, my dears, in the clover,\nBecause I was only three;\n";
        assert_eq!(clean(verse, Paragraphs::Auto), verse.trim_end());
        let list =
            "a list of things that are wanted for the journey\nbread and cheese\nsalt\nmatches\nrope\n";
        assert_eq!(clean(list, Paragraphs::Auto), list.trim_end());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may read files")]
    fn sentences_of_a_book_without_blank_lines_stay_whole() {
        let path = "../../../shared/data/books/botchan.txt";
        let Ok(text) = std::fs::read_to_string(path) else { return println!("skipped: no {path}") };
        let lines = clean(&text, Paragraphs::Auto);
        let within = lines.split('\n').filter(|line| line.starts_with(char::is_lowercase)).count();
        let all = lines.split('\n').count();
        assert!(within < all / 50, "{within} of {all} paragraphs begin within a sentence");
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
        fn lines_are_squeezed_as_character_by_character(line in "([a-z.~]{1,4}|[ \t\r\u{0}\u{7f}\u{85}\u{a0}é’]){0,30}") {
            let mut slow = String::new();
            for c in line.chars().map(windows_1252).filter(|c| c.is_whitespace() || !c.is_control()) {
                if !c.is_whitespace() {
                    slow.push(c);
                } else if !slow.is_empty() && !slow.ends_with(' ') {
                    slow.push(' ');
                }
            }
            let mut fast = String::new();
            squeeze(&line, &mut fast);
            prop_assert_eq!(fast, slow.trim_end_matches(' '));
        }

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
