//! What must be known of a wiki to read its links: its language, and what its namespaces are called. Knows no page.

use std::collections::BTreeSet;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::names::{CATEGORIES, FILES, INTERWIKI, LANGUAGES};
use super::pages::element;

/// The keys of the namespaces whose links show no text: media, files, categories.
const MEDIA_KEY: &str = "-2";
const FILE_KEY: &str = "6";
const CATEGORY_KEY: &str = "14";

/// A wiki, as the head of its dump describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    language: Option<String>,
    dbname: Option<String>,
    files: BTreeSet<String>,
    categories: BTreeSet<String>,
}

/// What a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A picture or sound: the link shows it, with a caption.
    File,
    /// A category, which the link only assigns.
    Category,
    /// The same article in another language; stands in the margin.
    Interlanguage,
    /// A page; this many bytes of the target are a prefix that readers need not see.
    Page(usize),
}

impl Site {
    /// Reads the head of a dump, as far as it is there. What it does not say stays unknown; the names of the larger
    /// languages' namespaces are known without it.
    pub fn parse(head: &[u8]) -> Site {
        let mut site = Site::default();
        if let Some(tag) = element(head, "<mediawiki", ">") {
            let tag = String::from_utf8_lossy(tag);
            let language = tag.split_once("xml:lang=\"").and_then(|(_, rest)| rest.split_once('"'));
            site.language = language.map(|(code, _)| code.to_lowercase()).filter(|code| !code.is_empty());
        }
        if let Some(info) = element(head, "<siteinfo>", "</siteinfo>") {
            site.siteinfo(&String::from_utf8_lossy(info));
        }
        if site.language.is_none() {
            let code = site.dbname.as_deref().and_then(|name| name.strip_suffix("wiki"));
            site.language = code.map(|code| code.replace('_', "-")).filter(|code| is_language(code));
        }
        site
    }

    /// The code of the language, where the head names one: `en`, `ltg`, `zh-min-nan`.
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// The name of the data base, where the head names one: `enwiki`.
    pub fn dbname(&self) -> Option<&str> {
        self.dbname.as_deref()
    }

    fn siteinfo(&mut self, xml: &str) {
        let mut reader = Reader::from_str(xml);
        let (mut name, mut key) = (String::new(), String::new());
        while let Ok(event) = reader.read_event() {
            match event {
                Event::Start(tag) => {
                    name = tag.name().as_ref().to_owned();
                    let found = tag.try_get_attribute("key").ok().flatten();
                    key = found.map(|attribute| attribute.value.into_owned()).unwrap_or_default();
                }
                Event::Text(text) => match (name.as_str(), key.as_str()) {
                    ("dbname", _) => self.dbname = Some(text.xml10_content().trim().to_owned()),
                    ("namespace", MEDIA_KEY | FILE_KEY) => {
                        self.files.insert(text.xml10_content().trim().to_lowercase());
                    }
                    ("namespace", CATEGORY_KEY) => {
                        self.categories.insert(text.xml10_content().trim().to_lowercase());
                    }
                    _ => {}
                },
                Event::End(_) => name.clear(),
                Event::Eof => break,
                _ => {}
            }
        }
    }

    /// What the target of a link leads to. A colon in front makes any link an ordinary one.
    pub(super) fn target(&self, target: &str) -> Target {
        let Some(rest) = target.strip_prefix(':') else { return self.leads_to(target) };
        let prefix = match self.leads_to(rest) {
            Target::Interlanguage => rest.find(':').map_or(0, |colon| colon + 1),
            Target::Page(prefix) => prefix,
            Target::File | Target::Category => 0,
        };
        Target::Page(1 + prefix)
    }

    fn leads_to(&self, target: &str) -> Target {
        let Some((colon, prefix)) = prefix(target) else {
            return Target::Page(usize::from(target.starts_with(['#', '/'])));
        };
        let name = prefix.as_str();
        if self.files.contains(name) || FILES.contains(name) {
            Target::File
        } else if self.categories.contains(name) || CATEGORIES.contains(name) {
            Target::Category
        } else if is_language(name) {
            Target::Interlanguage
        } else if INTERWIKI.contains(name) {
            // `w:de:Title` goes by way of two prefixes.
            let title = colon + 1;
            let second = self::prefix(&target[title..]).filter(|(_, code)| is_language(code));
            Target::Page(title + second.map_or(0, |(colon, _)| colon + 1))
        } else {
            Target::Page(0)
        }
    }
}

/// What stands before the first colon, in one way of writing, and where that colon is.
fn prefix(target: &str) -> Option<(usize, String)> {
    // The longest prefix of a namespace is far shorter.
    let colon = target.bytes().take(100).position(|byte| byte == b':')?;
    Some((colon, target[..colon].trim().replace('_', " ").to_lowercase()))
}

fn is_language(code: &str) -> bool {
    LANGUAGES.contains(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_names_language_and_namespaces() {
        let head = b"<mediawiki xml:lang=\"ltg\"><siteinfo><dbname>ltgwiki</dbname><namespaces>\
            <namespace key=\"0\" case=\"first-letter\" /><namespace key=\"6\">Fails</namespace>\
            <namespace key=\"14\">Kategoreja</namespace></namespaces></siteinfo><page>";
        let site = Site::parse(head);
        assert_eq!((site.language(), site.dbname()), (Some("ltg"), Some("ltgwiki")));
        assert_eq!(site.target("Fails:a.jpg"), Target::File);
        assert_eq!(site.target("kategoreja:Pūstyni"), Target::Category);
        assert_eq!(site.target("lv:Latvija"), Target::Interlanguage);
    }

    #[test]
    fn without_a_head_the_larger_languages_are_known() {
        for head in [&b""[..], b"<siteinfo><namespaces><namespace key=\"6\">Fi", b"\xff\xfe<mediawiki"] {
            let site = Site::parse(head);
            for file in ["Datei:x.png", "Fichier:x.png", " image : x.png", "Файл:x.png", "ファイル:x.png"]
            {
                assert_eq!(site.target(file), Target::File, "{file}");
            }
            assert_eq!(site.target("Catégorie:Ville"), Target::Category);
            assert_eq!(site.language(), None);
        }
        assert_eq!(Site::parse(b"<siteinfo><dbname>zh_min_nanwiki</dbname>").language(), Some("zh-min-nan"));
    }

    #[test]
    fn prefixes_of_pages() {
        let site = Site::default();
        assert_eq!(site.target("Mission: Impossible"), Target::Page(0));
        assert_eq!(site.target(":Category:Towns"), Target::Page(1));
        assert_eq!(site.target(":fr:Ville"), Target::Page(4));
        assert_eq!(site.target("wikt:word"), Target::Page(5));
        assert_eq!(site.target("w:de:Stadt"), Target::Page(5));
        assert_eq!(site.target("#Section"), Target::Page(1));
        for prefix in [":", "w:", ":w:"] {
            let many = prefix.repeat(100_000) + "Title";
            assert!(matches!(site.target(&many), Target::Page(1..=4)), "a call inside the other for each");
        }
    }
}
