//! What is counted in a text, in one pass: characters, words and lines of several kinds. Knows no thresholds.

/// The counts of one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub chars: usize,
    /// Not white.
    pub visible: usize,
    pub letters: usize,
    pub upper: usize,
    pub digits: usize,
    /// `#` and ellipses.
    pub symbols: usize,
    pub words: usize,
    /// Words with a letter.
    pub alpha_words: usize,
    /// Words with neither a letter nor a digit: dashes, signs.
    pub mark_words: usize,
    /// Words between white space, and their characters; the other words are single characters of a script that
    /// writes no spaces.
    pub spaced_words: usize,
    pub spaced_chars: usize,
    /// Lines with something in them.
    pub lines: usize,
    /// Lines that begin with a bullet.
    pub bullet_lines: usize,
    /// Lines that end with an ellipsis.
    pub ellipsis_lines: usize,
}

impl Counts {
    /// Whether most words stand between white space.
    pub fn is_spaced(&self) -> bool {
        2 * self.spaced_words > self.words
    }
}

const SPACE: u8 = 1;
const LETTER: u8 = 2;
const UPPER: u8 = 4;
const DIGIT: u8 = 8;
/// A letter of a script without spaces: a word of its own.
const ALONE: u8 = 16;

const ASCII: [u8; 128] = ascii();

const fn ascii() -> [u8; 128] {
    let mut table = [0; 128];
    let mut byte = 0;
    while byte < 128 {
        table[byte as usize] = match byte {
            b' ' | 9..=13 => SPACE,
            b'0'..=b'9' => DIGIT,
            b'A'..=b'Z' => LETTER | UPPER,
            b'a'..=b'z' => LETTER,
            _ => 0,
        };
        byte += 1;
    }
    table
}

/// Letters, capitals and digits of ASCII, as counts that can be added up: so many bits for each.
const BITS: u32 = 21;
const PLAIN: [u64; 256] = plain();
/// Fewer than would carry from one count into the next.
const LONGEST_RUN: usize = 1 << 20;

const fn plain() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match ASCII[byte] {
            DIGIT => 1 << (2 * BITS),
            LETTER => 1,
            0 | SPACE => 0,
            _ => 1 | 1 << BITS,
        };
        byte += 1;
    }
    table
}

/// How many letters and digits of ASCII a text begins with: letters, capitals among them, digits.
fn run(bytes: &[u8]) -> [usize; 3] {
    let mut sum = 0;
    for &byte in bytes.iter().take(LONGEST_RUN) {
        match PLAIN[usize::from(byte)] {
            0 => break,
            plain => sum += plain,
        }
    }
    [0, BITS, 2 * BITS].map(|shift| (sum >> shift) as usize & ((1 << BITS) - 1))
}

fn class(c: char) -> u8 {
    match c {
        '\0'..='\x7f' => ASCII[c as usize],
        // The commonest letters elsewhere, without a search in Unicode's tables.
        'а'..='я' | '가'..='힣' => LETTER,
        // Thai, Lao, Tibetan, Burmese, Khmer; kana; ideographs.
        '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3041}'..='\u{30ff}' if c.is_alphabetic() => {
            LETTER | ALONE
        }
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}' => LETTER | ALONE,
        _ if c.is_uppercase() => LETTER | UPPER,
        _ if c.is_alphabetic() => LETTER,
        _ if c.is_whitespace() => SPACE,
        _ if c.is_numeric() => DIGIT,
        _ => 0,
    }
}

/// A word between white space, as far as it was seen.
#[derive(Clone, Copy, Default)]
struct Word {
    start: usize,
    chars: usize,
    kinds: u8,
    /// Whether it stands behind a character that is a word of its own.
    glued: bool,
}

/// Counts, and hands on every word.
pub(super) fn count<'a>(text: &'a str, mut each: impl FnMut(&'a str)) -> Counts {
    let mut counts = Counts::default();
    let mut word = Word::default();
    let (mut line_is_empty, mut dots, mut last) = (true, 0, ' ');
    let mut at = 0;
    while at <= text.len() {
        // Most of a text, and nothing but to be counted.
        let [letters, upper, digits] = run(&text.as_bytes()[at..]);
        let count = letters + digits;
        if count > 0 {
            (counts.chars, counts.visible) = (counts.chars + count, counts.visible + count);
            (counts.letters, counts.upper) = (counts.letters + letters, counts.upper + upper);
            counts.digits += digits;
            word.chars += count;
            word.kinds |= if letters > 0 { LETTER } else { 0 } | if digits > 0 { DIGIT } else { 0 };
            (line_is_empty, dots, last) = (false, 0, '0');
            at += count;
        }
        let c = text[at..].chars().next().unwrap_or('\n');
        let class = class(c);
        if class & (SPACE | ALONE) != 0 {
            // Punctuation between characters that are words is no word.
            let punctuation = word.kinds == 0 && (word.glued || class & ALONE != 0);
            if word.chars > 0 && !punctuation {
                counts.words += 1;
                counts.alpha_words += usize::from(word.kinds & LETTER != 0);
                counts.mark_words += usize::from(word.kinds & (LETTER | DIGIT) == 0);
                counts.spaced_words += 1;
                counts.spaced_chars += word.chars;
                each(&text[word.start..at]);
            }
            word = Word { start: at + c.len_utf8(), glued: class & ALONE != 0, ..Word::default() };
        }
        if class & SPACE != 0 {
            if c == '\n' && !line_is_empty {
                counts.lines += 1;
                counts.ellipsis_lines += usize::from(dots >= 3 || last == '…');
                line_is_empty = true;
            }
        } else {
            counts.visible += 1;
            counts.letters += usize::from(class & LETTER != 0);
            counts.upper += usize::from(class & UPPER != 0);
            counts.digits += usize::from(class & DIGIT != 0);
            dots = if c == '.' { dots + 1 } else { 0 };
            counts.symbols += usize::from(dots == 3 || c == '#' || c == '…');
            if std::mem::take(&mut line_is_empty) {
                counts.bullet_lines += usize::from("•‣⁃◦▪▫●○■□►*-".contains(c));
            }
            last = c;
            if class & ALONE != 0 {
                (counts.words, counts.alpha_words) = (counts.words + 1, counts.alpha_words + 1);
                each(&text[at..at + c.len_utf8()]);
            } else {
                (word.chars, word.kinds) = (word.chars + 1, word.kinds | class);
            }
        }
        counts.chars += 1;
        at += c.len_utf8();
    }
    // The new line at the end was not in the text.
    counts.chars -= 1;
    counts
}
