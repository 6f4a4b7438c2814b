//! Lines of text: which of them are sentences, and which are labels and notices. Knows no tags and no language, only
//! lengths and marks.

use super::dom::BREAK;

/// A line of so many characters that ends with a sentence's mark is prose; names of things are shorter.
const SENTENCE: usize = 40;
/// Without a mark it must have as many: some scripts have none, and the last one may be missing.
const PARAGRAPH: usize = 160;
/// Chinese and Japanese say in one character what others do in three.
const WIDE: usize = 3;

/// The lines of a text that say something, clean.
pub(super) fn paragraphs(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for line in text.split(['\n', BREAK]).map(line).filter(|line| !line.is_empty() && !is_notice(line)) {
        // The extractor makes a paragraph of an emphasised word behind line breaks, and leaves the comma to the next.
        if !all.is_empty() && !goes_on(&line) {
            all.push('\n');
        }
        all.push_str(&line);
    }
    all
}

/// Whether a line begins with a mark that ends something.
fn goes_on(line: &str) -> bool {
    let mut chars = line.chars();
    chars.next().is_some_and(|first| ",;.!?)".contains(first)) && chars.next().is_none_or(char::is_whitespace)
}

/// Single spaces between words, and no characters that only say where a line may be broken.
pub(super) fn line(text: &str) -> String {
    let invisible = |char: &char| matches!(*char, BREAK | '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}');
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let start = line.len();
        line.extend(word.chars().filter(|char| !invisible(char) && !char.is_control()));
        if line.len() > start {
            line.push(' ');
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Whether a good part of the text, a quarter of it, is sentences. Lists of links and tables are not: their lines are
/// short, or end with numbers and names.
pub(super) fn is_prose(text: &str) -> bool {
    let (mut all, mut prose) = (0, 0);
    for line in text.lines() {
        let size = size(line);
        all += size;
        prose += if size >= PARAGRAPH || size >= SENTENCE && is_sentence(line) { size } else { 0 };
    }
    prose > 0 && 4 * prose >= all
}

/// The length in characters, wide ones counted as several.
fn size(line: &str) -> usize {
    let wide =
        |char| matches!(char, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}');
    line.chars().map(|char| if wide(char) { WIDE } else { 1 }).sum()
}

/// Whether a line ends as a sentence does: a mark, and perhaps a quotation mark, a bracket or a note's number.
fn is_sentence(line: &str) -> bool {
    let end = line.trim_end_matches(|char: char| {
        matches!(char, '"' | '\'' | '”' | '’' | '»' | '«' | '“' | ')' | ']' | '[' | '」' | '』' | '）' | ' ')
            || char.is_ascii_digit() && line.ends_with(']')
    });
    end.ends_with([
        '.', '!', '?', '…', ':', ';', '。', '！', '？', '；', '：', '؟', '۔', '।', '॥', '։', '።', '။', '។',
    ])
}

/// Whether a line is a copyright notice.
fn is_notice(line: &str) -> bool {
    // Longer ones may be about one.
    if line.len() >= 200 {
        return false;
    }
    let line = line.to_lowercase();
    let begins = |start: &str| line.starts_with(start);
    let dated = line.contains(['©', '®']) || line.bytes().any(|byte| byte.is_ascii_digit());
    begins("©") || (begins("copyright") || begins("(c) ")) && dated || line.contains("all rights reserved")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_cleaned_and_notices_dropped() {
        let text = " pre\u{ad}mier \u{a0} \t lan\u{ad}ceur\u{200b} \n\n\u{200b}\n© 2024 Me\nCopyright (C) 2001 Us\n\
                    x. All Rights Reserved\nCopyright law is old.\nend\u{7}\n";
        assert_eq!(paragraphs(text), "premier lanceur\nCopyright law is old.\nend");
    }

    #[test]
    fn no_paragraph_begins_with_the_end_of_another() {
        assert_eq!(
            paragraphs("Before any show\n, read this\n.\n.INT\n... and so on"),
            "Before any show, read this.\n.INT\n... and so on"
        );
    }

    #[test]
    fn prose_is_told_from_lists() {
        let sentence = "The launch was put off by a faulty valve, officials said.";
        for (text, prose) in [
            (sentence.to_string(), true),
            (format!("Heading\n{sentence}\nBy A. Writer"), true),
            (format!("{sentence}[12]"), true),
            (format!("“{sentence}”"), true),
            ("我们的目标是让所有人都能自由地分享知识。".to_string(), true),
            ("ทุกคนมีสิทธิในการศึกษา".repeat(9), true),
            ("Home\nAbout us\nContact".to_string(), false),
            (
                format!(
                    "{sentence}\n{}",
                    "Re: Silent Films Robin_1990 1 27 April 27, 2008 07:07:11pm\n".repeat(9)
                ),
                false,
            ),
            (String::new(), false),
        ] {
            assert_eq!(is_prose(&text), prose, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_line_says_something(text in "[ a\\n\\t\u{ad}\u{200b}\u{a0}©\u{85}\u{2028}]{0,60}") {
            let clean = paragraphs(&text);
            prop_assert!(clean.is_empty() || clean.split('\n').all(|line| !line.is_empty() && line.trim() == line));
            prop_assert!(!clean.contains("  "));
            prop_assert_eq!(paragraphs(&clean), clean);
        }
    }
}
