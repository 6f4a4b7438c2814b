//! The heads of records: WARC's block of header lines, ARC's single line. Knows nothing of what follows them.

use super::Kind;

/// A head that does not end within this many bytes is not one. URIs are the only long thing in it.
pub(super) const HEAD_BYTES: usize = 1 << 16;

/// What a head says.
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) uri: String,
    pub(super) date: Option<String>,
    pub(super) content_type: String,
    /// The length of the body.
    pub(super) length: u64,
}

/// Whether a record begins here: `None` where more bytes must tell. `all` says that no more will come.
pub(super) fn begins(bytes: &[u8], all: bool) -> Option<bool> {
    const MAGIC: &[u8] = b"WARC/";
    let common = bytes.len().min(MAGIC.len());
    if bytes[..common] == MAGIC[..common] {
        return match bytes.get(MAGIC.len()) {
            Some(version) => Some(version.is_ascii_digit()),
            None => all.then_some(false),
        };
    }
    // A line of ARC begins with a URI: letters and a colon.
    let scheme = bytes.iter().position(|byte| !byte.is_ascii_alphanumeric());
    match scheme {
        Some(0) => return Some(false),
        Some(at) if bytes[at] != b':' => return Some(false),
        None if bytes.len() > 32 => return Some(false),
        _ => {}
    }
    match memchr::memchr(b'\n', bytes) {
        Some(end) => Some(arc(&bytes[..end]).is_some()),
        None => (all || bytes.len() > HEAD_BYTES).then_some(false),
    }
}

/// How long the head is, with the empty line that ends WARC's: `None` where more bytes must tell.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let warc = bytes.starts_with(b"WARC/");
    for end in memchr::memchr_iter(b'\n', bytes) {
        if !warc || matches!(&bytes[end + 1..], [b'\n', ..]) {
            return Some(end + 1 + usize::from(warc));
        }
        if bytes[end + 1..].starts_with(b"\r\n") {
            return Some(end + 3);
        }
    }
    None
}

/// Reads a head, which is whole.
pub(super) fn parse(bytes: &[u8]) -> Result<Head, &'static str> {
    if !bytes.starts_with(b"WARC/") {
        return arc(bytes).ok_or("not the head of a record");
    }
    let mut head =
        Head { kind: Kind::Other, uri: String::new(), date: None, content_type: String::new(), length: 0 };
    let mut length = None;
    for line in lines(bytes).skip(1) {
        let Some((name, value)) = field(line) else {
            return Err("a line of its head is not a header");
        };
        match name.to_ascii_lowercase().as_slice() {
            b"warc-type" => head.kind = kind(&value),
            b"warc-target-uri" => head.uri = value.trim_matches(['<', '>']).to_string(),
            b"warc-date" => head.date = Some(value),
            b"content-type" => head.content_type = value,
            b"content-length" => length = digits(&value),
            _ => {}
        }
    }
    head.length = length.ok_or("its head states no length")?;
    Ok(head)
}

/// The lines up to the first empty one, without their ends.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .take_while(|line| !line.is_empty())
}

/// Name and value of a header line. A line that goes on with the one before (which no field of ours needs) has an
/// empty name.
pub(super) fn field(line: &[u8]) -> Option<(&[u8], String)> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Some((&[], String::new()));
    }
    let colon = memchr::memchr(b':', line)?;
    Some((line[..colon].trim_ascii(), String::from_utf8_lossy(line[colon + 1..].trim_ascii()).into_owned()))
}

fn kind(value: &str) -> Kind {
    match value.to_ascii_lowercase().as_str() {
        "response" => Kind::Response,
        "resource" => Kind::Resource,
        "conversion" => Kind::Conversion,
        "revisit" => Kind::Revisit,
        "request" => Kind::Request,
        "metadata" => Kind::Metadata,
        "warcinfo" => Kind::Warcinfo,
        _ => Kind::Other,
    }
}

/// `parse` alone would take a sign.
fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// ARC 1.0: `URI address date type length`; version 2 has more fields before the length.
fn arc(line: &[u8]) -> Option<Head> {
    let line = String::from_utf8_lossy(line);
    let fields: Vec<&str> = line.trim_end().split(' ').collect();
    let [uri, _, date, content_type, .., length] = fields.as_slice() else { return None };
    let dated = (12..=17).contains(&date.len()) && digits(date).is_some();
    if !dated || !uri.contains(':') {
        return None;
    }
    let kind = if uri.starts_with("filedesc:") { Kind::Warcinfo } else { Kind::Response };
    Some(Head {
        kind,
        uri: uri.to_string(),
        date: (date.len() >= 14).then(|| {
            let part = |from, to| &date[from..to];
            format!(
                "{}-{}-{}T{}:{}:{}Z",
                part(0, 4),
                part(4, 6),
                part(6, 8),
                part(8, 10),
                part(10, 12),
                part(12, 14)
            )
        }),
        content_type: content_type.to_string(),
        length: digits(length)?,
    })
}
