//! Web pages to text: bytes to characters, and a page to its article without what stands around it. Knows nothing of
//! where a page came from.

mod charset;
mod chrome;
mod date;
mod dom;
mod prose;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use charset::decode;
use dom_smoothie::{Config, Readability, TextMode};
use thiserror::Error;

/// What a page may be, so that it is worked on in short time and little memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Its length in UTF-8.
    pub bytes: usize,
    /// Its elements and pieces of text.
    pub nodes: usize,
    /// How deep they are nested.
    pub depth: usize,
}

impl Default for Limits {
    /// Browsers nest no deeper than 512 either (Blink's `kMaximumHTMLParserDOMTreeDepth`).
    fn default() -> Self {
        Self { bytes: 2 << 20, nodes: 200_000, depth: 512 }
    }
}

/// Why a page gives no article.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Refused {
    /// It is longer than allowed.
    #[error("page is too large")]
    TooLarge,
    /// It has more elements or attributes than allowed.
    #[error("page has too many nodes")]
    TooManyNodes,
    /// It is nested deeper than allowed.
    #[error("page is nested too deeply")]
    TooDeep,
    /// It has no text that is worth the name: nothing at all, or a list of links.
    #[error("page has no article")]
    NoArticle,
    /// It is something that the extractor cannot cope with.
    #[error("page breaks the extractor")]
    Broken,
}

/// The main text of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Article {
    /// The title.
    pub title: Option<String>,
    /// The paragraphs, one on each line.
    pub text: String,
    /// When it was published, as `yyyy-mm-dd`.
    pub date: Option<String>,
    /// The language that the page says it is in.
    pub language: Option<String>,
}

/// Finds the main text of a page.
///
/// # Errors
/// A page over the limits, and one without an article, is refused.
pub fn main_text(html: &str, limits: &Limits) -> Result<Article, Refused> {
    let document = dom::parse(html, limits)?;
    let dated = date::published(&document);
    // The limits keep the library from taking long or overflowing the stack. A page that it panics at must not take
    // others with it.
    let found = catch_unwind(AssertUnwindSafe(|| {
        chrome::remove(&document);
        dom::mark_breaks(&document);
        let config = Config { text_mode: TextMode::Formatted, ..Config::default() };
        Readability::with_document(document, None, Some(config)).and_then(|mut reader| reader.parse())
    }));
    let found = found.map_err(|_| Refused::Broken)?.map_err(|_| Refused::NoArticle)?;
    let text = prose::paragraphs(&found.text_content);
    if !prose::is_prose(&text) {
        return Err(Refused::NoArticle);
    }
    let some = |text: &str| {
        let line = prose::line(text);
        (!line.is_empty()).then_some(line)
    };
    Ok(Article {
        title: some(&found.title),
        text,
        date: found.published_time.as_deref().and_then(date::iso).or(dated),
        language: found.lang.as_deref().and_then(some),
    })
}

#[cfg(test)]
mod tests;
