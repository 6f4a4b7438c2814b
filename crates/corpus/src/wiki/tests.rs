//! Tests of markup to prose: tables of cases, broken markup, and what must hold for any string.

use proptest::prelude::*;

use super::*;

fn prose(markup: &str) -> String {
    text(markup, &Site::default(), &WikiOptions::default(), &mut Counts::new())
}

fn check(cases: &[(&str, &str)]) {
    for (markup, expected) in cases {
        assert_eq!(prose(markup), *expected, "{markup}");
    }
}

#[test]
fn links() {
    check(&[
        ("a [[b]]s and [[c|d]].", "a bs and d."),
        ("[[Help:Name (part)|]] [[a#b|c]] [[#Top]] [[:Category:Towns]]", "Name c Top Category:Towns"),
        ("x [[File:a.jpg|thumb|A [[nested]] {{small|caption}} [http://a b].]] y", "x y"),
        ("x [[Datei:a.jpg|mini|[[b]] [[Bild:c.png]]]] y[[Catégorie:Ville]]", "x y"),
        ("Text.\n[[de:Text]]\n[[fr:Texte]]", "Text."),
        ("see [[:de:Text]] and [[wikt:word]]", "see Text and word"),
        ("[http://a.b label here] and [http://a.b], [https://c] end", "label here and, end"),
        ("[[http://a.b label]] x [//c.d e]", "label x e"),
        ("array[1] and [sic] and [[a]]]", "array[1] and [sic] and a]"),
    ]);
}

#[test]
fn what_led_to_something_that_was_left_out_goes_with_it() {
    check(&[
        ("Text.\n\nWorks:\n* a\n* b\n\nMore.", "Text.\nMore."),
        ("The members are as follows:\n\n{|\n|a\n|}\n== History ==\nIt began.", "It began."),
        ("The last line leads nowhere:\n", ""),
        ("He said:\n\nI came, I saw.\n* a", "He said:\nI came, I saw."),
        ("It was old. It had three parts:\n* a", "It was old. It had three parts:"),
        ("Lakes:\n* a\nRivers:\n* b\n", ""),
    ]);
    let lists = WikiOptions { lists: true, ..WikiOptions::default() };
    let mut dropped = Counts::new();
    assert_eq!(text("Works:\n* a\n", &Site::default(), &lists, &mut dropped), "Works:\na");
    assert_eq!(dropped.get("lead"), None);
    text("Works:\n* a\n", &Site::default(), &WikiOptions::default(), &mut dropped);
    assert_eq!((dropped["lead"], dropped["list"]), (1, 1));
}

#[test]
fn words_of_dictionaries_show_their_parts() {
    check(&[
        ("From {{etyl|la|en}} {{m|la|abstractus}}.", "From Latin abstractus."),
        ("From {{etyl|fr|en}} {{term|mot|lang=fr}}{{m|mot|lang=fr}}.", "From French mot."),
        ("Equivalent to {{suffix|accept|ance|lang=en}}.", "Equivalent to accept + -ance."),
        ("From {{suffix|en|help|ful|-ness}}.", "From help + -ful + -ness."),
        ("From {{prefix|en|un|do}}, {{confix|en|a|bc|d}}.", "From un- + do, a- + bc + -d."),
        ("From {{compound|en|book|case}}, {{af|en|un-|do}}.", "From book + case, un- + do."),
    ]);
}

#[test]
fn templates_tables_and_tags() {
    check(&[
        ("{{Infobox|a={{b|c}}\n|d={{{e|}}}}}\nText {{convert|5|km|mi}} long{{cn}}.", "Text 5 km long."),
        ("a {{nowrap|{{lang|fr|''mot''}} b}} c", "a mot b c"),
        ("{{math|x {{=}} 5}} {{!}}", "x = 5 |"),
        ("{{{1|default}}} {{{none}}} x", "default x"),
        ("{|\n|a\n{|\n|nested\n|}\n|{{x\n|y\n}}\n|}\nText", "Text"),
        (":{| class=x\n|a\n|}\n", ""),
        ("a<ref>b {{c}}</ref> d<ref name=e />. f<ref name=\"g\">h", "a d. f"),
        ("a<ref>unclosed<ref>b</ref> c", "a c"),
        ("one<!-- x -->two\n<!-- y -->\nthree", "onetwo three"),
        ("<div class=\"a\">b</div> <span>c</span><br/>d <small>e</small>", "b\nc d e"),
        ("m<sup>2</sup> H<sub>2</sub>O 10<sup>−6</sup> 1<sup>st</sup>", "m² H₂O 10⁻⁶ 1st"),
        ("<math>x</math> <math>\\frac{1}{2}</math> y <score>a</score>", "x y"),
        ("<nowiki>''a'' [[b]] {{c}}</nowiki> <code>d</code>", "a b c d"),
        ("<gallery>\nA.jpg|b\n</gallery>x<syntaxhighlight lang=c>int</syntaxhighlight>", "x"),
        ("<table><tr><td>a</td></tr></table>b <ul><li>c</li></ul>d", "b d"),
        (
            "if a < b and c > d then <vector> &lt;div&gt; &lt;br&gt; x",
            "if a < b and c > d then <vector> div x",
        ),
        ("a&nbsp;b &amp;nbsp; c &eacute; &#233;", "a b c é é"),
        ("-{zh-hans:简;zh-hant:繁}- -{text}- -{H|zh:a}-", "简 text"),
        ("__NOTOC__a __b__", "a __b__"),
    ]);
}

#[test]
fn lines() {
    check(&[
        ("One\ntwo.\n\nThree.", "One two.\nThree."),
        ("* a\n# b\n; c : d\n: e\nText", "Text"),
        ("== Head ==\nText\n=== Sub ===\nMore", "Text\nMore"),
        ("A.\n== References ==\nx\n=== Sub ===\ny\n== Life ==\nB.\n==Siehe auch==\nz", "A.\nB."),
        ("== Culture ==\n=== Literatur ===\nProse.\n== Literatur ==\nBook", "Prose."),
        ("Text\n code line\n more\nText", "Text\nText"),
        ("----\nText", "Text"),
        ("...\n\n—", ""),
    ]);
    let options = WikiOptions { lists: true, headings: true };
    let kept = text("== A ''b'' ==\n* one\n** two\nText", &Site::default(), &options, &mut Counts::new());
    assert_eq!(kept, "A b\none\ntwo\nText");
}

#[test]
fn quotes() {
    check(&[
        ("'''''a''''' '''b''' ''c'' d's", "a b c d's"),
        ("dans l'''Iliade'' et", "dans l'Iliade et"),
        ("''''a''''", "'a'"),
    ]);
}

#[test]
fn what_was_dropped_is_mended() {
    check(&[
        ("Berlin ({{IPA-de|b}}; {{lang-de|Berlin}}) is", "Berlin (German: Berlin) is"),
        ("Berlin ({{IPA-de|b}}) is", "Berlin is"),
        ("Berlin ({{a}}, {{b}}), x", "Berlin, x"),
        ("A (, b) c ( ; ) d (e; {{f}}) g", "A (b) c d (e) g"),
        ("{{x}}, which is {{y}}, {{z}}, a", "which is, a"),
        ("word {{x}} . Next {{y}} ; end {{cn}}.", "word. Next; end."),
        ("call main() or f( ) now", "call main() or f now"),
        ("« Oui ! » dit-il : non. .5 and .com", "« Oui ! » dit-il : non. .5 and .com"),
        ("（{{x}}）是 “{{y}}” z", "是 z"),
    ]);
}

#[test]
fn what_is_not_closed_does_little_harm() {
    check(&[
        ("a {{b|c\n== H ==\nText", "a\nText"),
        ("{{Infobox\n|a=b\n|c=d\nText", "Text"),
        ("a [[b|c d\n\nText]]", "a c d\nText"),
        ("[[File:a|thumb|b\nText", "Text"),
        ("{| width=5\n|-\n|a\n== H ==\nText", "Text"),
        ("a }} b ]] c |} d", "a b c d"),
        ("a <sup>2 b <ref", "a 2 b <ref"),
        ("{{nowrap|a [[b}} c]] d", "a b c d"),
    ]);
}

#[test]
fn what_is_dropped_is_counted() {
    let mut counts = Counts::new();
    let markup = "{{a}} {{nowrap|b}} [[File:c]] <ref>d</ref>\n* e\n== f ==\n{|\n|}\n== Notes ==\ng";
    text(markup, &Site::default(), &WikiOptions::default(), &mut counts);
    let expected = [
        ("file", 1),
        ("heading", 1),
        ("list", 1),
        ("ref", 1),
        ("section", 1),
        ("table", 1),
        ("template", 1),
        ("template kept", 1),
    ];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn disambiguations_are_known() {
    for markup in
        ["x {{disambig}}", "{{Disambiguation|geo}}", "{{hndis|a}}", "{{Begriffsklärung}}", "__DISAMBIG__"]
    {
        assert!(is_disambiguation(markup), "{markup}");
    }
    assert!(!is_disambiguation("{{about|x|other uses|X (disambiguation)}} {{dabble}} Text"));
}

#[test]
fn options_are_read_strictly() {
    let read = |text: &str| serde_json::from_str::<WikiOptions>(text);
    assert_eq!(read("{\"lists\": true}").unwrap(), WikiOptions { lists: true, headings: false });
    assert!(read("{\"list\": true}").is_err());
}

/// A megabyte of one thing, closed and not: minutes, if anything were quadratic.
#[test]
fn nothing_takes_long() {
    for (open, close) in [
        ("{{", "}}"),
        ("[[", "]]"),
        ("\n{|", "\n|}"),
        ("<div>", "</div>"),
        ("'''''", "'"),
        ("{{nowrap|x", "}}"),
        ("[[a|b", "]]"),
        ("<sup>1", "</sup>"),
        ("<ref>a", "</ref>"),
        ("<ref name=", "/>"),
        ("-{a", "}-"),
        ("(", ")"),
        ("[http://a b", "]"),
        ("{{{a|", "}}}"),
        ("<!--", "-->"),
        ("[[File:a|\n", "]]"),
        ("<b <", ">"),
        ("&amp;", ";"),
    ] {
        for close in ["", close] {
            let markup = open.repeat((1 << 20) / open.len()) + &close.repeat((1 << 20) / open.len());
            assert!(prose(&markup).len() <= markup.len());
        }
    }
    for (open, inside, close) in [
        ("[[", ":", "x]]"),
        ("[[", "w:", "x]]"),
        ("{{convert|5|", "e6", "acre}}"),
        ("{{convert|5|", "to|5|a=b|", "km}}"),
        ("{{unité|5", "|m|a=b", "}}"),
    ] {
        let markup = [open, &inside.repeat((1 << 20) / inside.len()), close].concat();
        assert!(prose(&markup).len() <= markup.len());
    }
}

/// Whether any markup is left.
fn has_residue(text: &str) -> bool {
    let pairs = ["{{", "}}", "[[", "]]", "''", "{|", "|}", "<ref>", "</ref>", "<div>", "<br>", "\n\n", "  "];
    pairs.iter().any(|pair| text.contains(pair)) || text.chars().any(|char| char < ' ' && char != '\n')
}

proptest! {
    #[test]
    fn no_markup_is_left_in_any_text(parts in prop::collection::vec(prop::sample::select(vec![
        "{{", "}}", "{{{", "}}}", "[[", "]]", "[", "]", "{|", "|}", "|", "'", "''", "'''", "\n", "\n\n", "== a ==", " ",
        "<ref>", "</ref>", "<div>", "</div>", "<br>", "&lt;br&gt;", "&lt;", "div>", "<nowiki>", "</nowiki>", "<sup>",
        "</sup>", "-{", "}-", "File:", "http://a", "nowrap|", "lang|de|", "a", "é", "(", ")", ",", ";", ".", "<!--", "-->",
        "\u{1}", "\u{5}", "__TOC__", "*", ":", "{", "}", "<table>", "</table>", "quote|", "&amp;nbsp;", "\u{3000}",
    ]), 0..40)) {
        let markup = parts.concat();
        let text = prose(&markup);
        prop_assert!(!has_residue(&text.replace("<ref", "")) , "{markup:?} {text:?}");
    }

    #[test]
    fn any_string_is_markup(markup in "\\PC{0,200}") {
        prose(&markup);
    }

    #[test]
    fn plain_text_stays(words in prop::collection::vec("[a-zA-Zäß]{1,8}", 1..30)) {
        let plain = words.join(" ");
        prop_assert_eq!(prose(&plain), plain);
    }
}
