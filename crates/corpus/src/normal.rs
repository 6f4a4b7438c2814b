//! One way to write the same text: Unicode's normal forms, and no characters that nobody sees. Knows nothing of
//! words or languages, and of white space only that it is none of its own.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfkc_quick};

/// Unicode's normal forms (Unicode Standard Annex 15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Characters stay as they are.
    None,
    /// Letters and their marks are one character where there is one: what looks the same is the same.
    #[default]
    Nfc,
    /// And what only looks a little different, too: `ﬁ` is `fi`, `２` is `2`, `½` is `1⁄2`.
    Nfkc,
}

/// What was found in texts on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Invisible characters that were taken out: soft hyphens, zero-width spaces and joiners, byte order marks,
    /// controls of the direction of writing, variation selectors.
    pub invisible: usize,
    /// Characters without a public meaning that were taken out: private ones and those that are none.
    pub private: usize,
    /// Replacement characters (U+FFFD), which stay: each is a place where text was lost before.
    pub replacements: usize,
}

/// The text in a normal form, without invisible and private characters. A text that is so already is not copied.
///
/// Joiners and non-joiners stay where they change what is seen: behind letters of Arabic and Indic scripts, and
/// between emoji.
pub fn normalise<'a>(text: &'a str, form: Form, oddities: &mut Oddities) -> Cow<'a, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let (visible, plain) = visible(text, oddities);
    let is_normal = match form {
        Form::None => IsNormalized::Yes,
        Form::Nfc if plain => IsNormalized::Yes,
        Form::Nfc => is_nfc_quick(visible.chars()),
        Form::Nfkc => is_nfkc_quick(visible.chars()),
    };
    match (is_normal, form) {
        (IsNormalized::Yes, _) | (_, Form::None) => visible,
        (_, Form::Nfc) => Cow::Owned(visible.nfc().collect()),
        (_, Form::Nfkc) => Cow::Owned(visible.nfkc().collect()),
    }
}

/// How many bytes of ASCII a text begins with.
fn ascii(bytes: &[u8]) -> usize {
    let blocks = bytes.chunks(32).take_while(|block| block.is_ascii());
    let whole = blocks.map(<[u8]>::len).sum();
    whole + bytes[whole..].iter().take_while(|byte| byte.is_ascii()).count()
}

/// Letters of Latin, dashes and quotes: by themselves and side by side, they are in the form NFC.
fn is_plain(c: char) -> bool {
    matches!(c, ..'\u{300}' | '\u{2010}'..='\u{2027}')
}

/// The text without invisible and private characters, and whether all others are plain.
fn visible<'a>(text: &'a str, oddities: &mut Oddities) -> (Cow<'a, str>, bool) {
    let mut kept: Option<String> = None;
    let (mut at, mut before, mut plain) = (0, ' ', true);
    loop {
        let run = &text[at..at + ascii(&text.as_bytes()[at..])];
        if let Some(kept) = &mut kept {
            kept.push_str(run);
        }
        at += run.len();
        let Some(c) = text[at..].chars().next() else { break };
        before = if run.is_empty() { before } else { ' ' };
        let stays = c < '\u{ad}'
            || match c {
                '\u{200c}' => writes_joined(before),
                '\u{200d}' => {
                    writes_joined(before) || is_emoji(before) && text[at + 3..].starts_with(is_emoji)
                }
                _ => !is_invisible(c) && !is_private(c),
            };
        if stays {
            oddities.replacements += usize::from(c == '\u{fffd}');
            if let Some(kept) = &mut kept {
                kept.push(c);
            }
            before = c;
            plain &= is_plain(c);
        } else {
            match is_private(c) {
                true => oddities.private += 1,
                false => oddities.invisible += 1,
            }
            kept.get_or_insert_with(|| text[..at].to_owned());
        }
        at += c.len_utf8();
    }
    (kept.map_or(Cow::Borrowed(text), Cow::Owned), plain)
}

/// Unicode's characters that are ignorable by default, less the joiners and the marks of Mongolian.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Characters for private use, and code points that are no characters.
fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{f0000}'..)
        || c as u32 & 0xfffe == 0xfffe
}

/// Scripts whose letters change shape with their neighbours: Arabic, Syriac and N'Ko, those of India, Burmese, Khmer
/// and Mongolian.
fn writes_joined(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{8ff}' | '\u{900}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{18af}')
}

/// The blocks of pictures, arrows and symbols that sequences of emoji are made of.
fn is_emoji(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{21ff}' | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}' | '\u{1f300}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(text: &str, form: Form) -> String {
        normalise(text, form, &mut Oddities::default()).into_owned()
    }

    #[test]
    fn forms() {
        let text = "e\u{301} ﬁ ２ Å";
        assert_eq!(normal(text, Form::None), text);
        assert_eq!(normal(text, Form::Nfc), "é ﬁ ２ Å");
        assert_eq!(normal(text, Form::Nfkc), "é fi 2 Å");
        assert_eq!(normal("한", Form::Nfc), "한");
    }

    #[test]
    fn what_nobody_sees_goes() {
        let mut oddities = Oddities::default();
        let text = "\u{feff}so\u{ad}ft zero\u{200b}width \u{202a}left\u{202c} pri\u{e000}vate\u{fdd0} lost\u{fffd} a\u{200d}b ☎\u{fe0f}";
        let found = normalise(text, Form::Nfc, &mut oddities);
        assert_eq!(found, "soft zerowidth left private lost\u{fffd} ab ☎");
        assert_eq!(oddities, Oddities { invisible: 7, private: 2, replacements: 1 });
    }

    #[test]
    fn joiners_stay_where_they_are_seen() {
        for text in ["می\u{200c}خواهم", "क्\u{200d}ष", "👨\u{200d}👩\u{200d}👧", "❤\u{200d}🔥", "🏴\u{200d}☠"]
        {
            assert_eq!(normal(text, Form::Nfc), text);
        }
        assert_eq!(normal("❤\u{fe0f}\u{200d}🔥", Form::Nfc), "❤\u{200d}🔥");
        assert_eq!(normal("👨\u{200d} a", Form::Nfc), "👨 a");
    }

    #[test]
    fn normal_text_is_not_copied() {
        for text in ["plain", "déjà vu — “yes”", "Привет, мир", "他来了。", ""] {
            for form in [Form::None, Form::Nfc, Form::Nfkc] {
                if form != Form::Nfkc || !text.contains('，') {
                    assert!(
                        matches!(normalise(text, form, &mut Oddities::default()), Cow::Borrowed(same) if same == text)
                    );
                }
            }
        }
    }

    #[test]
    fn plain_characters_are_in_normal_form() {
        for c in ('\0'..='\u{ffff}').filter(|&c| is_plain(c)) {
            let text = String::from(c);
            let is_starter = unicode_normalization::char::canonical_combining_class(c) == 0;
            assert!(is_starter && is_nfc_quick(text.chars()) == IsNormalized::Yes, "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn text_is_looked_at_as_character_by_character(text in "([a-z ]{1,40}|[é—\u{301}\u{ad}\u{e000}한]){0,20}") {
            let (mut one, mut other) = (Oddities::default(), Oddities::default());
            let kept: String = text.chars().map(|c| normalise(&c.to_string(), Form::None, &mut one).into_owned()).collect();
            prop_assert_eq!(normalise(&text, Form::Nfc, &mut other), kept.nfc().collect::<String>());
            prop_assert_eq!(one, other);
        }

        #[test]
        fn once_is_enough(text in "[\\PCa-e\u{300}-\u{36f}\u{200b}-\u{200f}\u{600}-\u{610}\u{fe0f}\u{1f300}-\u{1f310}\u{1f130}]{0,40}") {
            for form in [Form::None, Form::Nfc, Form::Nfkc] {
                let once = normal(&text, form);
                let mut oddities = Oddities::default();
                let twice = normalise(&once, form, &mut oddities);
                prop_assert_eq!(&twice, &once);
                prop_assert_eq!((oddities.invisible, oddities.private), (0, 0));
            }
        }
    }
}
