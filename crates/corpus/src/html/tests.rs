//! Pages made up here: whole, odd and hostile; and real ones, where they are at hand.

use std::path::Path;

use proptest::prelude::*;

use super::*;

const SENTENCE: &str =
    "The rocket, built by a private company, left the ground this morning without any trouble.";

fn text(html: &str) -> Result<String, Refused> {
    main_text(html, &Limits::default()).map(|article| article.text)
}

#[test]
fn the_article_stays_and_the_rest_goes() {
    let paragraph = format!("<p>{} And <a href=x>more</a> of it.</p>", SENTENCE.repeat(3));
    let page = format!(
        "<!DOCTYPE html><html lang=en-GB><head><title>A launch | The Paper</title>
         <meta property='og:title' content='A &amp; launch'>
         <meta property='article:published_time' content='2012-05-22T07:44:00Z'></head><body class='has-sidebar'>
         <div class='cookie-banner'>We use cookies. {SENTENCE}</div><nav><ul><li><a href=/>Home</a></ul></nav>
         <div id=main><article><h1>A &amp; launch</h1>{paragraph}{paragraph}<h2>Later</h2>
         <ul><li>First, {SENTENCE}</li><li>Second, {SENTENCE}</li></ul><div class=share>Share this!</div>
         <p>Last <b>words</b>.<br>And more.</p><footer>Tags: space</footer></article>
         <section id=comments><p>I do not believe it. {SENTENCE}</p></section></div>
         <script>var x = '<p>no</p>';</script><p>© 2012 The Paper</p></body></html>"
    );
    let article = main_text(&page, &Limits::default()).unwrap();
    let body = format!("{} And more of it.", SENTENCE.repeat(3));
    let expected = [&body, &body, "Later", &format!("First, {SENTENCE}"), &format!("Second, {SENTENCE}")];
    assert_eq!(article.text, format!("{}\nLast words.\nAnd more.", expected.join("\n")));
    assert_eq!(article.title.as_deref(), Some("A & launch"));
    assert_eq!((article.date.as_deref(), article.language.as_deref()), (Some("2012-05-22"), Some("en-GB")));
}

#[test]
fn what_holds_the_text_is_kept_whatever_its_name() {
    let paragraph = format!("<p>{}</p>", SENTENCE.repeat(3));
    let page =
        format!("<body class=comments><div class='sidebar widget'>{paragraph}{paragraph}</div><div>x</div>");
    assert_eq!(text(&page).unwrap().lines().count(), 2);
}

#[test]
fn line_breaks_part_words() {
    let page = format!("<div>At once<BR>March 27<br><br>{SENTENCE}<br>\n<br/> Then<br> on.{SENTENCE}</div>");
    let expected = format!("At once\nMarch 27\n{SENTENCE}\nThen\non.{SENTENCE}");
    assert_eq!(text(&page).unwrap(), expected);
}

#[test]
fn pages_without_an_article_are_refused() {
    let links = "<li><a href=x>A thing or two of interest</a></li>".repeat(50);
    for page in ["", " ", "<", "<p>", "\0", "Not found", &format!("<ul>{links}</ul>")] {
        assert_eq!(text(page), Err(Refused::NoArticle), "{page}");
    }
}

#[test]
fn hostile_pages_end_soon() {
    use Refused::{NoArticle, TooDeep, TooLarge, TooManyNodes};
    let million = |unit: &str| unit.repeat(1_000_000 / unit.len());
    let numbered = |unit: &str| (0..40_000).map(|i| unit.replace('@', &i.to_string())).collect::<String>();
    let cases = [
        ("x".repeat(3 << 20), Some(TooLarge)),
        (million("<div>"), Some(TooDeep)),
        (million("<svg>"), Some(TooDeep)),
        (million("<template>"), Some(TooDeep)),
        (million("<table><tr><td>text, "), Some(TooDeep)),
        (numbered("<div><b x=@></div>"), Some(TooDeep)),
        (numbered("<table><b x=@></table>"), Some(TooDeep)),
        (million("<a>"), Some(TooManyNodes)),
        (million("<p>"), Some(TooManyNodes)),
        (format!("<a {}>", numbered("a@ ")), Some(TooManyNodes)),
        (format!("<a {}", numbered("a@='>'")), Some(TooManyNodes)),
        (million("<table>"), Some(NoArticle)),
        (million("<!--a-->"), Some(NoArticle)),
        (million("<"), None),
        (million("<b x><p>text, and more text here. "), None),
    ];
    for (page, refused) in cases {
        // As much stack as a thread of a pool has.
        let name: String = page.chars().take(20).collect();
        let work = std::thread::Builder::new().stack_size(2 << 20);
        let found =
            std::thread::scope(|scope| work.spawn_scoped(scope, || text(&page)).unwrap().join().unwrap());
        assert!(
            refused.is_none_or(|refused| found == Err(refused)),
            "{name}: {:?}",
            found.map(|text| text.len())
        );
    }
}

#[test]
fn long_scripts_and_images_are_no_long_tags() {
    let paragraph = format!("<p>{}</p>", SENTENCE.repeat(6));
    let data = "a ".repeat(100_000);
    for noise in [
        format!("<script>if (a<b) {{ '{data}' }}</script>"),
        format!("<style>{data}</style><!-- <a {data} -->"),
        format!("<img alt='{data}'>"),
        format!("<img alt = \"{data}\">"),
    ] {
        assert_eq!(text(&format!("{noise}{paragraph}")).unwrap(), SENTENCE.repeat(6), "{}", &noise[..20]);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may read what it tries the room on")]
fn real_pages_keep_their_text() {
    let path = Path::new("../../../shared/data/news-warc/whirlwind-commoncrawl.warc");
    let Ok(bytes) = std::fs::read(path) else {
        println!("skipped: no {}", path.display());
        return;
    };
    let start = memchr::memmem::find(&bytes, b"<!DOCTYPE html>").unwrap();
    let (page, encoding) = decode(&bytes[start..], None);
    let article = main_text(&page, &Limits::default()).unwrap();
    assert_eq!((encoding, article.language.as_deref()), ("UTF-8", Some("an")));
    assert!(!article.text.contains("Creative Commons"), "{}", article.text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn tag_soup_has_a_text_or_none(parts in proptest::collection::vec(0usize..20, 0..60)) {
        const PARTS: [&str; 20] = [
            "<div>", "</div>", "<p>", "</p>", "<table>", "<tr><td>", "</table>", "<b>", "</b>", "<a href=x>", "</a>",
            "<article class=main>", "<ul><li>", "<script>", "</script>", "<!--", "-->", "<br>", SENTENCE, "é <",
        ];
        let page: String = parts.iter().map(|&part| PARTS[part]).collect();
        let once = text(&page);
        prop_assert!(once != Err(Refused::Broken));
        prop_assert_eq!(&once, &text(&page));
        if let Ok(text) = once {
            prop_assert!(text.split('\n').all(|line| !line.is_empty()));
        }
    }
}
