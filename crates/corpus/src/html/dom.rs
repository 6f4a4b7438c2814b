//! The tree of a page, unless it is too large or too deep to be worked on: the parser's work grows with the square of
//! the depth, so that the tree is watched while it grows. Knows nothing of what a page says.

use dom_query::{Document, NodeData, NodeRef};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::{ParseOpts, parse_document};

use super::{Limits, Refused};

/// How much is parsed between two looks at the number of nodes. Short, as unclosed `<b>`s can make every tag after
/// them open them all again.
const STEP: usize = 512;
/// No honest tag has more attributes. The parser compares each with all others.
const ATTRIBUTES: usize = 1000;

/// A line break inside a paragraph. The character is none (Unicode, section 23.7), so that no page has it.
pub(super) const BREAK: char = '\u{fdd0}';

/// Parses a page.
pub(super) fn parse(html: &str, limits: &Limits) -> Result<Document, Refused> {
    if html.len() > limits.bytes {
        return Err(Refused::TooLarge);
    }
    if longest_tag(html) > ATTRIBUTES {
        return Err(Refused::TooManyNodes);
    }
    let mut options = ParseOpts::default();
    // What is for readers without scripts is there for us.
    options.tree_builder.scripting_enabled = false;
    let mut parser = parse_document(Document::default(), options);
    let page = StrTendril::from(html);
    let (mut start, mut looked) = (0, 0);
    while start < html.len() {
        let end = html.ceil_char_boundary(start + STEP);
        parser.process(page.subtendril(start as u32, (end - start) as u32));
        start = end;
        let document = &parser.tokenizer.sink.sink;
        let nodes = document.tree.len();
        if nodes > limits.nodes {
            return Err(Refused::TooManyNodes);
        }
        // Looked at whenever it has grown by a part of itself, the tree is walked through a few times in all.
        if nodes > looked + looked / 32 + 1024 {
            looked = nodes;
            check_depth(document, limits.depth)?;
        }
    }
    let document = parser.finish();
    check_depth(&document, limits.depth)?;
    Ok(document)
}

/// Puts [`BREAK`] for each `<br>` that stands alone. The extractor makes paragraphs of text between several, but
/// joins the words on both sides of one.
pub(super) fn mark_breaks(document: &Document) {
    let is_break = |node: Option<NodeRef<'_>>| node.is_some_and(|node| node.has_name("br"));
    let said = |node: &NodeRef<'_>| !node.is_text() || node.is_nonempty_text();
    for node in document.select("br").nodes() {
        let before = std::iter::successors(node.prev_sibling(), NodeRef::prev_sibling).find(said);
        let after = std::iter::successors(node.next_sibling(), NodeRef::next_sibling).find(said);
        if !is_break(before) && !is_break(after) {
            node.replace_with(&document.tree.new_text(BREAK.to_string()));
        }
    }
}

/// Refuses a tree with too many levels.
fn check_depth(document: &Document, limit: usize) -> Result<(), Refused> {
    let mut open: Vec<(NodeRef<'_>, usize)> = vec![(document.root(), 0)];
    while let Some((node, depth)) = open.pop() {
        if depth > limit {
            return Err(Refused::TooDeep);
        }
        // A template's content hangs on no node.
        let inside = node.query(|node| match &node.data {
            NodeData::Element(element) => element.template_contents,
            _ => None,
        });
        let inside = inside.flatten().and_then(|id| document.tree.get(&id));
        open.extend(inside.into_iter().chain(node.children_it(false)).map(|child| (child, depth + 1)));
    }
    Ok(())
}

/// The most attributes that a tag may have, going by the white space and slashes between `<` and `>`. Scripts, styles
/// and comments are no tags.
fn longest_tag(html: &str) -> usize {
    let bytes = html.as_bytes();
    let (mut longest, mut at) = (0, 0);
    while let Some(found) = memchr::memchr(b'<', &bytes[at..]) {
        at += found + 1;
        let rest = &bytes[at..];
        let name = rest.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if rest.starts_with(b"!--") {
            at += memchr::memmem::find(rest, b"-->").unwrap_or(rest.len());
            continue;
        }
        if name == 0 && !rest.starts_with(b"/") {
            continue;
        }
        let (end, attributes) = tag(rest);
        longest = longest.max(attributes);
        at += end;
        if [b"script".as_slice(), b"style"].iter().any(|raw| rest[..name].eq_ignore_ascii_case(raw)) {
            at += memchr::memmem::find(&bytes[at..], b"</").unwrap_or(bytes.len() - at);
        }
    }
    longest
}

/// Where the tag ends, and how many attributes it may have.
fn tag(bytes: &[u8]) -> (usize, usize) {
    let (mut quote, mut attributes, mut before) = (None, 0, b' ');
    for (at, &byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return (at, attributes),
            (None, b'"' | b'\'') if before == b'=' => quote = Some(byte),
            (None, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' | b'/') => {}
            (None, _) => attributes += usize::from(matches!(before, b' ' | b'/' | b'"' | b'\'')),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
        // White space before a value is still before it.
        if quote.is_some() || !byte.is_ascii_whitespace() {
            before = byte;
        } else if before != b'=' {
            before = b' ';
        }
    }
    (bytes.len(), attributes)
}
