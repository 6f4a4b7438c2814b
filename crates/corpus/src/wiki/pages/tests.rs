//! Tests of the cutting of a stream into pages.

use std::io::{BufReader, Read};

use proptest::prelude::*;

use super::*;

fn page(title: &str, text: &str) -> String {
    format!(
        "  <page>\n    <title>{title}</title>\n    <ns>0</ns>\n    <id>7</id>\n    <revision>\n      <id>9</id>\n      \
         <timestamp>2020-01-02T03:04:05Z</timestamp>\n      <contributor><id>1</id></contributor>\n      \
         <model>wikitext</model>\n      <text xml:space=\"preserve\">{text}</text>\n    </revision>\n  </page>\n"
    )
}

fn all(bytes: &[u8], buffer: usize, cap: usize) -> Vec<Found> {
    let mut pages = Pages::new(BufReader::with_capacity(buffer, bytes), cap);
    let mut found = Vec::new();
    while let Some(next) = pages.next_page().unwrap() {
        found.push(next);
    }
    found
}

fn title(found: &Found) -> &str {
    match found {
        Found::Page(page) => &page.title,
        Found::Damaged { reason, .. } => reason,
    }
}

#[test]
fn a_page_comes_out_whole() {
    let dump =
        format!("<mediawiki>\n{}</mediawiki>", page("A &amp; B", "x &lt;ref&gt; &quot;y&quot; &#233;\nz"));
    let expected = Page {
        offset: 14,
        title: "A & B".into(),
        namespace: 0,
        id: 7,
        revision: 9,
        timestamp: Some("2020-01-02T03:04:05Z".into()),
        redirect: false,
        model: Some("wikitext".into()),
        text: "x <ref> \"y\" é\nz".into(),
    };
    assert_eq!(all(dump.as_bytes(), 64, 1 << 20), [Found::Page(expected)]);
}

#[test]
fn the_newest_revision_counts_and_a_redirect_is_one() {
    let revision = |id: u64, day: &str| {
        format!("<revision><id>{id}</id><timestamp>{day}</timestamp><text>{id}</text></revision>")
    };
    let dump = format!(
        "<page><title>T</title><ns>-2</ns><id>1</id><redirect title=\"U\" />{}{}{}</page>",
        revision(1, "2001-01-01T00:00:00Z"),
        revision(3, "2003-01-01T00:00:00Z"),
        revision(2, "2002-01-01T00:00:00Z"),
    );
    let Found::Page(page) = all(dump.as_bytes(), 64, 1 << 20).remove(0) else { panic!("damaged") };
    assert_eq!((page.revision, page.text.as_str(), page.redirect, page.namespace), (3, "3", true, -2));
}

#[test]
fn what_is_damaged_is_named_and_passed() {
    let dump = [
        "no page ".into(),
        page("one", "1"),
        "<page><title>cut".into(),
        page("two", "2"),
        "<page><title>x</page>".into(),
        page("large", &"x".repeat(2000)),
        page("three", "3"),
        "<page><title>".into(),
    ]
    .concat();
    let found = all(dump.as_bytes(), 64, 1000);
    let titles: Vec<&str> = found.iter().map(title).collect();
    let expected = [
        "one",
        "another page begins before it ends",
        "two",
        "it is not well-formed XML",
        "it is larger than the cap",
        "three",
        "it is cut off by the end of the stream",
    ];
    assert_eq!(titles, expected);
    for found in &found {
        let (Found::Page(Page { offset, .. }) | Found::Damaged { offset, .. }) = found;
        assert!(dump[*offset as usize..].starts_with("<page>"));
    }
}

#[test]
fn the_page_behind_one_that_is_too_large_is_found_wherever_the_cap_falls() {
    for filling in 380..420 {
        let dump = format!("<page>{}{}", "x".repeat(filling), page("T", "text"));
        let found = all(dump.as_bytes(), 64, 400);
        assert_eq!((found.len(), title(&found[1])), (2, "T"), "{filling}");
    }
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let mut dump = page("T", "a?b").into_bytes();
    let at = dump.iter().position(|&byte| byte == b'?').unwrap();
    dump[at] = 0xff;
    let Found::Page(page) = all(&dump, 64, 1 << 20).remove(0) else { panic!("damaged") };
    assert_eq!(page.text, "a\u{fffd}b");
}

/// Gives its bytes and then an error.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(Error::other("the disk is gone")),
            some => Ok(some),
        }
    }
}

#[test]
fn an_error_of_the_reader_comes_after_what_was_whole() {
    let dump = page("T", "a") + "<page><ti";
    let mut pages = Pages::new(BufReader::with_capacity(16, Failing(dump.as_bytes())), 1 << 20);
    assert_eq!(title(&pages.next_page().unwrap().unwrap()), "T");
    assert_eq!(title(&pages.next_page().unwrap().unwrap()), "it is cut off by the end of the stream");
    assert_eq!(pages.next_page().unwrap_err().to_string(), "the disk is gone");
    assert_eq!(pages.next_page().unwrap_err().to_string(), "the disk is gone", "it still is");
}

/// Gives its parts with an error between each and the next.
struct Damaged(Vec<Vec<u8>>);

impl Read for Damaged {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some(part) = self.0.first_mut() else { return Ok(0) };
        if part.is_empty() {
            self.0.remove(0);
            return if self.0.is_empty() { Ok(0) } else { Err(ErrorKind::InvalidData.into()) };
        }
        let count = part.len().min(buffer.len());
        buffer[..count].copy_from_slice(&part[..count]);
        part.drain(..count);
        Ok(count)
    }
}

#[test]
fn what_follows_an_error_is_read_and_not_joined_to_what_came_before() {
    let (before, after) =
        (page("one", "1") + "<page><title>lost</title><pag", "e>".to_owned() + &page("two", "2"));
    let parts =
        vec![before.clone().into_bytes(), after.into_bytes(), b"  <pa".to_vec(), b"ge></page>".to_vec()];
    let mut pages = Pages::new(BufReader::with_capacity(16, Damaged(parts)), 1 << 20);
    let mut told = Vec::new();
    loop {
        match pages.next_page() {
            Ok(Some(found)) => told.push(title(&found).to_owned()),
            Ok(None) => break,
            Err(_) => told.push("error".to_owned()),
        }
    }
    assert_eq!(told, ["one", "it is cut off by the end of the stream", "error", "two", "error", "error"]);
}

#[test]
fn many_pages_without_an_end_take_no_longer_than_others() {
    let dump = "<page>".repeat(500_000);
    assert_eq!(all(dump.as_bytes(), 1 << 18, 1 << 30).len(), 500_000);
}

proptest! {
    #[test]
    fn buffers_do_not_matter(
        parts in prop::collection::vec(prop_oneof![
            Just(page("T", "text")), Just(page("L", &"long ".repeat(60))), Just("<page>".to_owned()),
            Just("</page>".to_owned()), Just("<pag".to_owned()), Just("\u{e9}<b>&".to_owned()),
        ], 0..8),
        buffer in 1usize..700,
    ) {
        let dump = parts.concat();
        prop_assert_eq!(all(dump.as_bytes(), buffer, 400), all(dump.as_bytes(), 1 << 16, 400));
    }

    #[test]
    fn ranges_part_the_pages(count in 1usize..6, cut in 0usize..2000) {
        let dump: String = (0..count).map(|index| page(&format!("T{index}"), "text")).collect();
        let cut = cut.min(dump.len());
        let at = |found: &Found| match found { Found::Page(Page { offset, .. }) | Found::Damaged { offset, .. } => *offset };
        // The first range reads on until a page begins at or after its end.
        let first = all(dump.as_bytes(), 50, 1 << 20).into_iter().take_while(|found| at(found) < cut as u64);
        let second = all(&dump.as_bytes()[cut..], 50, 1 << 20);
        let titles: Vec<String> = first.chain(second).map(|found| title(&found).to_owned()).collect();
        prop_assert_eq!(titles, (0..count).map(|index| format!("T{index}")).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_read_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        all(&bytes, 7, 100);
    }
}
