//! The second pass: lines to paragraphs, lists, headings and sections. Knows nothing of what nests inside a line.

use super::inline::{ARGUMENT, CUT, GAP, INDENTED};
use super::names::CLOSING;
use super::repair::repair;
use super::{Counts, WikiOptions, count};

/// MediaWiki shows a line that begins with a space as it is written, in a box. A longer one was indented by mistake:
/// nobody writes code or verse that wide.
const WIDEST_BOX: usize = 80;

struct Prose<'a> {
    text: String,
    /// The lines of the paragraph so far.
    paragraph: String,
    /// Where in the text the last paragraph begins, if it only leads to what is to follow: "Works:".
    lead: Option<usize>,
    /// The level of the closing section that is being left out.
    closing: Option<usize>,
    options: &'a WikiOptions,
    dropped: &'a mut Counts,
}

/// Paragraphs, one a line, from lines that hold no nested markup any more.
pub(super) fn prose(flat: &str, options: &WikiOptions, dropped: &mut Counts) -> String {
    let mut prose = Prose {
        text: String::with_capacity(flat.len()),
        paragraph: String::new(),
        lead: None,
        closing: None,
        options,
        dropped,
    };
    for line in flat.split('\n') {
        prose.line(line);
    }
    prose.end_paragraph();
    prose.drop_lead();
    prose.text
}

impl Prose<'_> {
    fn line(&mut self, line: &str) {
        let line = line.split_once(CUT).map_or(line, |(line, _)| line);
        let (line, is_indented) = match line.strip_prefix(INDENTED) {
            Some(line) => (line, true),
            None => (line, false),
        };
        let line = line.trim();
        let visible = line.trim_start_matches(|char: char| char == GAP || char.is_whitespace());
        let Some(first) = visible.chars().next() else { return self.end_paragraph() };
        if let Some((level, title)) = heading(visible) {
            return self.heading(level, title);
        }
        if self.closing.is_some() {
            return;
        }
        match first {
            '*' | '#' | ';' | ':' => {
                self.end_paragraph();
                if !self.options.lists {
                    return self.leave_out("list");
                }
                self.whole(visible.trim_start_matches(['*', '#', ';', ':']));
            }
            // What is left of tables and templates that are not closed.
            '|' | ARGUMENT => self.leave_out("table"),
            '!' if visible.contains("!!") || visible.contains('|') => self.leave_out("table"),
            '{' if visible.starts_with("{|") => self.leave_out("table"),
            _ if is_indented => {
                self.end_paragraph();
                if visible.chars().nth(WIDEST_BOX).is_none() {
                    return self.leave_out("code");
                }
                self.whole(line);
            }
            _ => {
                let text = if visible.starts_with("----") { visible.trim_start_matches('-') } else { line };
                if !self.paragraph.is_empty() {
                    self.paragraph.push(' ');
                }
                self.paragraph.push_str(text);
            }
        }
    }

    /// Counts a line that is left out.
    fn leave_out(&mut self, kind: &'static str) {
        self.end_paragraph();
        self.drop_lead();
        count(self.dropped, kind);
    }

    /// What only leads to something that was left out says nothing.
    fn drop_lead(&mut self) {
        if let Some(start) = self.lead.take() {
            self.text.truncate(start);
            count(self.dropped, "lead");
        }
    }

    fn heading(&mut self, level: usize, title: &str) {
        self.end_paragraph();
        self.drop_lead();
        if self.closing.is_some_and(|closing| level > closing) {
            return;
        }
        self.closing = None;
        let mut plain = String::new();
        repair(title, &mut plain);
        if is_closing(level, &plain) {
            self.closing = Some(level);
            count(self.dropped, "section");
        } else if self.options.headings {
            self.whole(title);
        } else {
            count(self.dropped, "heading");
        }
    }

    /// Adds a line of its own.
    fn whole(&mut self, line: &str) {
        self.paragraph.push_str(line);
        self.end_paragraph();
    }

    fn end_paragraph(&mut self) {
        if self.paragraph.is_empty() {
            return;
        }
        let before = self.text.len();
        if before > 0 {
            self.text.push('\n');
        }
        let start = self.text.len();
        repair(&self.paragraph, &mut self.text);
        // What holds no letter and no digit is what is left of something else.
        if !self.text[start..].chars().any(char::is_alphanumeric) {
            self.text.truncate(before);
        } else {
            self.lead = is_lead(&self.text[start..]).then_some(before);
        }
        self.paragraph.clear();
    }
}

/// Whether a paragraph is one sentence, or less, that ends with a colon.
fn is_lead(paragraph: &str) -> bool {
    paragraph.ends_with([':', '：'])
        && ![". ", "! ", "? ", "。", "！", "？"].iter().any(|end| paragraph.contains(end))
}

/// Level and title of a line like `== Title ==`.
fn heading(line: &str) -> Option<(usize, &str)> {
    let line = line.trim_end_matches(|char: char| char == GAP || char.is_whitespace());
    let level_of = |found: usize| found.min(6);
    let left = line.len() - line.trim_start_matches('=').len();
    let right = line.len() - line.trim_end_matches('=').len();
    let level = level_of(left.min(right));
    (level > 0 && line.len() > 2 * level).then(|| (level, line[level..line.len() - level].trim()))
}

/// Whether a section holds references, links and the like, and no prose.
fn is_closing(level: usize, title: &str) -> bool {
    let title = title.trim_end_matches([':', '.']).trim().to_lowercase();
    if !CLOSING.contains(title.as_str()) {
        return false;
    }
    // A subsection on literature is about a culture; the section at the foot is a list of books.
    let is_literature = ["liter", "litt", "лите", "літе"].iter().any(|head| title.starts_with(head));
    level <= 2 || !is_literature
}
