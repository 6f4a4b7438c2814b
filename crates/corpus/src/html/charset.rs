//! Bytes of a web page to text: which character encoding they are in, by what says so, in the order of the HTML
//! standard (section 13.2.3): byte order mark, HTTP, `meta`, and a guess last. Knows nothing else of HTML.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// A page says what it is encoded in at its very beginning (the standard asks for the first 1024 bytes).
const SNIFFED: usize = 4096;
/// A guess needs no more than this, and costs as much as the decoding.
const GUESSED: usize = 1 << 16;

/// The text of a page, and the name of its encoding. `declared` is what HTTP says of it. Bytes that are not of the
/// encoding become U+FFFD.
pub fn decode(bytes: &[u8], declared: Option<&str>) -> (String, &'static str) {
    let encoding = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding,
        None => sure(bytes, declared).unwrap_or_else(|| guess(bytes)),
    };
    let (text, _) = encoding.decode_with_bom_removal(bytes);
    (text.into_owned(), encoding.name())
}

/// The encoding that is named, or that the bytes themselves prove.
fn sure(bytes: &[u8], declared: Option<&str>) -> Option<&'static Encoding> {
    let within = within(&bytes[..bytes.len().min(SNIFFED)]);
    let named = declared.and_then(|label| Encoding::for_label(label.trim().as_bytes())).or(within);
    match named {
        // Servers and templates name Latin-1 or UTF-8 without looking. Valid UTF-8 beyond ASCII is no accident.
        Some(named) if named == WINDOWS_1252 && !bytes.is_ascii() && is_utf8(bytes) => Some(UTF_8),
        Some(named) if named == UTF_8 && !is_utf8(bytes) => Some(within.unwrap_or(UTF_8)),
        None if is_utf8(bytes) => Some(UTF_8),
        named => named,
    }
}

/// Whether the bytes are UTF-8, perhaps cut inside a character that is not the first beyond ASCII.
fn is_utf8(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && !bytes[..error.valid_up_to()].is_ascii(),
    }
}

/// What a page says of itself: `<meta charset=x>`, `<meta http-equiv=… content="…; charset=x">`, or the head of XML.
fn within(head: &[u8]) -> Option<&'static Encoding> {
    let head: String = head.iter().map(|&byte| char::from(byte.to_ascii_lowercase())).collect();
    let xml = head.trim_start().strip_prefix("<?xml").and_then(|rest| {
        let declaration = &rest[..rest.find('>')?];
        value(&declaration[declaration.find("encoding")? + "encoding".len()..])
    });
    let meta = head.match_indices("<meta").find_map(|(at, _)| {
        let tag = &head[at..];
        let tag = &tag[..tag.find('>').unwrap_or(tag.len())];
        value(&tag[tag.find("charset")? + "charset".len()..])
    });
    let encoding = Encoding::for_label(meta.or(xml)?.as_bytes())?;
    // A page whose `meta` could be read is not UTF-16, whatever it says (HTML standard, 13.2.3.2).
    Some(if encoding == UTF_16BE || encoding == UTF_16LE { UTF_8 } else { encoding })
}

/// The value after `=`, with or without quotes.
fn value(text: &str) -> Option<&str> {
    let text = text.trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';' | '/' | '>' | '?'));
    Some(&text[..end.unwrap_or(text.len())])
}

/// What the bytes look like.
fn guess(bytes: &[u8]) -> &'static Encoding {
    let sample = &bytes[..bytes.len().min(GUESSED)];
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(sample, sample.len() == bytes.len());
    detector.guess(None, Utf8Detection::Allow)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_says_most_counts_most() {
        let meta = |label: &str, text: &[u8]| {
            [format!("<html><head><meta charset=\"{label}\"></head>").as_bytes(), text].concat()
        };
        let equiv = b"<META http-equiv=Content-Type content='text/html; charset=koi8-r'>\xd0\xd2\xc9";
        let cases: [(Vec<u8>, Option<&str>, &str, &str); 13] = [
            ("é".into(), None, "UTF-8", "é"),
            (b"\xef\xbb\xbfx".into(), Some("latin1"), "UTF-8", "x"),
            (b"\xff\xfex\0".into(), Some("utf-8"), "UTF-16LE", "x"),
            (b"\xe9".into(), Some("iso-8859-1"), "windows-1252", "é"),
            ("é".into(), Some("iso-8859-1"), "UTF-8", "é"),
            (b"\xcf\xf0\xe8".into(), Some(" Windows-1251"), "windows-1251", "При"),
            (b"\xcf\xf0\xe8".into(), Some("nonsense"), "windows-1252", "Ïðè"),
            (meta("windows-1251", b"\xcf\xf0\xe8"), None, "windows-1251", "При"),
            (meta("windows-1251", b"\xcf\xf0\xe8"), Some("utf-8"), "windows-1251", "При"),
            (meta("utf-16", b"x"), None, "UTF-8", "x"),
            (equiv.into(), None, "KOI8-R", "при"),
            (b"<?xml version='1.0' encoding='Shift_JIS'?><p>\x82\xa0".into(), None, "Shift_JIS", "あ"),
            ("éé".as_bytes()[..3].into(), None, "UTF-8", "é\u{fffd}"),
        ];
        for (bytes, declared, name, end) in cases {
            let (text, encoding) = decode(&bytes, declared);
            // Three letters are too few to guess from: only that there is a text counts.
            if declared != Some("nonsense") {
                assert_eq!((encoding, text.ends_with(end)), (name, true), "{text}");
            }
        }
        let russian = "Мороз и солнце; день чудесный! Ещё ты дремлешь, друг прелестный";
        let (bytes, ..) = encoding_rs::WINDOWS_1251.encode(russian);
        assert_eq!(decode(&bytes, None), (russian.into(), "windows-1251"));
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_text(bytes: Vec<u8>, label in "[a-z0-9-]{0,9}") {
            decode(&bytes, Some(&label));
            let page = [b"<meta charset='".as_slice(), label.as_bytes(), b"'>", &bytes].concat();
            decode(&page, None);
        }
    }
}
