//! Tags of HTML and of MediaWiki's extensions, and what is done with each. Knows only the tag itself, not what
//! stands around it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use memchr::memchr2;

/// What a tag does to the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The tag goes, its content stays.
    Inline,
    /// As before, and a space stands in its place.
    Space,
    /// As before, and its content is a paragraph of its own.
    Block,
    /// A heading of this level.
    Heading(usize),
    /// An item of a list.
    Item,
    /// The content goes too. It may hold markup, and count as this kind.
    Drop(&'static str),
    /// The content goes too, and is not markup: whatever stands there, it ends at the closing tag.
    Raw(&'static str),
    /// The content is text and no markup.
    Text,
    /// Raised or lowered characters.
    Script,
}

/// A tag as it stands in the markup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) name: &'static str,
    pub(super) effect: Effect,
    pub(super) closes: bool,
    /// `<name />`.
    pub(super) is_empty: bool,
    /// Its length in bytes, brackets included.
    pub(super) len: usize,
}

/// No known name is longer.
const LONGEST_NAME: usize = 20;
/// A tag that is longer than this is text with a `<` in it.
const LONGEST: usize = 2000;

const TAGS: &[(Effect, &str)] = &[
    (
        Effect::Inline,
        "a abbr b bdi bdo big center code cite data del dfn em font i ins kbd langconvert mark noinclude \
         onlyinclude q rb rbc rtc ruby s samp section small span strike strong time translate tt tvar u var wbr \
         languages nobr indicator noindex link meta img",
    ),
    (Effect::Space, "br"),
    (Effect::Block, "blockquote caption dd div dt hr p poem tbody td tfoot th thead tr"),
    (Effect::Item, "li"),
    (Effect::Drop("table"), "table"),
    (Effect::Drop("list"), "ul ol dl"),
    (Effect::Drop("ruby"), "rt rp"),
    (Effect::Drop("template"), "includeonly"),
    (Effect::Raw("ref"), "ref references"),
    (Effect::Raw("gallery"), "gallery slideshow"),
    (Effect::Raw("math"), "math chem ce"),
    (Effect::Raw("score"), "score abc phonos"),
    (Effect::Raw("timeline"), "timeline graph chart"),
    (Effect::Raw("code"), "syntaxhighlight source pre"),
    (Effect::Raw("file"), "imagemap mapframe maplink hiero"),
    (Effect::Raw("template"), "templatedata templatestyles inputbox categorytree charinsert dynamicpagelist"),
    (Effect::Text, "nowiki"),
    (Effect::Script, "sub sup"),
    (Effect::Heading(1), "h1"),
    (Effect::Heading(2), "h2"),
    (Effect::Heading(3), "h3"),
    (Effect::Heading(4), "h4"),
    (Effect::Heading(5), "h5"),
    (Effect::Heading(6), "h6"),
];

/// The tag that begins here, if it is one that is known.
pub(super) fn tag(bytes: &[u8]) -> Option<Tag> {
    let closes = bytes.get(1) == Some(&b'/');
    let start = 1 + usize::from(closes);
    let letters =
        bytes.get(start..)?.iter().take(LONGEST_NAME).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let (name, effect) = known(&bytes[start..start + letters])?;
    let after = start + letters;
    let within = &bytes[after..bytes.len().min(LONGEST)];
    // `<b` and then other markup is no tag, but a tag may hold a template or a `>` in a comment: not worth the care.
    let end = memchr2(b'<', b'>', within).filter(|&at| within[at] == b'>')?;
    let is_whole_name = matches!(within[0], b' ' | b'\t' | b'\n' | b'\r' | b'/' | b'>');
    let is_empty = end > 0 && within[end - 1] == b'/';
    is_whole_name.then_some(Tag { name, effect, closes, is_empty, len: after + end + 1 })
}

static BY_NAME: LazyLock<BTreeMap<&str, Effect>> = LazyLock::new(|| {
    TAGS.iter()
        .flat_map(|(effect, names)| names.split_ascii_whitespace().map(|name| (name, *effect)))
        .collect()
});

fn known(name: &[u8]) -> Option<(&'static str, Effect)> {
    let mut lower = [0; LONGEST_NAME];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let found = BY_NAME.get_key_value(std::str::from_utf8(lower).ok()?);
    found.map(|(name, effect)| (*name, *effect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_told_from_text() {
        let read = |text: &str| tag(text.as_bytes()).map(|tag| (tag.name, tag.closes, tag.is_empty, tag.len));
        assert_eq!(read("<BR>x"), Some(("br", false, false, 4)));
        assert_eq!(read("<ref name=\"a\" />"), Some(("ref", false, true, 16)));
        assert_eq!(read("</span>"), Some(("span", true, false, 7)));
        for text in ["<", "</", "< b>", "<b", "<5>", "<vector>", "<bx>", "<b <i>", "<ref\u{e9}>", "<>"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
