//! The header of a Project Gutenberg file: where it ends, and the title, author and language in it.

use super::Line;

/// What was found in a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// The first line behind it.
    pub end: usize,
    pub title: Option<String>,
    pub author: Option<String>,
    pub language: Option<String>,
}

/// Names of languages, as headers have them.
const LANGUAGES: [(&str, &str); 33] = [
    ("afrikaans", "af"),
    ("bulgarian", "bg"),
    ("catalan", "ca"),
    ("chinese", "zh"),
    ("czech", "cs"),
    ("danish", "da"),
    ("dutch", "nl"),
    ("english", "en"),
    ("esperanto", "eo"),
    ("estonian", "et"),
    ("finnish", "fi"),
    ("french", "fr"),
    ("galician", "gl"),
    ("german", "de"),
    ("greek", "el"),
    ("hebrew", "he"),
    ("hungarian", "hu"),
    ("icelandic", "is"),
    ("irish", "ga"),
    ("italian", "it"),
    ("japanese", "ja"),
    ("latin", "la"),
    ("norwegian", "no"),
    ("polish", "pl"),
    ("portuguese", "pt"),
    ("romanian", "ro"),
    ("russian", "ru"),
    ("serbian", "sr"),
    ("spanish", "es"),
    ("swedish", "sv"),
    ("tagalog", "tl"),
    ("telugu", "te"),
    ("welsh", "cy"),
];

impl Header {
    /// The header at the beginning of these lines; `None` if they are not of Project Gutenberg.
    pub fn find(lines: &[Line]) -> Option<Header> {
        const FIRST_LINES: usize = 12;
        if !lines.iter().take(FIRST_LINES).any(|line| line.has("gutenberg")) {
            return None;
        }
        let end = lines.iter().rposition(ends_the_header).map_or(0, |at| at + 1 + broken(&lines[at..]));
        let fields = &lines[..if end == 0 { lines.len().min(FIRST_LINES) } else { end }];
        let (title, author) = first_line(fields).unzip();
        let language = field(fields, "Language:").and_then(|name| language(&name));
        Some(Header {
            end,
            title: field(fields, "Title:").or(title),
            author: field(fields, "Author:").or(author.flatten()),
            language,
        })
    }
}

/// "*** START OF THIS PROJECT GUTENBERG EBOOK", and in older files "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS".
fn ends_the_header(line: &Line) -> bool {
    if !line.text.starts_with('*') {
        return false;
    }
    let plain = line.plain();
    plain.starts_with("start of") && plain.contains("gutenberg")
        || plain.starts_with("end") && plain.contains("small print")
}

/// How many more lines a marker goes on for, when its title did not fit on one.
fn broken(lines: &[Line]) -> usize {
    const MOST: usize = 3;
    match lines.first() {
        Some(first) if !first.text.ends_with("**") && !first.text.contains("SMALL PRINT") => {
            let rest = lines.iter().take(MOST + 1).skip(1).take_while(|line| !line.text.is_empty());
            rest.enumerate().find(|(_, line)| line.text.ends_with("**")).map_or(0, |(index, _)| index + 1)
        }
        _ => 0,
    }
}

/// The value of a field, with the lines that it goes on for.
fn field(lines: &[Line], name: &str) -> Option<String> {
    let at = lines.iter().position(|line| line.text.starts_with(name))?;
    let more = lines[at + 1..].iter().map(|line| line.text);
    let more = more.take_while(|text| !text.is_empty() && !text.contains(": ") && !text.starts_with('*'));
    let words = std::iter::once(&lines[at].text[name.len()..]).chain(more).flat_map(str::split_whitespace);
    let value = words.collect::<Vec<_>>().join(" ");
    (!value.is_empty()).then_some(value)
}

/// Title and author from "The Project Gutenberg Etext of Frankenstein, by Mary Shelley".
fn first_line(lines: &[Line]) -> Option<(String, Option<String>)> {
    let line = lines.iter().find(|line| line.text.contains("Project Gutenberg"))?;
    let line = line.text.trim_matches(['*', ' ', '\u{feff}']);
    let (_, named) = line.split_once("Project Gutenberg")?;
    let named = ["'s ", "’s "].iter().find_map(|prefix| named.strip_prefix(prefix)).or_else(|| {
        let (kind, named) = named.split_once(" of ")?;
        ["etext", "e-text", "ebook"].contains(&kind.trim().to_lowercase().as_str()).then_some(named)
    })?;
    let (title, author) = match named.rsplit_once(", by ").or_else(|| named.rsplit_once(" by ")) {
        Some((title, author)) => (title, Some(author.trim().to_owned())),
        None => (named, None),
    };
    Some((title.trim().trim_end_matches(',').to_owned(), author))
}

fn language(name: &str) -> Option<String> {
    // "English and French", "German (Fraktur)": the first is the text's.
    let first = name.split(|c: char| !c.is_alphabetic()).next()?.to_lowercase();
    LANGUAGES.iter().find(|(name, _)| *name == first).map(|(_, code)| (*code).to_owned())
}
