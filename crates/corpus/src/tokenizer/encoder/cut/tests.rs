//! Tests of the cuts: where they are made. That they are harmless is tested with whole tokenizers.

use proptest::prelude::*;

use super::*;

#[test]
fn cuts_are_made_where_they_are_expected() {
    let byte_level = |text| byte_level(text).collect::<Vec<_>>();
    assert_eq!(
        byte_level("He said: “Don’t,  a1b!”"),
        ["He", " said", ":", " “Don", "’t", ",", "  a", "1b", "!”"]
    );
    assert_eq!(byte_level("\u{a0}don't é\n"), ["\u{a0}don", "'t", " é", "\n"]);
    let words = |text| word_piece(text).collect::<Vec<_>>();
    assert_eq!(
        words(" He said: “Don’t,\n中-a1b!” "),
        ["He", "said", ":", "“", "Don", "’", "t", ",", "中", "-", "a1b", "!", "”"]
    );
    assert_eq!(words("\u{c} x\u{a0}y"), ["\u{c}", "x\u{a0}y"]);
}

proptest! {
    #[test]
    fn nothing_is_lost(text in any::<String>()) {
        prop_assert_eq!(byte_level(&text).collect::<String>(), text.as_str());
        let visible = |text: &str| text.replace([' ', '\t', '\n', '\r'], "");
        prop_assert_eq!(word_piece(&text).collect::<String>(), visible(&text));
        prop_assert!(word_piece(&text).all(|word| !word.is_empty()));
    }
}
