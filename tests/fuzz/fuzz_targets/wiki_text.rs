//! Fuzzes MediaWiki's markup: any text has prose, without the brackets of templates and links, not much longer than
//! the markup, and in linear time.
#![no_main]

use fuzz::corpus::wiki::{Counts, Site, WikiOptions, is_disambiguation, text};
use fuzz::{controls, stretched};
use libfuzzer_sys::fuzz_target;

const LANGUAGES: [&str; 8] = ["", "en", "de", "fr", "es", "it", "ru", "zh"];

fuzz_target!(|input: &[u8]| {
    let ([mode, language, from, to], rest) = controls(input);
    let once = String::from_utf8_lossy(rest);
    let markup = if mode & 4 == 4 { stretched(&once, [from, to], 1 << 17) } else { once.into_owned() };
    let language = LANGUAGES[usize::from(language) % LANGUAGES.len()];
    let site = Site::parse(format!("<mediawiki xml:lang=\"{language}\"><siteinfo>").as_bytes());
    let options = WikiOptions { lists: mode & 1 == 1, headings: mode & 2 == 2 };
    let prose = text(&markup, &site, &options, &mut Counts::new());
    for residue in ["{{", "}}", "[[", "]]", "<!--"] {
        assert!(!prose.contains(residue), "{residue} is left in {prose:?}");
    }
    assert!(prose.len() <= 8 * markup.len() + 64, "{} bytes of {}", prose.len(), markup.len());
    assert!(prose.is_empty() || prose.split('\n').all(|line| !line.trim().is_empty()), "{prose:?}");
    assert!(!prose.contains(|c: char| c < ' ' && c != '\n'), "{prose:?}");
    is_disambiguation(&markup);
});
