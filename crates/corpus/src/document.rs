//! A document as it came from its source. Knows nothing of files: a key is only a name.

use xxhash_rust::xxh3::xxh3_128;

/// One document: a book, an article, a line of a JSON lines file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The name of the source in the configuration.
    pub source: String,
    /// Which document of the source: a file's path relative to the source's root, or a place in it.
    pub key: String,
    /// The title, where the source has one.
    pub title: Option<String>,
    /// Where it was published, where the source says so.
    pub url: Option<String>,
    /// When it was published, where the source says so.
    pub date: Option<String>,
    /// The language that the source says it is in, as ISO 639.
    pub language: Option<String>,
    /// The text as it was found, decoded but not cleaned.
    pub text: String,
}

impl Document {
    /// The identity of the document: a hash of where it came from, not of what it says.
    pub fn doc_id(&self) -> [u8; 16] {
        doc_id(&self.source, &self.key)
    }
}

/// See [`Document::doc_id`].
pub fn doc_id(source: &str, key: &str) -> [u8; 16] {
    // The length in front keeps ("ab", "c") and ("a", "bc") apart.
    let mut name = (source.len() as u64).to_le_bytes().to_vec();
    name.extend_from_slice(source.as_bytes());
    name.extend_from_slice(key.as_bytes());
    xxh3_128(&name).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_the_place_and_not_the_text() {
        let document = |source: &str, key: &str, text: &str| Document {
            source: source.into(),
            key: key.into(),
            text: text.into(),
            ..Document::default()
        };
        let base = document("books", "a.txt", "one").doc_id();
        assert_eq!(base, document("books", "a.txt", "two").doc_id());
        assert_ne!(base, document("books", "b.txt", "one").doc_id());
        assert_ne!(document("ab", "c", "").doc_id(), document("a", "bc", "").doc_id());
    }
}
