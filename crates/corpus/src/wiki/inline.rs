//! The first pass: everything that can stand inside a line and nest (templates, links, tables, tags, references) is
//! resolved or dropped, innermost first, in one walk with a stack of its own. Knows nothing of paragraphs, lists and
//! sections: what it leaves is still lines of markup.

use super::entity::entity;
use super::site::{Site, Target};
use super::template::{Expansion, expand};
use super::{Counts, count};

mod element;
mod formula;
mod link;

pub(super) use element::script;

/// Between the arguments of a template or link. These marks cannot come from the markup: XML knows no control
/// characters, and the scanner drops them.
pub(super) const ARGUMENT: char = '\u{1}';
/// A link that is not closed.
pub(super) const LINK: char = '\u{2}';
/// Something that is not closed and that nobody should read: the line ends here.
pub(super) const CUT: char = '\u{3}';
/// The line began with a space.
pub(super) const INDENTED: char = '\u{4}';
/// Something was dropped here.
pub(super) const GAP: char = '\u{5}';
/// A `=` that is text and names no argument.
pub(super) const EQUALS: char = '\u{6}';

/// What stands deeper than this is dropped: MediaWiki itself stops at 40 templates in each other. It keeps the time
/// linear, since each level may copy what it holds.
const DEEPEST: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Template,
    Parameter,
    Link,
    /// An external link, and whether its bracket was doubled.
    Url(bool),
    Variant,
    Table,
    Tag(&'static str),
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: Kind,
    /// Where its content begins in the output.
    start: usize,
    /// Whether a `|` parts arguments here.
    has_arguments: bool,
}

/// The next closing tag of a name, so that a tag that is never closed costs one search and not many.
struct Closing {
    name: &'static str,
    start: usize,
    end: usize,
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    out: Vec<u8>,
    stack: Vec<Frame>,
    braces: usize,
    links: usize,
    tables: usize,
    tags: usize,
    closings: Vec<Closing>,
    site: &'a Site,
    dropped: &'a mut Counts,
}

/// Lines of text with only the markup of lines (and quotes) left, and marks where something was dropped.
pub(super) fn flatten(markup: &str, site: &Site, dropped: &mut Counts) -> String {
    let mut scanner = Scanner {
        bytes: markup.as_bytes(),
        at: 0,
        out: Vec::with_capacity(markup.len()),
        stack: Vec::new(),
        braces: 0,
        links: 0,
        tables: 0,
        tags: 0,
        closings: Vec::new(),
        site,
        dropped,
    };
    scanner.run();
    // Only whole characters were copied, so nothing is replaced here.
    String::from_utf8(scanner.out)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The bytes that the scanner must look at.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 32 {
        table[byte] = byte != b'\t' as usize;
        byte += 1;
    }
    let listed = b"<{}[]|&";
    let mut index = 0;
    while index < listed.len() {
        table[listed[index] as usize] = true;
        index += 1;
    }
    table
};

impl Scanner<'_> {
    fn run(&mut self) {
        self.line_start();
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            let plain = rest.iter().position(|&byte| SPECIAL[usize::from(byte)]).unwrap_or(rest.len());
            self.out.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match rest.get(plain) {
                None => break,
                Some(b'\n') => self.newline(),
                Some(b'<') => self.angle(),
                Some(b'{') => self.open_braces(),
                Some(b'}') => self.close_braces(),
                Some(b'[') => self.open_bracket(),
                Some(b']') => self.close_bracket(),
                Some(b'|') => self.pipe(),
                Some(b'&') => self.reference(),
                Some(_) => self.at += 1,
            }
        }
        self.abandon_while(|_| true);
    }

    fn starts_with(&self, what: &[u8]) -> bool {
        self.bytes[self.at..].starts_with(what)
    }

    /// How many of the same byte stand here, as far as it matters.
    fn repeats(&self, byte: u8, most: usize) -> usize {
        self.bytes[self.at..].iter().take(most).take_while(|&&other| other == byte).count()
    }

    fn literal(&mut self, bytes: usize) {
        self.out.extend_from_slice(&self.bytes[self.at..self.at + bytes]);
        self.at += bytes;
    }

    fn mark(&mut self, mark: char) {
        self.out.push(mark as u8);
    }

    /// Takes a frame's content out of the text.
    fn drop_from(&mut self, start: usize, kind: &'static str) {
        self.out.truncate(start);
        self.mark(GAP);
        count(self.dropped, kind);
    }

    fn push(&mut self, kind: Kind) {
        let inherited = self.stack.last().is_some_and(|frame| frame.has_arguments);
        let has_arguments = match kind {
            Kind::Template | Kind::Parameter | Kind::Link => true,
            Kind::Table => false,
            Kind::Url(_) | Kind::Variant | Kind::Tag(_) => inherited,
        };
        *self.open(kind) += 1;
        self.stack.push(Frame { kind, start: self.out.len(), has_arguments });
        match kind {
            Kind::Template | Kind::Parameter | Kind::Table => self.mark(CUT),
            Kind::Link => self.mark(LINK),
            _ => {}
        }
    }

    fn pop(&mut self) -> Option<Frame> {
        let frame = self.stack.pop()?;
        *self.open(frame.kind) -= 1;
        Some(frame)
    }

    /// The count of open frames of this kind. The rest only comes and goes with others.
    fn open(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Template | Kind::Parameter => &mut self.braces,
            Kind::Link => &mut self.links,
            Kind::Table => &mut self.tables,
            Kind::Url(_) | Kind::Variant | Kind::Tag(_) => &mut self.tags,
        }
    }

    /// Gives up frames that were not closed: their content is text.
    fn abandon_while(&mut self, goes: impl Fn(Kind) -> bool) {
        while self.stack.last().is_some_and(|frame| goes(frame.kind)) {
            let Some(frame) = self.pop() else { return };
            if frame.kind == Kind::Link {
                let content = &self.out[frame.start + 1..];
                let target = content.iter().take(200).take_while(|&&byte| byte >= b' ').copied();
                let target = target.collect::<Vec<u8>>();
                if self.site.target(&String::from_utf8_lossy(&target)) == Target::File {
                    self.out[frame.start] = CUT as u8;
                }
            }
        }
    }

    fn is_deep(&self) -> bool {
        self.stack.len() > DEEPEST
    }

    fn at_line_start(&self) -> bool {
        let before = self.out.iter().rev().take(32).find(|&&byte| !b" \t:\x05\x04".contains(&byte));
        before.is_none_or(|&byte| byte == b'\n')
    }

    fn newline(&mut self) {
        // The label of an external link ends with its line, other small things with their paragraph.
        self.abandon_while(|kind| matches!(kind, Kind::Url(_)));
        self.literal(1);
        if self.starts_with(b"\n") {
            self.abandon_while(|kind| {
                matches!(kind, Kind::Url(_) | Kind::Link | Kind::Variant | Kind::Tag("sub" | "sup"))
            });
        }
        self.line_start();
    }

    fn line_start(&mut self) {
        if self.starts_with(b"==") {
            let rest = &self.bytes[self.at..];
            let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
            // Nothing that is open goes on in the next section.
            if line.trim_ascii_end().ends_with(b"==") {
                self.abandon_while(|_| true);
            }
        } else if self.tables > 0 {
            self.close_table();
        } else if self.starts_with(b" ") && self.stack.is_empty() {
            self.mark(INDENTED);
        }
    }

    /// `|}` at the beginning of a line.
    fn close_table(&mut self) {
        let rest = &self.bytes[self.at..];
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let rest = &rest[blank..];
        if !rest.starts_with(b"|}") {
            return;
        }
        let innermost =
            self.stack.iter().rev().map(|frame| frame.kind).find(|kind| !matches!(kind, Kind::Tag(_)));
        if rest.starts_with(b"|}}") && innermost != Some(Kind::Table) {
            return;
        }
        self.abandon_while(|kind| kind != Kind::Table);
        self.at += blank + 2;
        if let Some(frame) = self.pop() {
            self.drop_from(frame.start, "table");
            self.out.push(b'\n');
        }
    }

    fn pipe(&mut self) {
        match self.stack.last() {
            Some(frame) if frame.has_arguments => self.mark(ARGUMENT),
            _ => self.out.push(b'|'),
        }
        self.at += 1;
    }

    fn reference(&mut self) {
        match entity(&self.bytes[self.at..]) {
            Some((text, len)) => {
                self.out.extend_from_slice(text.as_bytes());
                self.at += len;
            }
            None => self.literal(1),
        }
    }

    fn open_braces(&mut self) {
        let mut run = self.repeats(b'{', usize::MAX);
        let next = self.bytes.get(self.at + run);
        if run == 1 && next == Some(&b'|') && self.at_line_start() {
            self.push(Kind::Table);
            self.at += 2;
        } else if run == 1 && self.at > 0 && self.bytes[self.at - 1] == b'-' && self.out.last() == Some(&b'-')
        {
            self.out.pop();
            self.push(Kind::Variant);
            self.at += 1;
        } else if run == 1 {
            self.literal(1);
        } else {
            self.at += run;
            while run >= 2 {
                let is_parameter = run == 3 || run == 6;
                self.push(if is_parameter { Kind::Parameter } else { Kind::Template });
                run -= if is_parameter { 3 } else { 2 };
            }
        }
    }

    fn close_braces(&mut self) {
        let run = self.repeats(b'}', 3);
        if self.bytes.get(self.at + 1) == Some(&b'-') {
            let innermost = self.stack.last().map(|frame| frame.kind);
            if innermost == Some(Kind::Variant) {
                self.at += 2;
                return self.close_variant();
            }
        }
        if run == 1 {
            return self.literal(1);
        }
        if self.braces == 0 {
            self.at += run;
            return;
        }
        self.abandon_while(|kind| !matches!(kind, Kind::Template | Kind::Parameter));
        let Some(frame) = self.pop() else { return };
        if frame.kind == Kind::Parameter && run >= 3 {
            self.at += 3;
            self.close_parameter(frame.start);
        } else {
            // `{{{x}}` is a brace and a template.
            self.at += 2;
            self.close_template(frame.start);
        }
    }

    /// `{{{name|default}}}` shows its default.
    fn close_parameter(&mut self, start: usize) {
        let argument = self.out[start..].iter().position(|&byte| byte == ARGUMENT as u8);
        match argument {
            Some(at) if !self.is_deep() => drop(self.out.drain(start..=start + at)),
            _ => self.drop_from(start, "template"),
        }
    }

    fn close_template(&mut self, start: usize) {
        if self.is_deep() {
            return self.drop_from(start, "template");
        }
        let expansion = expand(&self.out[start + 1..], self.site.language().unwrap_or_default());
        match expansion {
            Expansion::Text(text) => {
                self.out.truncate(start);
                self.out.extend_from_slice(text.as_bytes());
                count(self.dropped, "template kept");
            }
            Expansion::Dropped(kind) => self.drop_from(start, kind),
        }
    }

    /// `-{zh-hans:one;zh-hant:other}-`: the first that it offers.
    fn close_variant(&mut self) {
        let Some(frame) = self.pop() else { return };
        if self.is_deep() {
            return self.drop_from(frame.start, "variant");
        }
        let content = String::from_utf8_lossy(&self.out[frame.start..]).into_owned();
        match variant(&content) {
            Some(text) => {
                self.out.truncate(frame.start);
                self.out.extend_from_slice(text.as_bytes());
            }
            None => self.drop_from(frame.start, "variant"),
        }
    }
}

/// What to show of the content of `-{…}-`; `None` if it only gives a rule.
fn variant(content: &str) -> Option<String> {
    let (flag, content) = content.split_once(['|', ARGUMENT]).unwrap_or(("", content));
    // H and T give rules and titles, D describes one; they show nothing of the article.
    if flag.split(';').any(|flag| matches!(flag.trim(), "H" | "T" | "D" | "-")) {
        return None;
    }
    let choices = content.split(';').map(|choice| choice.split_once(':'));
    let choices: Option<Vec<(&str, &str)>> = choices.filter(|choice| *choice != Some(("", ""))).collect();
    let shown = match choices {
        Some(choices) => {
            let preferred = choices.iter().find(|(code, _)| matches!(code.trim(), "zh-hans" | "zh-cn"));
            preferred.or(choices.first()).map_or("", |(_, text)| text)
        }
        // No rule, or the semicolon of one is missing: all that is there.
        None => content
            .rsplit_once(':')
            .filter(|(code, _)| code.starts_with("zh"))
            .map_or(content, |(_, text)| text),
    };
    Some(shown.trim().to_owned())
}
