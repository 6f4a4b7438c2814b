//! The page inside a record: HTTP's head read, its encodings undone. Knows nothing of HTML and of what a page says.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::head::{field, lines};
use super::{Kind, Record};

/// Servers apply one encoding, or two by mistake. Each is as much work as the body is long.
const MOST_ENCODINGS: usize = 8;

/// What a server sent, or what stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// HTTP's status; 200 where the record has no HTTP head.
    pub status: u16,
    /// The media type in lower case, without parameters; empty where it is not stated.
    pub mime: String,
    /// The character encoding that the content type names.
    pub charset: Option<String>,
    /// The content.
    pub body: Vec<u8>,
}

impl Record {
    /// The page of a response with an HTTP head, of a resource or of a conversion. `None` for other records, and for
    /// encodings other than gzip and deflate, or too many. What an encoding makes of the body is cut at the size that a record may
    /// have.
    pub fn page(&self) -> Option<Page> {
        match self.kind {
            Kind::Response => self.answer(),
            Kind::Resource | Kind::Conversion => {
                let (mime, charset) = media_type(&self.content_type);
                Some(Page { status: 200, mime, charset, body: self.body.clone() })
            }
            _ => None,
        }
    }

    fn answer(&self) -> Option<Page> {
        let text = &self.body;
        let first = lines(text).next()?;
        // `HTTP/1.1 200 OK`
        let status = first.strip_prefix(b"HTTP/").and_then(|line| line.split(|&byte| byte == b' ').nth(1))?;
        let status = std::str::from_utf8(status).ok()?.parse().ok()?;
        let (mut content_type, mut chunked, mut encodings) = (None, false, Vec::new());
        for (name, value) in lines(text).skip(1).filter_map(field) {
            match name.to_ascii_lowercase().as_slice() {
                b"content-type" => {
                    content_type.get_or_insert(value);
                }
                b"transfer-encoding" => chunked |= value.to_ascii_lowercase().contains("chunked"),
                b"content-encoding" => {
                    encodings.extend(value.split(',').map(|name| name.trim().to_ascii_lowercase()));
                }
                _ => {}
            }
        }
        if encodings.len() > MOST_ENCODINGS {
            return None;
        }
        let mut body = &text[head_end(text)..];
        let joined;
        if chunked && let Some(whole) = unchunk(body) {
            joined = whole;
            body = &joined;
        }
        let mut body = body.to_vec();
        // The last one named was applied last.
        for encoding in encodings.iter().rev() {
            body = decode(body, encoding, self.limit)?;
        }
        let (mime, charset) = media_type(&content_type.unwrap_or_default());
        Some(Page { status, mime, charset, body })
    }
}

/// Where the first empty line ends.
fn head_end(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text)
        .find_map(|end| match &text[end + 1..] {
            [b'\n', ..] => Some(end + 2),
            [b'\r', b'\n', ..] => Some(end + 3),
            _ => None,
        })
        .unwrap_or(text.len())
}

/// Joins the chunks (RFC 9112, section 7.1), as many as there are. `None` if there is not even a first one: many
/// crawlers store the joined body under the header of the chunked one.
fn unchunk(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    let mut chunks = 0;
    while let Some((size, rest)) = chunk_size(text) {
        chunks += 1;
        if size == 0 {
            break;
        }
        let taken = size.min(rest.len());
        whole.extend_from_slice(&rest[..taken]);
        text = rest[taken..].strip_prefix(b"\r\n").or(rest[taken..].strip_prefix(b"\n")).unwrap_or_default();
    }
    (chunks > 0).then_some(whole)
}

/// The size of the chunk that begins here, and what follows the line that states it.
fn chunk_size(text: &[u8]) -> Option<(usize, &[u8])> {
    let end = memchr::memchr(b'\n', &text[..text.len().min(256)])?;
    let line = text[..end].split(|&byte| byte == b';').next()?.trim_ascii();
    let digits = !line.is_empty() && line.iter().all(u8::is_ascii_hexdigit);
    let size = usize::from_str_radix(std::str::from_utf8(line).ok().filter(|_| digits)?, 16).ok()?;
    Some((size, &text[end + 1..]))
}

/// Undoes a content encoding, as far as the bytes go. A body that is not encoded, whatever its header says, stays.
fn decode(body: Vec<u8>, encoding: &str, limit: usize) -> Option<Vec<u8>> {
    let undo = |reader: &mut dyn Read| {
        let mut text = Vec::new();
        // Damage ends the text: what came before it is the beginning of the page.
        let _damaged = reader.take(limit as u64).read_to_end(&mut text);
        text
    };
    match encoding {
        "" | "identity" => Some(body),
        "gzip" | "x-gzip" if body.starts_with(&[0x1f, 0x8b]) => {
            Some(undo(&mut MultiGzDecoder::new(body.as_slice())))
        }
        // Named "deflate" is zlib's format (RFC 9110, section 8.4.1.2), but many servers send bare deflate.
        "deflate" if !plain(&body) => {
            let text = undo(&mut ZlibDecoder::new(body.as_slice()));
            Some(if text.is_empty() { undo(&mut DeflateDecoder::new(body.as_slice())) } else { text })
        }
        _ => plain(&body).then_some(body),
    }
}

/// Whether a body is text as it is.
fn plain(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok() || body.trim_ascii_start().starts_with(b"<")
}

/// A content type's media type and character encoding.
fn media_type(content_type: &str) -> (String, Option<String>) {
    let mut parts = content_type.split(';');
    let mime = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        (name.trim().eq_ignore_ascii_case("charset") && !value.is_empty()).then(|| value.to_string())
    });
    (mime, charset)
}
