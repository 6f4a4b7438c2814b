//! One paragraph: quotes and marks go, and what their loss left behind (empty brackets, orphaned commas, doubled
//! spaces) is mended. Knows nothing of other paragraphs.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

use memchr::{memchr, memchr3, memmem};

use super::inline::{ARGUMENT, EQUALS, GAP, LINK};
use super::tag::{Effect, tag};

/// Appends the clean text of a paragraph: single spaces, no markup.
pub(super) fn repair(paragraph: &str, text: &mut String) {
    let plain = without_quotes(paragraph);
    let plain = without_magic_words(plain);
    let start = text.len();
    Repair { chars: plain.chars().peekable(), start, text, gap: false, space: false }.run();
    let written = &text.as_bytes()[start..];
    let is_clean =
        memchr3(b'{', b'}', b'<', written).is_none() && memchr3(b'[', b']', b'\'', written).is_none();
    if !is_clean {
        let clean = without_residue(&text[start..]);
        text.truncate(start);
        text.push_str(clean.trim());
    }
}

/// Runs of apostrophes are bold and italics. Where a line has one bold and one italic mark too many, an apostrophe in
/// front of an italic word was meant: `l'''Iliade''`.
fn without_quotes(line: &str) -> Cow<'_, str> {
    if memmem::find(line.as_bytes(), b"''").is_none() {
        return Cow::Borrowed(line);
    }
    let runs = quote_runs(line);
    let has_bold = |run: &&(usize, usize)| run.1 == 3 || run.1 >= 5;
    let has_italic = |run: &&(usize, usize)| run.1 == 2 || run.1 >= 5;
    let is_odd = |found: usize| found % 2 == 1;
    let unbalanced =
        is_odd(runs.iter().filter(has_bold).count()) && is_odd(runs.iter().filter(has_italic).count());
    // MediaWiki's order: behind a word of one letter, behind any word.
    let bold = || runs.iter().filter(|run| run.1 == 3).map(|run| run.0);
    let letters =
        |at: usize| line[..at].chars().rev().take_while(|char| char.is_alphanumeric()).take(2).count();
    let meant = unbalanced
        .then(|| bold().find(|&at| letters(at) == 1).or_else(|| bold().find(|&at| letters(at) > 1)));
    let mut plain = String::with_capacity(line.len());
    let mut from = 0;
    for &(at, len) in &runs {
        plain.push_str(&line[from..at]);
        if len == 4 || len > 5 || meant.flatten() == Some(at) {
            plain.push('\'');
        }
        from = at + len;
    }
    plain.push_str(&line[from..]);
    Cow::Owned(plain)
}

/// Where two and more apostrophes stand, and how many.
fn quote_runs(line: &str) -> Vec<(usize, usize)> {
    let bytes = line.as_bytes();
    let mut runs = Vec::new();
    let mut from = 0;
    while let Some(at) = memchr(b'\'', &bytes[from..]).map(|at| from + at) {
        let len = bytes[at..].iter().take_while(|&&byte| byte == b'\'').count();
        if len > 1 {
            runs.push((at, len));
        }
        from = at + len;
    }
    runs
}

/// `__NOTOC__` and its like.
fn without_magic_words(line: Cow<'_, str>) -> Cow<'_, str> {
    if memmem::find(line.as_bytes(), b"__").is_none() {
        return line;
    }
    let mut plain = String::with_capacity(line.len());
    let mut rest = &*line;
    while let Some(at) = rest.find("__") {
        plain.push_str(&rest[..at]);
        let word = rest[at + 2..].chars().take(40).take_while(|char| char.is_uppercase()).map(char::len_utf8);
        let end = at + 2 + word.sum::<usize>();
        if end > at + 2 && rest[end..].starts_with("__") {
            plain.push(GAP);
            rest = &rest[end + 2..];
        } else {
            plain.push_str("__");
            rest = &rest[at + 2..];
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

struct Repair<'a, 'b> {
    chars: Peekable<Chars<'a>>,
    text: &'b mut String,
    /// Where the paragraph begins.
    start: usize,
    /// Whether something was dropped behind the last character.
    gap: bool,
    /// Whether white space stands behind the last character.
    space: bool,
}

impl Repair<'_, '_> {
    fn run(mut self) {
        while let Some(char) = self.chars.next() {
            match char {
                GAP => self.gap = true,
                // An open link shows what stands behind its bar.
                LINK => self.skip_target(),
                ARGUMENT => self.space = true,
                EQUALS => self.visible('='),
                // Marks of direction and of hyphenation, and the byte order mark.
                '\u{ad}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2060}'
                | '\u{feff}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}' => {}
                char if char.is_whitespace() => self.space = true,
                char if char.is_control() => {}
                ')' | '）' | ']' => self.closing(char),
                '”' | '»' if self.gap && self.last() == opener(char) => self.unopen(),
                ',' | ';' | ':' | '.' | '!' | '?' | '،' | '、' | '。' | '，' => self.point(char),
                '–' | '—' | '-' | '/' if self.gap && self.last().is_none_or(is_opener) => {}
                char => self.visible(char),
            }
        }
    }

    fn last(&self) -> Option<char> {
        self.text[self.start..].chars().next_back()
    }

    fn skip_target(&mut self) {
        let ahead = self.chars.clone().take(200).take_while(|char| !matches!(*char, LINK | '.' | ';'));
        if let Some(bar) = ahead.into_iter().position(|char| char == ARGUMENT) {
            self.chars.nth(bar);
        }
    }

    fn visible(&mut self, char: char) {
        if self.space && self.last().is_some_and(|last| !is_opener(last)) {
            self.text.push(' ');
        }
        self.push(char);
    }

    fn push(&mut self, char: char) {
        self.text.push(char);
        self.gap = false;
        self.space = false;
    }

    /// A closing bracket takes what only led to something that was dropped, and goes if nothing is left.
    fn closing(&mut self, char: char) {
        while let Some(last) = self.last() {
            let is_left_over =
                matches!(last, ',' | ';') || self.gap && matches!(last, ':' | '–' | '—' | '/' | ' ');
            if !is_left_over {
                break;
            }
            self.text.pop();
        }
        // `main()` is a name; nothing stood between its brackets.
        let is_call = !self.gap && !self.space && {
            let mut before = self.text[self.start..].chars().rev().skip(1);
            before.next().is_some_and(char::is_alphanumeric)
        };
        if self.last() == opener(char) && !is_call { self.unopen() } else { self.push(char) }
    }

    /// Takes an opening bracket back, and stands where it stood.
    fn unopen(&mut self) {
        self.text.pop();
        self.gap = true;
        while self.last() == Some(' ') {
            self.text.pop();
            self.space = true;
        }
    }

    fn point(&mut self, char: char) {
        let last = self.last();
        let separates = matches!(char, ',' | ';' | ':' | '،' | '、' | '，');
        let is_orphan = match last {
            None => self.gap && separates,
            Some(last) if is_opener(last) => separates && (self.gap || matches!(char, ',' | ';')),
            Some('.') => self.gap && char == '.' && self.chars.peek() != Some(&'.'),
            Some(last) => self.gap && separates && matches!(last, ',' | ';' | ':' | '、' | '，'),
        };
        if is_orphan {
            self.space = true;
            return;
        }
        // Some languages put a space before high points; a comma and a full stop follow their word in all. `.5` and
        // `.com` are words.
        let next_is_word =
            || self.chars.clone().next().is_some_and(|next| next.is_alphanumeric() || next == '.');
        let joins =
            self.gap && !(char == '.' && next_is_word()) || matches!(char, ',' | '.') && !next_is_word();
        if joins || last.is_none_or(is_opener) {
            self.space = false;
        }
        self.visible(char);
    }
}

fn is_opener(char: char) -> bool {
    matches!(char, '(' | '（' | '[')
}

fn opener(closing: char) -> Option<char> {
    Some(match closing {
        ')' => '(',
        '）' => '（',
        ']' => '[',
        '”' => '“',
        '»' => '«',
        _ => return None,
    })
}

/// The last net: pairs of braces and brackets and known tags that are left, be it from broken markup or from text
/// about markup, whose author escaped it. Of a tag that stands by itself the name is kept: "the div element".
fn without_residue(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    // Where a `<` stands that no `>` followed yet: taking something out can make a tag of what stood around it.
    let mut open = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let is_residue = matches!(
            (clean.chars().next_back(), char),
            (Some('{'), '{' | '|')
                | (Some('}' | '|'), '}')
                | (Some('['), '[')
                | (Some(']'), ']')
                | (Some('\''), '\'')
        );
        if is_residue {
            clean.pop();
            continue;
        }
        if char == '<' {
            open.push(clean.len());
        }
        if char != ' ' || !clean.ends_with(' ') {
            clean.push(char);
        }
        if char == '>'
            && let Some(start) = open.pop()
        {
            without_tag(&mut clean, start, chars.peek().copied());
        }
    }
    clean
}

/// Takes out the tag that begins at `start` and ends with the text, if it is one.
fn without_tag(clean: &mut String, start: usize, next: Option<char>) {
    let Some(found) = tag(&clean.as_bytes()[start..]).filter(|tag| tag.len == clean.len() - start) else {
        return;
    };
    clean.truncate(start);
    let is_word =
        |char: Option<char>| char.is_some_and(|char| char.is_alphanumeric() || matches!(char, '<' | '>'));
    let stands_alone = !is_word(clean.chars().next_back()) && !is_word(next);
    if stands_alone && found.effect != Effect::Space && !found.closes {
        clean.push_str(found.name);
    }
}
