//! Rust source with comments and literals blanked out, so that a rule sees code and nothing else.
//! Knows Rust's lexical structure only as far as telling code from the rest needs.

/// The same text, line for line and column for column, with spaces for all that is not code.
pub fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skip(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        }
        while at < end {
            code.push(if chars[at] == '\n' { '\n' } else { ' ' });
            at += 1;
        }
    }
    code
}

/// Where the comment or literal that starts here ends; the same place if none starts here.
fn skip(chars: &[char], at: usize) -> usize {
    let next = |offset: usize| chars.get(at + offset).copied().unwrap_or(' ');
    match (next(0), next(1)) {
        ('/', '/') => chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |length| at + length),
        ('/', '*') => block_comment(chars, at),
        ('"', _) => string(chars, at + 1),
        ('r', '"' | '#') if starts_word(chars, at) => raw_string(chars, at),
        // A lifetime has no closing quote after one character.
        ('\'', '\\') => char_literal(chars, at),
        ('\'', _) if next(2) == '\'' => at + 3,
        _ => at,
    }
}

/// The end of a character that is written with a backslash.
fn char_literal(chars: &[char], start: usize) -> usize {
    // The character behind the backslash may itself be a quote.
    let rest = chars.iter().skip(start + 3);
    rest.take_while(|&&c| c != '\'').count().saturating_add(start + 4).min(chars.len())
}

/// Whether a literal's prefix can start here: `r`, or the `r` of `br` and `cr`.
fn starts_word(chars: &[char], at: usize) -> bool {
    let is_word = |back: usize| {
        at.checked_sub(back).is_some_and(|index| chars[index].is_alphanumeric() || chars[index] == '_')
    };
    !is_word(1) || (matches!(chars[at - 1], 'b' | 'c') && !is_word(2))
}

/// The end of a comment that may hold others.
fn block_comment(chars: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start + 2, 1);
    while at < chars.len() && depth > 0 {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at.min(chars.len())
}

/// The end of a string whose first character is here.
fn string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The end of a raw string; the same place for a raw identifier.
fn raw_string(chars: &[char], start: usize) -> usize {
    let hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    let mut at = start + 1 + hashes;
    if chars.get(at) != Some(&'"') {
        return start;
    }
    at += 1;
    while at < chars.len() {
        let closes =
            chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
        at += 1;
        if closes {
            return at + hashes;
        }
    }
    at
}

/// The lines, from 1, on which a word stands as a word.
pub fn lines_with_word<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let numbered = code.lines().enumerate();
    numbered
        .filter(move |(_, line)| line.split(|c| !is_part(c)).any(|part| part == word))
        .map(|(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        let text = "let a = \"unsafe \\\" x\"; // unsafe\n/* unsafe /* unsafe */ unsafe */ let b = 'u';\n\
                    let c = r#\"unsafe \" \"#; let d = br\"unsafe\"; let r#e = '\\'';\nfn f<'a>(x: &'a str) {}\n";
        let code = code_of(text);
        assert_eq!(code.lines().count(), text.lines().count());
        assert!(!code.contains("unsafe"), "{code}");
        for kept in ["let a =", "let b =", "let c =", "let d = b", "let r#e =", "fn f<'a>(x: &'a str) {}"] {
            assert!(code.contains(kept), "{kept} is gone: {code}");
        }
    }

    #[test]
    fn unfinished_literals_do_not_run_over_the_end() {
        for text in ["\"abc", "'\\", "r#\"abc", "/* abc", "// abc", "\"\\", "'", "r#"] {
            code_of(text);
        }
    }

    #[test]
    fn words_are_whole_words() {
        let code = "unsafe {\n#![allow(unsafe_code)]\nfn not_unsafe() {}\n(unsafe)";
        assert_eq!(lines_with_word(code, "unsafe").collect::<Vec<_>>(), [1, 4]);
    }
}
