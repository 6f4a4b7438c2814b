//! Tests of the text that templates leave.

use super::*;

/// `name|argument|…`, as it stands between braces.
fn shown(content: &str, language: &str) -> String {
    match expand(content.replace('|', "\u{1}").as_bytes(), language) {
        Expansion::Text(text) => text,
        Expansion::Dropped(kind) => format!("<{kind}>"),
    }
}

fn check(cases: &[(&str, &str)], language: &str) {
    for (content, expected) in cases {
        assert_eq!(shown(content, language), *expected, "{{{{{content}}}}}");
    }
}

#[test]
fn measures_and_numbers() {
    check(
        &[
            ("convert|5|km|mi", "5 km"),
            ("Convert|5|to|10|km|mi|abbr=on", "5 to 10 km"),
            ("convert|60000|-|70000|sqmi|km2|0", "60,000–70,000 sq mi"),
            ("cvt|6|ft|2|in|m", "6 ft 2 in"),
            ("convert|30|C|F", "30 °C"),
            ("convert|120|kph|mph|0", "120 km/h"),
            ("convert|3|x|4|m", "3 × 4 m"),
            ("convert|2.5|acre", "2.5 acres"),
            ("convert|100|m2|sqft", "100 m²"),
            ("convert|5|C-change", "5 °C"),
            ("convert|1.5|e6acre|km2", "1.5 million acres"),
            ("convert|km", "<template>"),
            ("convert|2|e6e6acre", "2 million e6acre"),
            ("formatnum:1234567.891", "1,234,567.891"),
            ("formatnum:-12345", "-12,345"),
            ("FORMATNUM:12|R", "12"),
            ("nts|12345", "12,345"),
            ("ntsh|12345", "<template>"),
            ("val|5.5|0.1|e=6|u=km", "5.5 ± 0.1 × 10⁶ km"),
            ("val|30000|u=C", "30,000 C"),
            ("frac|1|2", "1/2"),
            ("frac|3|1|2", "3 1/2"),
            ("sfrac|2", "1/2"),
            ("chem|H|2|O", "H₂O"),
            ("chem2|C6H12O6", "C₆H₁₂O₆"),
            ("sup|2", "²"),
            ("e|6", "×10⁶"),
            ("US$|1000|link=yes", "$1,000"),
            ("£|5.5", "£5.5"),
            ("INR", "₹"),
        ],
        "en",
    );
    check(&[("formatnum:1234567.5", "1.234.567,5"), ("FormatNum|1000", "1.000"), ("enS|word", "word")], "de");
    check(
        &[
            ("unité|350|km", "350 km"),
            ("unité|5000|km|2", "5 000 km²"),
            ("s-|XIX|e", "XIXe siècle"),
            ("s|I", "Ier siècle"),
            ("-s|II", "IIe siècle av. J.-C."),
            ("XXe siècle", "XXe siècle"),
            ("84e", "84e"),
            ("date-|19 janvier", "19 janvier"),
            ("date|10|mars|1998|en astronomie", "10 mars 1998"),
            ("heure|12|30", "12 h 30"),
            ("citation|Bonjour", "« Bonjour »"),
            ("lien|langue=en|trad=Title|texte=le titre", "le titre"),
        ],
        "fr",
    );
}

#[test]
fn dates() {
    check(
        &[
            ("start date|2000|1|2", "January 2, 2000"),
            ("start date|2000|1|2|df=yes", "2 January 2000"),
            ("birth date and age|1950|12", "December 1950"),
            ("birth date|df=y|1950|3|4", "4 March 1950"),
            ("death date and age|2000|1|2|1950|3|4", "January 2, 2000 (aged 49)"),
            ("dts|31 December 1999", "31 December 1999"),
            ("age|1950|3|4|2000|1|2", "49"),
            ("age|1950|3|4", "<template>"),
            ("circa|1500", "c. 1500"),
            ("c.|1500|1600", "c. 1500–1600"),
            ("as of|2010|6", "As of June 2010"),
            ("as of|2010|lc=y", "as of 2010"),
            ("as of|2010|alt=In 2010", "In 2010"),
            ("OldStyleDate|5 May|1800|24 April", "5 May [O.S. 24 April] 1800"),
        ],
        "en",
    );
}

#[test]
fn words() {
    check(
        &[
            ("nowrap|a b", "a b"),
            ("nowrap|1=a=b", "a=b"),
            ("small|http://x?a=b c", "http://x?a=b c"),
            ("lang|fr|mot", "mot"),
            ("lang-de|Wort", "German: Wort"),
            ("langx|el|λόγος", "Greek: λόγος"),
            ("transl|ru|ISO|slovo", "slovo"),
            ("abbr|Dr|Doctor", "Dr"),
            ("ill|Name|de|Name (Maler)|lt=The name", "The name"),
            ("ill|Name|de", "Name"),
            ("URL|example.com|label", "label"),
            ("snd", " – "),
            ("'s", "'s"),
            ("quote|Words.|Author", "\n\nWords.\n\n"),
            ("quote|text=Words.", "\n\nWords.\n\n"),
            ("angbr|a", "⟨a⟩"),
            ("nihongo|Aikido|合気道|Aikidō", "Aikido (合気道, Aikidō)"),
            ("zh|c=汉字|p=hànzì", "Chinese: 汉字; pinyin: hànzì"),
            ("USS|Enterprise|CV-6", "USS Enterprise (CV-6)"),
            ("USS|Enterprise|CV-6|2", "USS Enterprise"),
            ("sclass|Nimitz|aircraft carrier", "Nimitz-class aircraft carrier"),
            ("inh|en|enm|worde", "Middle English worde"),
            ("Template:Nowrap|x", "x"),
            ("music|flat", "♭"),
            ("lc:ABC", "abc"),
        ],
        "en",
    );
}

#[test]
fn all_else_is_dropped() {
    let dropped = [
        ("Infobox person\n|name=x", "<template>"),
        ("coord|1|2", "<template>"),
        ("IPAc-en|x", "<template>"),
        ("main|X", "<template>"),
        ("#if:x|y", "<template>"),
        ("DEFAULTSORT:x", "<template>"),
        ("cite web|url=x", "<ref>"),
        ("sfn|Name|2000", "<ref>"),
        ("citation|title=x", "<ref>"),
        ("rp|5", "<ref>"),
        ("r|name", "<ref>"),
        ("efn|note", "<ref>"),
        ("nowrap", "<template>"),
        ("", "<template>"),
    ];
    check(&dropped, "en");
}
