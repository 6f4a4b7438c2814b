//! Square brackets: links to pages, to files and to other sites. A part of the first pass that knows nothing of
//! templates and tags.

use super::super::site::Target;
use super::{ARGUMENT, Kind, Scanner};

/// What an external link begins with.
const SCHEMES: [&[u8]; 9] =
    [b"http://", b"https://", b"//", b"ftp://", b"ftps://", b"mailto:", b"news:", b"irc://", b"gopher://"];

impl Scanner<'_> {
    pub(super) fn open_bracket(&mut self) {
        let rest = &self.bytes[self.at..];
        if let Some(double) = [1, 2].into_iter().find(|&brackets| is_url(rest, brackets)) {
            self.at += double;
            let rest = &self.bytes[self.at..];
            let end = rest
                .iter()
                .position(|byte| matches!(byte, 0..=b' ' | b'[' | b']' | b'<' | b'"' | b'|' | b'{' | b'}'));
            self.at += end.unwrap_or(rest.len());
            self.push(Kind::Url(double == 2));
        } else if rest.starts_with(b"[[[") || !rest.starts_with(b"[[") {
            self.literal(1);
        } else {
            self.push(Kind::Link);
            self.at += 2;
        }
    }

    pub(super) fn close_bracket(&mut self) {
        if let Some(Kind::Url(double)) = self.stack.last().map(|frame| frame.kind) {
            self.at += if double && self.starts_with(b"]]") { 2 } else { 1 };
            return self.close_url();
        }
        if !self.starts_with(b"]]") {
            return self.literal(1);
        }
        self.at += 2;
        if self.links > 0 {
            self.abandon_while(|kind| matches!(kind, Kind::Url(_) | Kind::Variant | Kind::Tag(_)));
            if self.stack.last().is_some_and(|frame| frame.kind == Kind::Link) {
                self.close_link();
            }
        }
    }

    /// A link without a label shows a number, which says nothing outside of its page.
    fn close_url(&mut self) {
        let Some(frame) = self.pop() else { return };
        if self.out[frame.start..].trim_ascii().is_empty() {
            self.drop_from(frame.start, "link");
        } else if self.out[frame.start] == b' ' {
            // The space that parts address and label.
            self.cut(frame.start, 1);
        }
    }

    fn close_link(&mut self) {
        let Some(frame) = self.pop() else { return };
        let start = frame.start;
        if self.is_deep() {
            return self.drop_from(start, "link");
        }
        let content = &self.out[start + 1..];
        let argument = content.iter().position(|&byte| byte == ARGUMENT as u8);
        let target = String::from_utf8_lossy(&content[..argument.unwrap_or(content.len())]).into_owned();
        let shown = target.trim_start();
        let prefix = match self.site.target(shown) {
            Target::File => return self.drop_from(start, "file"),
            Target::Category => return self.drop_from(start, "category"),
            Target::Interlanguage => return self.drop_from(start, "interlanguage"),
            Target::Page(prefix) => prefix,
        };
        match argument {
            Some(at) if content[at + 1..].trim_ascii().is_empty() => {
                self.out.truncate(start);
                self.out.extend_from_slice(piped(&shown[prefix..]).as_bytes());
            }
            Some(at) => self.cut(start, at + 2),
            None => self.cut(start, 1 + target.len() - shown.len() + prefix),
        }
    }

    /// Takes bytes out of the text. Frames are never deeper than a limit, so a byte moves only so often.
    fn cut(&mut self, start: usize, bytes: usize) {
        self.out.drain(start..start + bytes);
    }
}

fn is_url(bytes: &[u8], brackets: usize) -> bool {
    let (open, rest) = bytes.split_at(brackets.min(bytes.len()));
    open.len() == brackets
        && open.iter().all(|&byte| byte == b'[')
        && SCHEMES
            .iter()
            .any(|scheme| rest.get(..scheme.len()).is_some_and(|b| b.eq_ignore_ascii_case(scheme)))
}

/// `[[Help:Page (part)|]]` shows `Page`.
fn piped(target: &str) -> &str {
    let name = target.split_once(':').map_or(target, |(_, name)| name);
    let name = name.strip_suffix(')').and_then(|name| name.rsplit_once('(')).map_or(name, |(name, _)| name);
    name.split_once(',').map_or(name, |(name, _)| name).trim()
}
