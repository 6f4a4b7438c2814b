//! What a book's typists put between its words: places of illustrations, page numbers, marks of italics, rules, and
//! tables of contents. Works on texts as they come, before they are cleaned.

/// How much was taken out of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// `[Illustration]`, `[Illustration: with words]`.
    pub illustrations: usize,
    /// `[Pg 12]`, `{12}`.
    pub page_numbers: usize,
    /// The `_` around words in italics.
    pub italics: usize,
    /// Lines such as `* * * * *`.
    pub rules: usize,
    /// Lines of tables of contents.
    pub contents_lines: usize,
}

/// The words of an illustration are no longer than this.
const CAPTION: usize = 1000;
/// So many entries in a row make a table of contents.
const CONTENTS: usize = 5;
/// Entries are no longer than this.
const ENTRY: usize = 90;

/// A book's text without what is not its own. Lines that were taken out leave blank lines, so paragraphs stay apart.
pub fn tidy(text: &str, dropped: &mut Dropped) -> String {
    let text = inline(text, dropped);
    let mut lines: Vec<&str> = text.split('\n').collect();
    contents(&mut lines, dropped);
    for line in &mut lines {
        if is_rule(line) {
            dropped.rules += 1;
            *line = "";
        }
    }
    lines.join("\n")
}

/// Takes out what stands within lines.
fn inline(text: &str, dropped: &mut Dropped) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['[', '{', '_']) {
        kept.push_str(&rest[..at]);
        let (mark, after) = (rest.as_bytes()[at], &rest[at..]);
        let length = match mark {
            b'_' => italics(kept.chars().next_back(), after, dropped),
            _ => {
                illustration(after, dropped).or_else(|| page_number(kept.chars().next_back(), after, dropped))
            }
        };
        if length.is_none() {
            kept.push(char::from(mark));
        }
        rest = &after[length.unwrap_or(1)..];
    }
    kept.push_str(rest);
    kept
}

/// The length of the mark of italics at the beginning, if it is one: not within a word, not a line to write on.
fn italics(before: Option<char>, after: &str, dropped: &mut Dropped) -> Option<usize> {
    let next = after[1..].chars().next();
    let within = before.is_some_and(char::is_alphanumeric) && next.is_some_and(char::is_alphanumeric);
    let is_mark = !within && before != Some('_') && next != Some('_');
    dropped.italics += usize::from(is_mark);
    is_mark.then_some(1)
}

fn illustration(text: &str, dropped: &mut Dropped) -> Option<usize> {
    let caption = text.strip_prefix("[Illustration")?;
    if !caption.starts_with([':', ']', ' ', '.', '\n', '\r']) {
        return None;
    }
    let mut depth = 1;
    let (at, _) = caption.bytes().enumerate().take(CAPTION).find(|(_, byte)| {
        depth += i32::from(*byte == b'[') - i32::from(*byte == b']');
        depth == 0
    })?;
    dropped.illustrations += 1;
    Some(text.len() - caption.len() + at + 1)
}

fn page_number(before: Option<char>, text: &str, dropped: &mut Dropped) -> Option<usize> {
    let close = if text.starts_with('[') { ']' } else { '}' };
    let end = text.bytes().take(16).position(|byte| byte == close as u8)?;
    let inner = text[1..end].trim();
    let words = ["Page", "page", "Pg", "pg", "p."];
    let number = words.iter().find_map(|word| inner.strip_prefix(word));
    // "[12]" is a footnote as often as a page, and "H{2}O" has none.
    let within = before.is_some_and(char::is_alphanumeric);
    let number = match (number, close) {
        (Some(number), _) => number.trim(),
        (None, '}') if !within => inner,
        (None, _) => return None,
    };
    let roman = number.bytes().all(|byte| b"ivxlc".contains(&byte));
    let is_number = !number.is_empty() && (roman || number.bytes().all(|byte| byte.is_ascii_digit()));
    dropped.page_numbers += usize::from(is_number);
    is_number.then_some(end + 1)
}

/// Whether a line only parts what is above and below it.
fn is_rule(line: &str) -> bool {
    let mut marks = line.chars().filter(|c| !c.is_whitespace());
    let first = marks.next().unwrap_or(' ');
    "*-_=~+#•·—".contains(first) && marks.clone().count() >= 2 && marks.all(|c| c == first)
}

/// Blanks the lines of tables of contents: many short lines in a row, with nothing but blank ones between, that
/// begin as the headings of chapters do or end with a page number.
fn contents(lines: &mut [&str], dropped: &mut Dropped) {
    let mut run: Vec<usize> = Vec::new();
    let mut headed = false;
    for at in 0..=lines.len() {
        let line = lines.get(at).map_or("end", |line| line.trim());
        if line.is_empty() && at < lines.len() {
            continue;
        }
        if at < lines.len() && is_entry(line, headed) {
            run.push(at);
            continue;
        }
        if run.len() >= CONTENTS {
            dropped.contents_lines += run.len();
            run.iter().for_each(|&at| lines[at] = "");
        }
        run.clear();
        headed = is_heading(line);
        if headed {
            run.push(at);
        }
    }
}

fn is_heading(line: &str) -> bool {
    let line = line.trim_matches(['.', ':', '_', '*', ' ']).to_lowercase();
    ["contents", "table of contents", "the contents", "inhalt", "table des matières", "índice", "indice"]
        .contains(&line.as_str())
}

/// Whether a line may stand in a table of contents. Numbered lines do so only under its heading: they may also be a
/// list.
fn is_entry(line: &str, headed: bool) -> bool {
    if line.len() > ENTRY {
        return false;
    }
    let bytes = line.as_bytes();
    let digits = bytes.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let before = &line[..line.len() - digits];
    let gap = before.ends_with('\t') || before.ends_with("  ") || before.trim_end().ends_with("..");
    let gap = gap || before.trim_end().ends_with(". .");
    if (1..=4).contains(&digits) && gap && before.contains(char::is_alphabetic) {
        return true;
    }
    let first = line.split([' ', '.', ':', '\t', '—', '-']).next().unwrap_or("");
    let chapter =
        ["chapter", "kapitel", "chapitre", "capítulo", "capitolo", "book", "letter", "volume", "vol", "part"];
    let number = |word: &str| {
        !word.is_empty()
            && (word.bytes().all(|b| b"IVXLC".contains(&b))
                || headed && word.bytes().all(|b| b.is_ascii_digit()))
    };
    match chapter.contains(&first.to_lowercase().as_str()) {
        true => {
            line[first.len()..].trim_start().split([' ', '.', ':', '—', '-']).next().is_some_and(|word| {
                number(word) || !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
            })
        }
        // "I was" begins a sentence.
        false => {
            number(first) && (headed || line[first.len()..].starts_with('.') || line.len() == first.len())
        }
    }
}
