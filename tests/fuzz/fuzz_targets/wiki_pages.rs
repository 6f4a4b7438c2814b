//! Fuzzes MediaWiki exports: any bytes end; a page comes back as it was written; the size of the reads makes no
//! difference.
#![no_main]

use fuzz::corpus::wiki::{Found, Page, Pages, Site, is_disambiguation};
use fuzz::{controls, damage, dribble, stretched};
use libfuzzer_sys::fuzz_target;

fn read(bytes: &[u8], cap: usize, most: usize) -> Vec<Found> {
    let mut pages = Pages::new(dribble(bytes, most), cap);
    let mut found = Vec::new();
    while let Some(next) = pages.next_page().expect("memory has no errors") {
        found.push(next);
        assert!(found.len() <= bytes.len(), "it does not end");
    }
    let mut last = None;
    for found in &found {
        let (Found::Page(Page { offset, .. }) | Found::Damaged { offset, .. }) = found;
        assert!(bytes[*offset as usize..].starts_with(b"<page>") && last < Some(*offset));
        last = Some(*offset);
    }
    found
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn page(text: &str) -> String {
    format!(
        "<page><title>T</title><ns>0</ns><id>1</id><revision><id>2</id><timestamp>2020-01-01T00:00:00Z</timestamp>\
         <text xml:space=\"preserve\">{}</text></revision></page>\n",
        escaped(text)
    )
}

fuzz_target!(|input: &[u8]| {
    let ([mode, cap, most], rest) = controls(input);
    let (harm, rest) = controls(rest);
    let (cap, most) = (16 * usize::from(cap), usize::from(most));
    let mut bytes = rest.to_vec();
    if mode % 2 == 1 {
        let text = String::from_utf8_lossy(rest);
        let texts: Vec<&str> = text.split('\0').collect();
        bytes = texts.iter().map(|text| page(text)).collect::<String>().into_bytes();
        let found = read(&bytes, bytes.len(), most);
        assert_eq!(found.len(), texts.len());
        for (found, text) in found.iter().zip(texts) {
            let Found::Page(page) = found else { panic!("{found:?}") };
            // XML knows one kind of line end (section 2.11).
            assert_eq!(page.text, text.replace("\r\n", "\n").replace('\r', "\n"));
            is_disambiguation(&page.text);
        }
    }
    damage(&mut bytes, harm);
    if mode % 4 == 2 {
        let [_, from, to] = harm;
        let long = stretched(&String::from_utf8_lossy(&bytes), [from, to], 1 << 20);
        read(long.as_bytes(), 1 << 20, 1 << 16);
    }
    assert_eq!(read(&bytes, cap, most), read(&bytes, cap, 1 << 16), "the size of the reads matters");
    Site::parse(&bytes);
});
