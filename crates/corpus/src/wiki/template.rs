//! Templates whose content is prose: what they show, from their arguments. All others are dropped. Knows nothing of
//! where a template stands.

use memchr::memchr2;

use super::inline::{ARGUMENT, GAP};

mod convert;
mod date;
mod kept;
mod number;
mod rules;

/// What becomes of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expansion {
    /// It shows this.
    Text(String),
    /// It goes, and counts as this kind.
    Dropped(&'static str),
}

/// No template that is kept has use for more arguments. Each is looked for among all others.
const MOST_ARGUMENTS: usize = 500;

/// The arguments of a template, without the space around them.
struct Arguments<'a> {
    positional: Vec<&'a str>,
    named: Vec<(&'a str, &'a str)>,
    /// The code of the wiki's language; empty if it is not known.
    language: &'a str,
}

impl<'a> Arguments<'a> {
    fn parse(parts: impl Iterator<Item = &'a str>, language: &'a str) -> Self {
        let (mut positional, mut named) = (Vec::new(), Vec::new());
        for part in parts.take(MOST_ARGUMENTS) {
            let part = part.trim_matches(is_blank);
            match part.split_once('=') {
                Some((key, value)) if is_key(key.trim()) => named.push((key.trim(), value.trim())),
                _ => positional.push(part),
            }
        }
        Arguments { positional, named, language }
    }

    /// The argument at this place, from 1; `2=…` names a place too. An empty one is none.
    fn nth(&self, place: usize) -> Option<&'a str> {
        let digits = place.to_string();
        let found = self.named(&digits).or_else(|| self.positional.get(place - 1).copied());
        found.filter(|value| !value.is_empty())
    }

    fn named(&self, key: &str) -> Option<&'a str> {
        let found = self.named.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|&(_, value)| value).filter(|value| !value.is_empty())
    }

    /// The first of some keys that has a value.
    fn any(&self, keys: &[&str]) -> Option<&'a str> {
        keys.iter().find_map(|key| self.named(key))
    }

    fn last(&self) -> Option<&'a str> {
        self.positional.iter().rev().copied().find(|value| !value.is_empty())
    }
}

fn is_blank(char: char) -> bool {
    char.is_whitespace() || char == GAP
}

/// Text before a `=` that can name an argument; anything else is text with a `=` in it.
fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key.chars().count() <= 40
        && key.chars().all(|char| char.is_alphanumeric() || matches!(char, ' ' | '_' | '-'))
}

/// What the template with this content (name and arguments, without braces) becomes in a wiki of this language.
pub(super) fn expand(content: &[u8], language: &str) -> Expansion {
    let end = memchr2(ARGUMENT as u8, b'\n', content).unwrap_or(content.len());
    let head = String::from_utf8_lossy(&content[..end]);
    let name = name_of(&head);
    if let Some((function, _)) = name.split_once(':') {
        let value = head.split_once(':').map_or("", |(_, value)| value.trim_matches(is_blank));
        return text_or_dropped(kept::function(function, value, language), &name);
    }
    // Most templates are dropped, and what they hold need not be read.
    let Some(rule) = rules::rule(&name, language) else { return Expansion::Dropped(kind(&name)) };
    let content = String::from_utf8_lossy(content);
    let arguments = Arguments::parse(content.split(ARGUMENT).skip(1), language);
    text_or_dropped(kept::apply(rule, &name, &arguments), &name)
}

fn text_or_dropped(text: Option<String>, name: &str) -> Expansion {
    text.map_or_else(|| Expansion::Dropped(kind(name)), Expansion::Text)
}

/// The names that are kept are shorter; the rest of a long one cannot matter.
const LONGEST_NAME: usize = 80;

/// Templates are one thing in any case of letters, with spaces or underscores.
fn name_of(first: &str) -> String {
    let name = first.trim_matches(is_blank);
    let mut name = name[..name.floor_char_boundary(LONGEST_NAME)].to_lowercase();
    if name.contains('_') {
        name = name.replace('_', " ");
    }
    match name.split_once(':') {
        Some(("template" | "vorlage" | "modèle" | "plantilla" | "шаблон" | "szablon" | "sjabloon", rest)) => {
            rest.trim().to_owned()
        }
        _ => name,
    }
}

/// What a dropped template counts as.
fn kind(name: &str) -> &'static str {
    const NOTES: [&str; 12] =
        ["cite", "citation", "sfn", "refn", "efn", "harv", "rp", "reflist", "#tag:ref", "vcite", "r", "note"];
    let is_note = NOTES.iter().any(|note| name == *note || (note.len() > 2 && name.starts_with(note)));
    if is_note { "ref" } else { "template" }
}

#[cfg(test)]
mod tests;
