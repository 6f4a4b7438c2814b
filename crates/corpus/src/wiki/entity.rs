//! Character references, as people write them in wikis: named, numbered, escaped twice. Knows nothing of markup.

use quick_xml::escape::resolve_html5_entity;

/// The longest name that HTML knows has 31 letters.
const LONGEST: usize = 32;

/// What the reference that begins here stands for, and its length in bytes. `&amp;nbsp;` is taken for what was meant.
pub(super) fn entity(bytes: &[u8]) -> Option<(String, usize)> {
    let (mut text, mut len) = single(bytes)?;
    // Twice is a habit of tools; more is a text about escapes.
    for _ in 0..2 {
        if text != "&" {
            break;
        }
        let Some(rest) = bytes.get(len..) else { break };
        let head = [b"&", &rest[..rest.len().min(LONGEST + 1)]].concat();
        let Some((inner, inner_len)) = single(&head) else { break };
        text = inner;
        len += inner_len - 1;
    }
    Some((text, len))
}

fn single(bytes: &[u8]) -> Option<(String, usize)> {
    let within = bytes.get(1..bytes.len().min(1 + LONGEST))?;
    let end = within.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'#'))?;
    if within[end] != b';' {
        return None;
    }
    let name = std::str::from_utf8(&within[..end]).ok()?;
    let text = match name.strip_prefix('#') {
        Some(number) => numbered(number)?.to_string(),
        None => resolve_html5_entity(name)?.to_owned(),
    };
    Some((text, end + 2))
}

/// Control characters become spaces: the scanner has a use of its own for some.
fn numbered(number: &str) -> Option<char> {
    let code = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code).map(|char| if char.is_control() { ' ' } else { char })
}

/// `text` with its references resolved, as text that is no markup.
pub(super) fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        let (resolved, len) = entity(&rest.as_bytes()[at..]).unwrap_or(("&".to_owned(), 1));
        plain.push_str(&resolved);
        rest = &rest[at + len..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved() {
        let text =
            "a&nbsp;b &amp;nbsp; &amp;amp;lt; &#233;&#xE9; &eacute; &#1; &bogus; & &amp; &#xFFFFFFFF; &";
        assert_eq!(unescaped(text), "a\u{a0}b \u{a0} < éé é   &bogus; & & &#xFFFFFFFF; &");
    }
}
