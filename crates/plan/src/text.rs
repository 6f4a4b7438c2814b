//! Where a TOML text sets which key: paths such as `phase.1.train.batch` to lines, and places in the text to
//! paths. Knows no key by name.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// The keys of a text. Dotted keys, headers and inline tables are all the same here; the elements of an array
/// of tables count from 0 and are keys themselves.
pub(crate) struct Keys {
    found: Vec<Found>,
}

struct Found {
    path: String,
    span: Range<usize>,
    line: usize,
}

impl Keys {
    /// The keys of `text`; of a text that is not TOML, those that the parser makes out.
    pub(crate) fn of(text: &str) -> Self {
        let mut keys = Keys { found: Vec::new() };
        let (document, _) = DeTable::parse_recoverable(text);
        keys.walk(text, "", document.get_ref());
        keys
    }

    /// The line of a key.
    pub(crate) fn line(&self, path: &str) -> Option<usize> {
        self.found.iter().find(|found| found.path == path).map(|found| found.line)
    }

    /// The path of the key that stands at this byte of the text.
    pub(crate) fn path_at(&self, offset: usize) -> Option<&str> {
        self.found.iter().find(|found| found.span.contains(&offset)).map(|found| found.path.as_str())
    }

    fn walk(&mut self, text: &str, parent: &str, table: &DeTable) {
        for (key, value) in table {
            let path = match parent {
                "" => key.get_ref().to_string(),
                parent => format!("{parent}.{}", key.get_ref()),
            };
            self.add(text, path.clone(), key.span());
            match value.get_ref() {
                DeValue::Table(inner) => self.walk(text, &path, inner),
                DeValue::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        if let DeValue::Table(inner) = item.get_ref() {
                            let path = format!("{path}.{index}");
                            self.walk(text, &path, inner);
                            self.add(text, path, item.span());
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, text: &str, path: String, span: Range<usize>) {
        let line = line_of(text, span.start);
        self.found.push(Found { path, span, line });
    }
}

/// The line, counted from 1, of a byte of the text.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
[train]  # with a comment
betas = [
  0.9, # betas = 1
]
steps = 3
data.lanes = 8
[[phase]]
train.steps = 1
[[phase]]
optimizer = { epsilon = 1.0, 'betas' = [
  1, 2 ] }
[phase.train]
steps = 2
[[phase]]
";

    #[test]
    fn every_way_of_writing_a_key_is_found() {
        let keys = Keys::of(TEXT);
        for (path, line) in [
            ("train", 1),
            ("train.betas", 2),
            ("train.steps", 5),
            ("train.data.lanes", 6),
            ("phase.0", 7),
            ("phase.0.train.steps", 8),
            ("phase.1", 9),
            ("phase.1.optimizer.epsilon", 10),
            ("phase.1.optimizer.betas", 10),
            ("phase.1.train.steps", 13),
            ("phase.2", 14),
        ] {
            assert_eq!(keys.line(path), Some(line), "{path}");
        }
        assert_eq!(keys.line("phase.2.train.steps"), None);
        assert_eq!(keys.line("lanes"), None);
    }

    #[test]
    fn a_place_leads_back_to_its_key() {
        let keys = Keys::of(TEXT);
        let at = |what: &str| keys.path_at(TEXT.rfind(what).unwrap());
        assert_eq!(at("epsilon"), Some("phase.1.optimizer.epsilon"));
        assert_eq!(at("steps = 2"), Some("phase.1.train.steps"));
        assert_eq!(at("steps = 1"), Some("phase.0.train.steps"));
    }

    #[test]
    fn a_broken_text_has_the_keys_before_the_break() {
        assert_eq!(Keys::of("[a]\nb = 1\n[c\n").line("a.b"), Some(2));
    }
}
