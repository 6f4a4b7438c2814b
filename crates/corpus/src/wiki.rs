//! MediaWiki dumps: the pages of an XML export, and the prose in their markup. Pure: bytes come in as a reader, text
//! goes out as a string; which pages to keep is the caller's choice.
//!
//! The markup is read in two passes. `inline` resolves what nests (templates, links, tables, tags) in one walk with
//! a stack of its own; `lines` then sorts lines into paragraphs, lists, headings and closing sections, and `repair`
//! mends each paragraph where something was taken out. Both are linear in the markup, whatever it holds.

use std::collections::BTreeMap;

use memchr::memmem;
use serde::{Deserialize, Serialize};

mod entity;
mod inline;
mod lines;
mod names;
mod pages;
mod repair;
mod site;
mod tag;
mod template;

pub use pages::{Found, Page, Pages};
pub use site::Site;

/// How many things of each kind were left out: `template`, `table`, `ref`, `file`, `list`, `heading`, `section` and
/// others. `template kept` counts the templates whose text stayed.
pub type Counts = BTreeMap<&'static str, u64>;

/// What is kept besides paragraphs. Nothing by default: Devlin et al. (2019, §3.1) "extract only the text passages and
/// ignore lists, tables, and headers".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, default)]
pub struct WikiOptions {
    /// Whether items of lists are kept, each a line.
    pub lists: bool,
    /// Whether the titles of sections are kept, each a line.
    pub headings: bool,
}

/// The prose of a page, one paragraph on a line. Any string is markup: what is not closed or not known is text.
pub fn text(markup: &str, site: &Site, options: &WikiOptions, dropped: &mut Counts) -> String {
    let flat = inline::flatten(markup, site, dropped);
    lines::prose(&flat, options, dropped)
}

/// Whether a page only lists what its title may mean. Knows the templates and magic words of the larger languages.
pub fn is_disambiguation(markup: &str) -> bool {
    if memmem::find(markup.as_bytes(), b"__DISAMBIG__").is_some() {
        return true;
    }
    memmem::find_iter(markup.as_bytes(), b"{{").any(|at| {
        let head: String = markup[at + 2..].chars().take(40).collect();
        let name = head.split(['|', '}', '{', '\n']).next().unwrap_or_default().trim().replace('_', " ");
        let name = name.to_lowercase();
        DISAMBIGUATIONS.contains(&name.as_str())
            || ["disambig", "dab ", "geodis", "begriffskl", "homonymie"]
                .iter()
                .any(|head| name.starts_with(head))
    })
}

/// Templates at the foot of a page that lists meanings, in lower case.
const DISAMBIGUATIONS: [&str; 27] = [
    "dab",
    "hndis",
    "mathdab",
    "numberdis",
    "roaddis",
    "schooldis",
    "hospitaldis",
    "paronymes",
    "patronymes",
    "toponymes",
    "desambiguación",
    "desambiguacion",
    "desambiguação",
    "dp",
    "ujednoznacznienie",
    "неоднозначность",
    "многозначность",
    "неоднозначнасьць",
    "багатозначність",
    "aimai",
    "曖昧さ回避",
    "消歧义",
    "消歧義",
    "동음이의",
    "nozīmju atdalīšana",
    "zeimeibu škiršona",
    "förgrening",
];

/// Counts one thing that was left out.
fn count(counts: &mut Counts, kind: &'static str) {
    *counts.entry(kind).or_default() += 1;
}

#[cfg(test)]
mod tests;
