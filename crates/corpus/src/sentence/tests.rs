//! Tables of sentences by language, and what holds for any text.

use proptest::prelude::*;

use super::*;

fn parts<'a>(text: &'a str, language: Option<&str>) -> Vec<&'a str> {
    split_in(text, language).into_iter().map(|range| &text[range]).collect()
}

/// The bars are where the sentences are to be cut, and nothing else is in the text.
fn check(language: &str, marked: &str) {
    let text = marked.replace('|', "");
    let language = Some(language).filter(|code| !code.is_empty());
    assert_eq!(parts(&text, language).join("|"), marked);
}

#[test]
fn abbreviations_do_not_end_a_sentence() {
    for marked in [
        "\"No.| He went,\" said Dr. Watson.| See No. 7.",
        "It was I.| He knew.",
        "By (St. Paul) and J. R. R. Tolkien!| Yes.",
        "He met Mr.|\nNew paragraph",
        "One.Two and 3.5 end.",
        "“Is it?” she asked.| “It is.”| He left.",
        "Fruit, e.g. Apples.| It was etc.| Then…",
        "What! -- he cried.| So...| He went.",
        "",
    ] {
        check("", marked);
        check("en", marked);
    }
}

#[test]
fn every_language_has_its_own_full_stops() {
    for (language, marked) in [
        ("de", "Am 3. Oktober 1990 kam Hr. Dr. Meyer aus dem 19. Jahrhundert, z. B. Wien.| Er ging."),
        (
            "de",
            "Ludwig XIV. Der König, geb. Müller, vgl. Abb. 3 und S. 12.| „Ja!“ rief er.| Im Jahr 1990.| Dann.",
        ),
        ("de-AT", "»Ja.«| »Nein.«| Ca. 5 km bzw. Meilen.| Ende."),
        ("fr", "« Bonjour. »| Il partit avec M. Dupont et Mme Durand.| Voir p. 12."),
        ("fr", "« Tu viens ? » dit-elle.| Av. J.-C. la ville, cf. Rome.| J. Verne dit : « Oui ! »| Fin."),
        ("es", "¿Qué tal?| ¡Bien!| El Sr. García y la Dra. Ruiz, pág. 7.| Fin."),
        ("it", "Il sig. Rossi e il Dott. Bianchi.| Vedi pag. 3.| Fine."),
        ("pt", "O Sr. Silva e a Dra. Souza.| Ver pág. 3.| Fim."),
        ("nl", "Dhr. Jansen en mevr. Smit, bijv. Piet.| Zie blz. 3.| Einde."),
        ("sv", "Den 3. Maj kom dr. Berg, t.ex. Anna.| Slut."),
        ("pl", "Ul. Długa i ul. Krótka, prof. Nowak, tzw. Mały.| Koniec."),
        ("cs", "Dne 3. Května přišel prof. Novák, např. Jan.| Konec."),
        ("ru", "Он жил в г. Москве на ул. Ленина, см. Рис. 5.| В 1990 г.| Он умер."),
        ("ru", "А. С. Пушкин.| Это я.| Кто там? — спросил он. — Я!| Да."),
        ("ltg", "Tys beja 3. Majā.| Beigys."),
    ] {
        check(language, marked);
    }
}

#[test]
fn scripts_without_spaces_are_cut_at_their_terminators() {
    for marked in [
        "今日は晴れです。|明日は雨でしょう！|「本当ですか？」と彼は言った。|「はい。」|『そう。』って。",
        "他来了。|“你好！”|他说。|（完。）|下一句？！|对。",
        "그는 왔다.| \"그래?\"| 나는 말했다.| 3.5는 크다.",
        "यह एक वाक्य है।|यह दूसरा है।| तीसरा?| हाँ॥",
        "كيف حالك؟| أنا بخير.| شكرا!",
        "یہ ایک جملہ ہے۔| یہ دوسرا ہے۔|تیسرا",
        "Սա նախադասություն է։| Սա երկրորդն է։",
        "ይህ ዓረፍተ ነገር ነው።| ሌላ ነው።|ሦስተኛ፧",
        "នេះជាប្រយោគ។| មួយទៀត។",
    ] {
        check("", marked);
        check("zh", marked);
    }
}

#[test]
fn thai_is_cut_at_spaces_once_it_is_long() {
    let phrase = "ภาษาไทยเป็นภาษาที่มีระดับเสียงของคำแน่นอน ";
    let text = phrase.repeat(20);
    let found = parts(text.trim_end(), Some("th"));
    assert!(found.len() > 3 && found.iter().all(|part| part.chars().count() < 250), "{found:?}");
    assert_eq!(parts(phrase.repeat(3).trim_end(), None).len(), 1);
    let english = "word ".repeat(200);
    assert_eq!(parts(&english, None).len(), 1);
    assert_eq!(parts(&format!("{english}ภาษา {english}ภาษา"), None).len(), 1);
}

#[test]
fn a_new_line_before_a_quotation_mark_ends_a_paragraph() {
    check("fr", "Oui.|\n» Non. »|\n» Fin.");
    check("fr", "« Oui. »");
}

proptest! {
    #[test]
    fn the_ranges_are_the_text(
        text in "[A-Ca-c.!? \\n”\"\u{a0}。é»«」と1-3ไวк।—]{0,60}",
        language in proptest::option::of("de|fr|ru|en|ja|xx"),
    ) {
        let found = parts(&text, language.as_deref());
        prop_assert_eq!(found.concat(), text.as_str());
        for (index, part) in found.iter().enumerate() {
            prop_assert!(!part.is_empty());
            let bare = |part: &str| part.trim_end_matches(CLOSERS).ends_with(NEED_NO_SPACE);
            prop_assert!(index == 0 || part.starts_with(char::is_whitespace) || bare(found[index - 1]));
            // A new line in the middle would be a paragraph's end inside a sentence.
            prop_assert!(!part.trim().contains('\n'), "{part:?}");
        }
    }

    #[test]
    fn nothing_is_too_odd(text in "\\PC{0,80}") {
        for language in [None, Some("de"), Some("th"), Some("")] {
            prop_assert_eq!(parts(&text, language).concat(), text.as_str());
        }
    }
}

#[test]
fn a_paragraph_keeps_its_number() {
    check("en", "951. Satch plays Fats.| He won 5.| Then he left.|\nXII. The end.|\nCivil.| 7.| Eight.");
    check("de", "12. Das Ende.|\n3. Noch eins.");
}

#[test]
fn the_us_goes_with_a_name() {
    for marked in [
        "In 1999, the U.S. Department of Defense came.| It left.",
        "He moved to the U.S.| In 1990 he died.| The U.K. Government and the U.N. General Assembly met.",
        "He lives in the U.S.| \"Good.\"| She left the U.S.",
    ] {
        check("en", marked);
    }
}

#[test]
fn sentences_may_begin_with_a_number() {
    check("de", "Er wohnte bei den Eltern.| 1785 heiratete er.| Im Okt. 1790 starb er.");
    check("lv", "Bejuse Daugpiļs pogostā.| 1945 godā īstateita.");
    check("en", "They were members of congregations.| 60,000 houses were left.");
    check("en", "He was born in Sept. 1914 in no. 5 of the street, says Par. 2 of it.");
}
