//! Sentences of a clean text: Unicode's sentence boundaries, less those inside sentences (abbreviations, initials,
//! ordinal numbers, speech), by the rules of its language. Knows nothing of tokens, but cuts only where a word
//! tokenizer cuts too: in front of white space, or behind the terminators of scripts that write none.

mod rules;

use std::ops::Range;

use icu_segmenter::SentenceSegmenter;
use memchr::memmem;
use rules::Rules;

/// Terminators that need no white space behind them: Chinese, Japanese, Devanagari, Urdu, Arabic, Ethiopic, Khmer,
/// Burmese.
const NEED_NO_SPACE: [char; 14] = ['。', '！', '？', '｡', '︒', '।', '॥', '۔', '؟', '።', '፧', '፨', '។', '။'];

/// What closes a quotation or a bracket behind a terminator.
const CLOSERS: [char; 16] =
    ['」', '』', '”', '’', '）', ')', '】', '》', '〉', '〕', '］', '｣', '"', '\'', '»', '›'];

/// What opens a quotation or a bracket in front of a sentence.
const OPENERS: [char; 11] = ['「', '『', '“', '‘', '（', '【', '《', '〈', '〔', '［', '｢'];

/// A "sentence" of a script without terminators is cut at the first white space after this many characters: about
/// the length of a long sentence elsewhere.
const LOOSE_CHARS: usize = 160;

/// Where the sentences of a clean text lie, by the rules of English (and those of scripts that English does not
/// use). Each range begins with the white space before the sentence, so the ranges are the text, without gaps; a
/// sentence never crosses the end of a paragraph.
///
/// ```
/// let text = "Mr. Smith came. He sat.\nThen J. R. left.";
/// let parts: Vec<&str> = corpus::split(text).into_iter().map(|range| &text[range]).collect();
/// assert_eq!(parts, ["Mr. Smith came.", " He sat.", "\nThen J. R. left."]);
/// ```
pub fn split(text: &str) -> Vec<Range<usize>> {
    split_in(text, None)
}

/// As [`split`], by the rules of a language, given by its ISO 639 code.
///
/// ```
/// let text = "Am 3. Oktober kam Hr. Meyer. Er saß.";
/// let parts: Vec<&str> = corpus::split_in(text, Some("de")).into_iter().map(|range| &text[range]).collect();
/// assert_eq!(parts, ["Am 3. Oktober kam Hr. Meyer.", " Er saß."]);
/// ```
pub fn split_in(text: &str, language: Option<&str>) -> Vec<Range<usize>> {
    let rules = Rules::of(language);
    let mut sentences = Vec::new();
    let (mut start, mut from) = (0, 0);
    let boundaries = SentenceSegmenter::new(Default::default()).segment_str(text).flat_map(|boundary| {
        let range = std::mem::replace(&mut from, boundary)..boundary;
        before_numbers(text, range).chain([boundary])
    });
    for boundary in boundaries {
        let (end, next) = around(text, boundary);
        if next == text.len() || end <= start {
            continue;
        }
        let sentence = &text[start..end];
        let paragraph = text[end..next].contains('\n');
        let cut = match end == next {
            // "end.”He" stays whole, as tokenizers keep punctuation together.
            true => needs_no_space(sentence, &text[next..]),
            false => paragraph || !goes_on(sentence, &text[next..], rules),
        };
        if cut {
            push(text, start..end, &mut sentences);
            start = end;
        }
    }
    if start < text.len() {
        push(text, start..text.len(), &mut sentences);
    }
    sentences
}

/// Where sentences begin with a number, as in "… in Riga. 1936 wurde …": Unicode sees no boundary if small letters
/// follow it. Only behind words too long for an abbreviation.
fn before_numbers(text: &str, range: Range<usize>) -> impl Iterator<Item = usize> {
    const SHORTEST: usize = 5;
    let part = &text[range.clone()];
    memmem::find_iter(part.as_bytes(), b". ").filter_map(move |at| {
        let word = part[..at].chars().rev().take_while(|c| c.is_alphabetic()).take(SHORTEST).count();
        let is_word = word == SHORTEST && part[..at].ends_with(char::is_lowercase);
        let is_number = part.as_bytes().get(at + 2).is_some_and(u8::is_ascii_digit);
        (is_word && is_number).then_some(range.start + at + 2)
    })
}

/// The white space at a boundary: where it begins and where it ends. French puts a space before its closing
/// quotation mark, which Unicode's boundary then leaves to the next sentence.
fn around(text: &str, boundary: usize) -> (usize, usize) {
    let end = text[..boundary].trim_end().len();
    // 「はい。」「そう。」: Unicode leaves a bracket that opens to the sentence before it.
    if text[..boundary].ends_with(|c: char| !c.is_ascii()) {
        let bare = text[..boundary].trim_end_matches(OPENERS);
        if bare.len() < boundary && bare.trim_end_matches(CLOSERS).ends_with(NEED_NO_SPACE) {
            return (bare.len(), bare.len());
        }
    }
    if end == boundary
        || text.as_bytes().get(boundary).is_none_or(u8::is_ascii)
        || text[end..boundary].contains('\n')
    {
        return (end, boundary);
    }
    let Some(after) = text[boundary..].strip_prefix(['»', '›']) else { return (end, boundary) };
    let (end_of_quote, next) = (text.len() - after.len(), text.len() - after.trim_start().len());
    match next > end_of_quote || after.is_empty() {
        true => (end_of_quote, next),
        false => (end, boundary),
    }
}

/// Whether a sentence ends here without white space.
fn needs_no_space(sentence: &str, next: &str) -> bool {
    let bare = sentence.trim_end_matches(CLOSERS);
    // 「そうだ。」と言った: what follows the quotation is what it is quoted by.
    let quoted = bare.len() < sentence.len() && (next.starts_with('と') || next.starts_with("って"));
    bare.ends_with(NEED_NO_SPACE) && !quoted
}

/// Whether what looks like the end of a sentence is inside one: an abbreviation, or speech (“Is it?” she asked).
fn goes_on(sentence: &str, next: &str, rules: &Rules) -> bool {
    if next.starts_with(char::is_lowercase) {
        return true;
    }
    if numbers_a_paragraph(sentence) {
        return true;
    }
    let Some(sentence) = sentence.strip_suffix('.') else { return false };
    let mut words = sentence.rsplit(|c: char| c.is_whitespace() || "-—–".contains(c));
    let word = words.next().unwrap_or(sentence).trim_start_matches(|c: char| !c.is_alphanumeric());
    let mut letters = word.chars();
    let number = next.starts_with(|c: char| c.is_ascii_digit());
    match (letters.next(), letters.next()) {
        // An initial, as in "J. R. Smith".
        (Some(c), None) if c.is_uppercase() && !rules.words.contains(c) => return true,
        // "z. B. Wien"; but "1990 г." and "5 m." end sentences more often than not.
        (Some(c), None) if c.is_lowercase() && rules.small_letters && !rules.words.contains(c) => {
            let number = words.next().is_some_and(|word| word.ends_with(|c: char| c.is_ascii_digit()));
            if !number {
                return true;
            }
        }
        _ => {}
    }
    rules.has(rules.abbreviations, word)
        || rules::MODIFIERS.contains(&word) && !rules::begins_sentences(next)
        || number && rules.has(rules.numbered, word)
        || rules.ordinals && is_ordinal(word) && next.starts_with(char::is_alphanumeric)
}

/// "1.", "XII." at the beginning of a paragraph is its number, not a sentence.
fn numbers_a_paragraph(sentence: &str) -> bool {
    const LONGEST: usize = 5;
    let number = sentence.trim_start_matches('\n').strip_suffix('.').unwrap_or_default();
    let all = |is: fn(&u8) -> bool| number.bytes().all(|byte| is(&byte));
    (1..=LONGEST).contains(&number.len()) && (all(u8::is_ascii_digit) || all(|byte| b"IVXLC".contains(byte)))
}

/// Whether a number with a full stop is read as an ordinal: a day, a century, a king; not a year.
fn is_ordinal(word: &str) -> bool {
    let roman = word.len() > 1 && word.bytes().all(|byte| b"IVX".contains(&byte));
    (1..=2).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit()) || roman
}

/// Adds a sentence; where a script marks no ends of sentences, in parts.
fn push(text: &str, range: Range<usize>, sentences: &mut Vec<Range<usize>>) {
    let mut start = range.start;
    // Their characters all begin with one of two bytes, which are rare elsewhere.
    if range.len() > LOOSE_CHARS
        && text.as_bytes()[range.clone()].iter().any(|byte| matches!(byte, 0xe0 | 0xe1))
    {
        let (mut chars, mut before) = (0, ' ');
        for (at, c) in text[range.clone()].char_indices() {
            let loose = c.is_whitespace() && chars >= LOOSE_CHARS && without_terminators(before);
            if loose && text[range.start + at..range.end].trim_start().starts_with(without_terminators) {
                sentences.push(start..range.start + at);
                (start, chars) = (range.start + at, 0);
            }
            (chars, before) = (chars + 1, c);
        }
    }
    sentences.push(start..range.end);
}

/// Thai, Lao, Tibetan (whose marks Unicode does not count as terminators), Burmese and Khmer.
fn without_terminators(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{fff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

#[cfg(test)]
mod tests;
