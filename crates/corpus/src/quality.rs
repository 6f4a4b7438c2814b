//! Whether a document is worth training on: rules that count characters, words and lines, each with a threshold of
//! its own. Knows nothing of languages; works on any script.
//!
//! Most rules and their thresholds are those of Gopher (Rae et al. 2021, appendix A.1.1), some those of C4 (Raffel
//! et al. 2020, section 2.2). They were set for web pages in English; the defaults are as strict only where good
//! prose of other kinds and languages stays far from them.

mod counts;
mod repetition;

use std::collections::BTreeSet;

use counts::{Counts, count};
use memchr::memmem;
use repetition::{Words, duplicate_lines};
use serde::{Deserialize, Serialize};

/// Repeated sequences of words are looked for in so many words from the beginning of a text: enough to know a text
/// by, and few enough for tables that stay in a processor's cache.
const REPETITION_WORDS: usize = 1 << 15;

/// The rules. A threshold of 0 (or `false`, or an empty list) switches its rule off; shares are from 0 to 1. A
/// document that breaks a rule falls, and the rule's name is the reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quality {
    /// The fewest characters.
    pub min_chars: usize,
    /// The most characters.
    pub max_chars: usize,
    /// The fewest words. In scripts without spaces, every character is a word.
    pub min_words: usize,
    /// The most words.
    pub max_words: usize,
    /// The least mean length of words, in characters. This and the next rule pass over scripts without spaces.
    pub min_mean_word_length: f32,
    /// The greatest mean length of words.
    pub max_mean_word_length: f32,
    /// The most `#` and ellipses per word.
    pub max_symbol_ratio: f32,
    /// The greatest share of lines (in a clean text, paragraphs) that begin with a bullet.
    pub max_bullet_lines: f32,
    /// The greatest share of lines that end with an ellipsis.
    pub max_ellipsis_lines: f32,
    /// The least share of words with a letter, among those with a letter or a digit: a dash between spaces is none.
    pub min_alpha_words: f32,
    /// The greatest share of digits among visible characters.
    pub max_digit_ratio: f32,
    /// The greatest share of capitals among letters.
    pub max_uppercase_ratio: f32,
    /// The greatest share of lines that were there before.
    pub max_duplicate_lines: f32,
    /// The greatest share of the text in lines that were there before.
    pub max_duplicate_line_chars: f32,
    /// The greatest shares of the text in the commonest sequence of 2, 3 and 4 words. This and the next rule pass
    /// over scripts without spaces too, where a few characters come again all the time.
    pub max_top_ngrams: [f32; 3],
    /// The greatest shares of the text in sequences of 5, 6, 7, 8, 9 and 10 words that were there before.
    pub max_duplicate_ngrams: [f32; 6],
    /// Whether the printers' blind text "lorem ipsum" condemns a document.
    pub reject_lorem_ipsum: bool,
    /// Whether a `{` condemns a document, as program code.
    pub reject_curly_bracket: bool,
    /// Words in small letters; a document with one of them, in capitals or not, falls.
    pub blocklist: BTreeSet<String>,
}

impl Default for Quality {
    fn default() -> Self {
        Quality {
            min_words: 10,
            min_mean_word_length: 2.0,
            max_mean_word_length: 10.0,
            max_symbol_ratio: 0.1,
            max_bullet_lines: 0.9,
            max_ellipsis_lines: 0.3,
            min_alpha_words: 0.7,
            max_digit_ratio: 0.25,
            max_uppercase_ratio: 0.5,
            max_duplicate_lines: 0.5,
            max_duplicate_line_chars: 0.2,
            max_top_ngrams: [0.20, 0.18, 0.16],
            max_duplicate_ngrams: [0.15, 0.14, 0.13, 0.12, 0.11, 0.10],
            reject_lorem_ipsum: true,
            ..Quality::off()
        }
    }
}

impl Quality {
    /// No rules at all.
    pub fn off() -> Quality {
        Quality {
            min_chars: 0,
            max_chars: 0,
            min_words: 0,
            max_words: 0,
            min_mean_word_length: 0.0,
            max_mean_word_length: 0.0,
            max_symbol_ratio: 0.0,
            max_bullet_lines: 0.0,
            max_ellipsis_lines: 0.0,
            min_alpha_words: 0.0,
            max_digit_ratio: 0.0,
            max_uppercase_ratio: 0.0,
            max_duplicate_lines: 0.0,
            max_duplicate_line_chars: 0.0,
            max_top_ngrams: [0.0; 3],
            max_duplicate_ngrams: [0.0; 6],
            reject_lorem_ipsum: false,
            reject_curly_bracket: false,
            blocklist: BTreeSet::new(),
        }
    }

    /// The first rule that a clean text breaks, by its name.
    pub fn check(&self, text: &str) -> Option<&'static str> {
        let mut words = Words::default();
        let mut blocked = false;
        let mut small = String::new();
        let grams = self.longest_ngram();
        let counts = count(text, |word| {
            if grams > 0 && words.len() < REPETITION_WORDS {
                words.push(word);
            }
            if !self.blocklist.is_empty() && !blocked {
                small.clear();
                let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
                small.extend(bare.chars().flat_map(char::to_lowercase));
                blocked = self.blocklist.contains(&small);
            }
        });
        self.sizes(&counts)
            .or_else(|| self.kinds(&counts))
            .or_else(|| blocked.then_some("blocklist"))
            .or_else(|| self.marks(text))
            .or_else(|| self.lines(text))
            .or_else(|| match counts.is_spaced() {
                true => words.repeated(grams, |words, share| self.ngrams(words, share)),
                false => None,
            })
    }

    fn sizes(&self, counts: &Counts) -> Option<&'static str> {
        let most = |most: usize, value: usize| most > 0 && value > most;
        let rules = [
            (counts.chars < self.min_chars, "min_chars"),
            (most(self.max_chars, counts.chars), "max_chars"),
            (counts.words < self.min_words, "min_words"),
            (most(self.max_words, counts.words), "max_words"),
        ];
        broken(&rules)
    }

    fn kinds(&self, counts: &Counts) -> Option<&'static str> {
        let length = ratio(counts.spaced_chars, counts.spaced_words);
        let spaced = counts.is_spaced();
        let alpha = ratio(counts.alpha_words, counts.words - counts.mark_words);
        let rules = [
            (spaced && length < self.min_mean_word_length, "min_mean_word_length"),
            (spaced && above(self.max_mean_word_length, length), "max_mean_word_length"),
            (above(self.max_symbol_ratio, ratio(counts.symbols, counts.words)), "max_symbol_ratio"),
            (above(self.max_bullet_lines, ratio(counts.bullet_lines, counts.lines)), "max_bullet_lines"),
            (
                above(self.max_ellipsis_lines, ratio(counts.ellipsis_lines, counts.lines)),
                "max_ellipsis_lines",
            ),
            (alpha < self.min_alpha_words, "min_alpha_words"),
            (above(self.max_digit_ratio, ratio(counts.digits, counts.visible)), "max_digit_ratio"),
            (above(self.max_uppercase_ratio, ratio(counts.upper, counts.letters)), "max_uppercase_ratio"),
        ];
        broken(&rules)
    }

    fn marks(&self, text: &str) -> Option<&'static str> {
        let has = |needle: &str| memmem::find(text.as_bytes(), needle.as_bytes()).is_some();
        let lorem = || has("orem ipsum") || has("OREM IPSUM");
        let rules = [
            (self.reject_lorem_ipsum && lorem(), "reject_lorem_ipsum"),
            (self.reject_curly_bracket && has("{"), "reject_curly_bracket"),
        ];
        broken(&rules)
    }

    fn lines(&self, text: &str) -> Option<&'static str> {
        if self.max_duplicate_lines <= 0.0 && self.max_duplicate_line_chars <= 0.0 {
            return None;
        }
        let (lines, chars) = duplicate_lines(text);
        let rules = [
            (above(self.max_duplicate_lines, lines), "max_duplicate_lines"),
            (above(self.max_duplicate_line_chars, chars), "max_duplicate_line_chars"),
        ];
        broken(&rules)
    }

    /// How many words the longest sequence has that a rule asks for; 0 if none does.
    fn longest_ngram(&self) -> usize {
        let thresholds = self.max_top_ngrams.iter().chain(&self.max_duplicate_ngrams);
        let wanted = thresholds.enumerate().filter(|(_, threshold)| **threshold > 0.0);
        wanted.last().map_or(0, |(index, _)| index + 2)
    }

    fn ngrams(&self, words: usize, share: f32) -> Option<&'static str> {
        let (threshold, name) = match words {
            2..=4 => (self.max_top_ngrams[words - 2], "max_top_ngrams"),
            5..=10 => (self.max_duplicate_ngrams[words - 5], "max_duplicate_ngrams"),
            _ => return None,
        };
        above(threshold, share).then_some(name)
    }
}

fn above(threshold: f32, value: f32) -> bool {
    threshold > 0.0 && value > threshold
}

/// 0 where there is nothing to divide by: such a text falls by its size, if it is to fall.
fn ratio(part: usize, whole: usize) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 / whole as f32 }
}

fn broken(rules: &[(bool, &'static str)]) -> Option<&'static str> {
    rules.iter().find(|(broken, _)| *broken).map(|&(_, name)| name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROSE: &str = "The quick brown fox jumps over the lazy dog near the old mill.\nNobody in the village had \
        seen such a fox before, and the dog, who was 12 years old, did not care at all.";

    fn only(rule: impl FnOnce(&mut Quality)) -> Quality {
        let mut quality = Quality::off();
        rule(&mut quality);
        quality
    }

    #[test]
    fn good_prose_of_any_script_stays() {
        for text in [
            PROSE,
            "Быстрая лиса прыгает через ленивую собаку. Никто в деревне не видел раньше такой лисы.",
            "今日は天気がいいので、散歩に行きました。公園には花がたくさん咲いていて、とてもきれいでした。",
            "他昨天去了北京，看望了他的老朋友。他们一起吃了晚饭，谈论了很多过去的事情。",
            "그는 어제 오랜 친구를 만나러 서울에 갔다. 그들은 함께 저녁을 먹고 옛날 이야기를 많이 했다.",
            "ภาษาไทยเป็นภาษาที่มีระดับเสียงของคำแน่นอนหรือวรรณยุกต์ เช่นเดียวกับภาษาจีน",
            "Rio de Janeiro — mīsts Brazileja. Pošā komunā irā 6 453 682 dzeivuotuoju.",
            "Juoņs Čakste (Jānis Čakste, 1859 — 1927) — pyrmais Latvejis prezidents (1922—1927).",
            "यह एक छोटी कहानी है जो एक गाँव के बारे में है जहाँ सब लोग मिलकर रहते थे।",
        ] {
            assert_eq!(Quality::default().check(text), None, "{text}");
        }
        assert_eq!(Quality::off().check(""), None);
        assert_eq!(Quality::default().check(""), Some("min_words"));
    }

    #[test]
    fn every_rule_has_its_victim() {
        let boilerplate = "Read more about our cookies here.\n".repeat(8) + PROSE;
        let chant = "buy cheap pills now ".repeat(4) + PROSE;
        let long = "one two three four five six seven eight nine ten eleven twelve ";
        let twice = format!("{long}{PROSE} {long}");
        let cases: [(Quality, &str); 18] = [
            (only(|q| q.min_chars = 500), PROSE),
            (only(|q| q.max_chars = 50), PROSE),
            (only(|q| q.min_words = 100), PROSE),
            (only(|q| q.max_words = 10), PROSE),
            (only(|q| q.min_mean_word_length = 3.0), "a b c de fg hi j k l m n o p"),
            (only(|q| q.max_mean_word_length = 10.0), "internationalisation https://example.org/index.html"),
            (only(|q| q.max_symbol_ratio = 0.1), "#one #two three... four… five six seven"),
            (only(|q| q.max_bullet_lines = 0.9), "• one\n- two\n* three"),
            (only(|q| q.max_ellipsis_lines = 0.3), "One…\nTwo...\nThree."),
            (only(|q| q.min_alpha_words = 0.7), "1 2 3 four 5 --- 7"),
            (only(|q| q.max_digit_ratio = 0.25), "Call 555 1234 567"),
            (only(|q| q.max_uppercase_ratio = 0.5), "FREE SHIPPING on ALL ORDERS"),
            (only(|q| q.max_duplicate_lines = 0.3), &boilerplate),
            (only(|q| q.max_duplicate_line_chars = 0.2), &boilerplate),
            (only(|q| q.max_top_ngrams[2] = 0.16), &chant),
            (only(|q| q.max_duplicate_ngrams[5] = 0.1), &twice),
            (only(|q| q.reject_lorem_ipsum = true), "Lorem ipsum dolor sit amet"),
            (only(|q| q.reject_curly_bracket = true), "if (x) { y(); }"),
        ];
        let all = serde_json::to_value(Quality::off()).unwrap();
        let names: Vec<&String> = all.as_object().unwrap().keys().collect();
        for (quality, text) in cases {
            let reason = quality.check(text).unwrap_or_else(|| panic!("{quality:?} lets {text:?} pass"));
            assert!(names.iter().any(|name| *name == reason), "{reason}");
            let on = serde_json::to_value(&quality).unwrap();
            assert_ne!(on[reason], all[reason], "{reason} is not the rule that was on");
            assert_eq!(Quality::off().check(text), None);
        }
        let blocked = only(|q| q.blocklist = BTreeSet::from(["mill".into()]));
        assert_eq!((blocked.check(PROSE), blocked.check("A Mill?")), (Some("blocklist"), Some("blocklist")));
        assert_eq!(blocked.check("A million mills."), None);
    }

    #[test]
    fn settings_are_read_and_unknown_ones_refused() {
        let quality: Quality =
            serde_json::from_str(r#"{"min_words": 50, "max_top_ngrams": [0, 0, 0]}"#).unwrap();
        assert_eq!((quality.min_words, quality.max_top_ngrams), (50, [0.0; 3]));
        assert_eq!(quality.max_bullet_lines, Quality::default().max_bullet_lines);
        assert!(serde_json::from_str::<Quality>(r#"{"min_word": 50}"#).is_err());
    }

    #[test]
    fn counting_by_hand() {
        let counts = count("- Ab1 c…\n\n 中文。X 7 ...\n#", |_| {});
        let words = (counts.words, counts.alpha_words, counts.spaced_words, counts.spaced_chars);
        assert_eq!((counts.chars, counts.visible, counts.lines, words), (23, 15, 3, (9, 5, 7, 13)));
        assert_eq!((counts.bullet_lines, counts.ellipsis_lines, counts.symbols), (1, 2, 3));
        assert_eq!((counts.letters, counts.upper, counts.digits), (6, 2, 2));
    }

    proptest! {
        #[test]
        fn nothing_is_too_odd(text in "[\\PC\\n]{0,100}") {
            let quality = only(|q| q.max_duplicate_ngrams = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
            prop_assert_eq!(quality.check(&text), None);
            let counts = count(&text, |_| {});
            prop_assert_eq!(counts.chars, text.chars().count());
            prop_assert!(counts.alpha_words + counts.mark_words <= counts.words);
            prop_assert!( counts.upper <= counts.letters);
            prop_assert!(counts.letters + counts.digits <= counts.visible);
        }

        #[test]
        fn letters_of_any_script_count_alike(text in "([a-cA-C0-2]{1,9}|[ .#…\\n*中，é-]){0,40}") {
            let elsewhere = |c: char| match c {
                'a'..='c' => 'а',
                'A'..='C' => 'А',
                '0'..='2' => '٣',
                other => other,
            };
            let counted = |text: &str| {
                let mut lengths = Vec::new();
                let counts = count(text, |word| lengths.push(word.chars().count()));
                (counts, lengths)
            };
            prop_assert_eq!(counted(&text), counted(&text.chars().map(elsewhere).collect::<String>()));
        }

        #[test]
        fn a_text_said_twice_is_half_repeated(words in proptest::collection::vec("[a-z]{4}", 30..80)) {
            let once = words.join(" ");
            let twice = format!("{once} {once}");
            let shares = |text: &str| {
                let mut words = Words::default();
                count(text, |word| words.push(word));
                let mut shares = Vec::new();
                words.repeated(10, |_, share| { shares.push(share); None::<()> });
                shares
            };
            let (one, two) = (shares(&once), shares(&twice));
            prop_assert_eq!(one.len(), 9);
            prop_assert!(two[3..].iter().all(|share| (share - 0.5).abs() < 0.03), "{:?}", two);
            prop_assert!(one[3..].iter().all(|&share| share == 0.0));
        }
    }
}
