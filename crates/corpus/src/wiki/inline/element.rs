//! Angle brackets: comments and tags. A part of the first pass that knows nothing of templates and links.

use memchr::{memchr2_iter, memmem};

use super::super::entity::unescaped;
use super::super::tag::{Effect, Tag, tag};
use super::formula::formula;
use super::{Closing, Kind, Scanner};

impl Scanner<'_> {
    pub(super) fn angle(&mut self) {
        if self.starts_with(b"<!--") {
            return self.comment();
        }
        let Some(tag) = tag(&self.bytes[self.at..]) else { return self.literal(1) };
        self.at += tag.len;
        match tag.effect {
            Effect::Inline => {}
            Effect::Space => self.out.push(b' '),
            Effect::Block => self.out.extend_from_slice(b"\n\n"),
            Effect::Heading(level) => self.heading(level, tag.closes),
            Effect::Item if !tag.closes => self.out.extend_from_slice(b"\n* "),
            Effect::Item => {}
            Effect::Drop(_) | Effect::Script if tag.is_empty => {}
            Effect::Drop(_) | Effect::Script if tag.closes => self.close_tag(tag),
            Effect::Drop(_) | Effect::Script => self.push(Kind::Tag(tag.name)),
            Effect::Raw(kind) if tag.is_empty => self.gap(kind),
            // The opening tag is missing, or `</ref>` was written twice.
            Effect::Raw(_) | Effect::Text if tag.closes => {}
            Effect::Raw(kind) => self.raw(tag.name, kind),
            Effect::Text if tag.is_empty => {}
            Effect::Text => self.text(tag.name),
        }
    }

    fn gap(&mut self, kind: &'static str) {
        self.drop_from(self.out.len(), kind);
    }

    /// A comment leaves no trace; a line that holds nothing else is no line. One that is not closed goes on to the
    /// end, as in MediaWiki.
    fn comment(&mut self) {
        let rest = &self.bytes[self.at..];
        let Some(end) = memmem::find(rest, b"-->") else {
            self.at = self.bytes.len();
            return;
        };
        self.at += end + 3;
        let rest = &self.bytes[self.at..];
        let is_line_start = self.out.last().is_none_or(|&byte| byte == b'\n');
        let blank = rest.iter().take(32).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if is_line_start && rest.get(blank) == Some(&b'\n') {
            self.at += blank + 1;
            self.line_start();
        }
    }

    fn heading(&mut self, level: usize, closes: bool) {
        if !closes {
            self.out.push(b'\n');
        }
        self.out.extend(std::iter::repeat_n(b'=', level));
        if closes {
            self.out.push(b'\n');
        }
    }

    fn close_tag(&mut self, tag: Tag) {
        if self.tags == 0 {
            return;
        }
        // Only through other tags: a template or a link does not end because a tag does.
        self.abandon_while(|kind| {
            matches!(kind, Kind::Url(_)) || matches!(kind, Kind::Tag(name) if name != tag.name)
        });
        if self.stack.last().is_none_or(|frame| frame.kind != Kind::Tag(tag.name)) {
            return;
        }
        let Some(frame) = self.pop() else { return };
        match tag.effect {
            Effect::Drop(kind) => self.drop_from(frame.start, kind),
            _ if self.is_deep() => self.drop_from(frame.start, "template"),
            _ => {
                let content = String::from_utf8_lossy(&self.out[frame.start..]).into_owned();
                self.out.truncate(frame.start);
                self.out.extend_from_slice(script(&content, tag.name == "sup").as_bytes());
            }
        }
    }

    /// The bytes up to the closing tag, and how many there are with it.
    fn until_closed(&mut self, name: &'static str) -> Option<(usize, usize)> {
        let known = self.closings.iter().position(|closing| closing.name == name);
        // The first one after an earlier place is the first one after this place too, unless it was passed.
        let index = known.unwrap_or_else(|| {
            self.closings.push(Closing { name, start: 0, end: 0 });
            self.closings.len() - 1
        });
        if known.is_none() || self.closings[index].start < self.at {
            let (start, end) = closing(self.bytes, self.at, name).unwrap_or((usize::MAX, usize::MAX));
            self.closings[index] = Closing { name, start, end };
        }
        let Closing { start, end, .. } = self.closings[index];
        (start != usize::MAX).then(|| (start - self.at, end - self.at))
    }

    fn raw(&mut self, name: &'static str, kind: &'static str) {
        let closed = self.until_closed(name);
        if name == "ref" {
            return self.reference_note(closed);
        }
        let Some((content, whole)) = closed else { return };
        let content = &self.bytes[self.at..self.at + content];
        self.at += whole;
        match formula(content).filter(|_| name == "math") {
            Some(formula) => self.out.extend_from_slice(formula.as_bytes()),
            None => self.gap(kind),
        }
    }

    /// The slash of a closing `</ref>` is often forgotten: a note ends at the latest where another one begins, and
    /// one without any end with its line.
    fn reference_note(&mut self, closed: Option<(usize, usize)>) {
        let rest = &self.bytes[self.at..];
        let content = &rest[..closed.map_or(rest.len(), |(content, _)| content)];
        let line =
            || memchr2_iter(b'\n', b'<', content).find(|&at| content[at] == b'\n' || is_note(&content[at..]));
        let end = match closed {
            Some((_, whole)) => match memmem::find_iter(content, b"<ref").find(|&at| is_note(&content[at..]))
            {
                Some(_) => line().unwrap_or(content.len()),
                None => whole,
            },
            None => line().unwrap_or(content.len()),
        };
        self.at += end;
        self.gap("ref");
    }

    fn text(&mut self, name: &'static str) {
        let Some((content, whole)) = self.until_closed(name) else { return };
        let content = String::from_utf8_lossy(&self.bytes[self.at..self.at + content]);
        let plain = unescaped(&content).replace(|char: char| char < ' ', " ");
        self.at += whole;
        self.out.extend_from_slice(plain.as_bytes());
    }
}

fn is_note(bytes: &[u8]) -> bool {
    bytes.starts_with(b"<ref") && matches!(bytes.get(4), Some(b'>' | b' ' | b'/'))
}

/// Where the first closing tag of this name after `from` begins and ends.
fn closing(bytes: &[u8], from: usize, name: &str) -> Option<(usize, usize)> {
    let rest = &bytes[from..];
    memmem::find_iter(rest, b"</").find_map(|at| {
        let tail = &rest[at + 2..];
        let is_named = tail.get(..name.len())?.eq_ignore_ascii_case(name.as_bytes());
        let blank = tail[name.len()..].iter().take(8).take_while(|byte| byte.is_ascii_whitespace()).count();
        let end = name.len() + blank;
        (is_named && tail.get(end) == Some(&b'>')).then_some((from + at, from + at + 2 + end + 1))
    })
}

/// Raised or lowered digits have characters of their own, so that `10<sup>6</sup>` does not become 106. A note's
/// number in brackets is none of the text.
pub(in super::super) fn script(content: &str, is_raised: bool) -> String {
    let text = content.trim();
    if text.starts_with('[') && text.ends_with(']') {
        return super::GAP.to_string();
    }
    let mapped: Option<String> = text.chars().map(|char| scripted(char, is_raised)).collect();
    match mapped {
        Some(mapped) => mapped,
        None if is_raised && text.starts_with(|char: char| char.is_ascii_digit() || char == '-') => {
            format!("^{text}")
        }
        None => content.to_owned(),
    }
}

fn scripted(char: char, is_raised: bool) -> Option<char> {
    const PLAIN: &str = "0123456789+-−=()n";
    const RAISED: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿ";
    const LOWERED: &str = "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₙ";
    let index = PLAIN.chars().position(|plain| plain == char)?;
    if is_raised { RAISED.chars().nth(index) } else { LOWERED.chars().nth(index) }
}
