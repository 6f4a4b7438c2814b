//! The report as a page that needs nothing but itself: no scripts, no fonts, no network.

use std::fmt::Write;

use super::{Report, SourceReport};
use crate::tally::Sample;

const STYLE: &str = "
body { font: 15px/1.45 system-ui, sans-serif; color: #1c2430; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem } h3 { font-size: 1rem; margin-bottom: .3rem }
table { border-collapse: collapse; width: 100% } td, th { padding: .25rem .6rem; text-align: right }
td:first-child, th:first-child { text-align: left } tr { border-bottom: 1px solid #e3e7ec } th { color: #5b6776 }
.bar { fill: #3b7dd8 } svg text { font: 11px system-ui, sans-serif; fill: #5b6776 }
.share { display: inline-block; height: .7rem; background: #3b7dd8; border-radius: 2px }
code { font-size: .85em; color: #5b6776; word-break: break-all } li { margin: .25rem 0 } .quiet { color: #5b6776 }
";

/// The page. Writing into a string does not fail.
pub(super) fn html(report: &Report) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Dataset ");
    page += &format!("{}</title>\n<style>{STYLE}</style>\n<h1>Dataset</h1>\n", short(&report.dataset));
    totals(&mut page, report);
    sources(&mut page, report);
    for source in &report.sources {
        let _ = writeln!(page, "<h2>{}</h2>", escape(&source.name));
        one_source(&mut page, source);
    }
    if !report.duplicate_samples.is_empty() {
        page += "<h2>Samples of duplicates</h2>\n";
        report.duplicate_samples.iter().for_each(|(kind, samples)| list(&mut page, kind, samples));
    }
    page + "</html>\n"
}

fn totals(page: &mut String, report: &Report) {
    let totals = report.totals;
    let rows = [
        ("documents", number(totals.documents)),
        ("bytes of text", number(totals.bytes)),
        ("tokens", number(totals.tokens)),
        ("rows", number(totals.rows)),
        ("blocks", number(totals.blocks)),
        ("vocabulary", number(u64::from(report.vocab_size))),
        ("paragraphs left out that occurred before", number(report.duplicate_paragraphs)),
        ("damaged places", number(report.damaged())),
        ("identity", format!("<code>{}</code>", report.dataset)),
        ("identity of the texts", format!("<code>{}</code>", report.docs)),
        ("identity of the tokenizer", format!("<code>{}</code>", report.tokenizer)),
    ];
    page.push_str("<table>\n");
    for (name, value) in rows {
        let _ = writeln!(page, "<tr><td>{name}<td>{value}");
    }
    page.push_str("</table>\n");
}

/// How many documents are left after each step.
fn sources(page: &mut String, report: &Report) {
    page.push_str(
        "<h2>Sources</h2>\n<table>\n<tr><th>source<th>found<th>after the rules<th>after duplicates<th>bytes of text\
         <th>share<th>weight\n",
    );
    let all = report.sources.iter().map(|source| source.bytes).sum::<u64>().max(1);
    for source in &report.sources {
        let share = 100.0 * source.bytes as f64 / all as f64;
        let _ = writeln!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{share:.1} %<td>{}",
            escape(&source.name),
            number(source.tally.found),
            number(source.tally.kept),
            number(source.documents),
            number(source.bytes),
            source.weight,
        );
    }
    page.push_str("</table>\n");
}

fn one_source(page: &mut String, source: &SourceReport) {
    let tally = &source.tally;
    let counts = |page: &mut String, title: &str, counts: Vec<(&String, &u64)>| {
        let most = counts.iter().map(|(_, count)| **count).max().unwrap_or(0).max(1);
        if counts.is_empty() {
            return;
        }
        let _ = writeln!(page, "<h3>{title}</h3>\n<table>");
        for (name, &count) in counts {
            let width = 12.0 * count as f64 / most as f64;
            let bar = format!("<span class=share style=\"width:{width:.2}rem\"></span>");
            let _ = writeln!(page, "<tr><td>{}<td>{bar} {}", escape(name), number(count));
        }
        page.push_str("</table>\n");
    };
    let sorted = |counts: &'_ std::collections::BTreeMap<String, u64>| -> Vec<(String, u64)> {
        let mut sorted: Vec<_> = counts.iter().map(|(name, &count)| (name.clone(), count)).collect();
        sorted.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), name.clone()));
        sorted
    };
    let all_dropped =
        tally.dropped.iter().chain(&source.duplicates).map(|(name, &count)| (name.clone(), count));
    let dropped = sorted(&all_dropped.collect());
    for (title, some) in [
        ("Documents left out", dropped),
        ("Languages", sorted(&tally.languages).into_iter().take(15).collect()),
        ("Markup left out of documents", sorted(&tally.markup)),
    ] {
        counts(page, title, some.iter().map(|(name, count)| (name, count)).collect());
    }
    lengths(page, &tally.lengths);
    if tally.converted > 0 {
        let count = number(tally.converted);
        let _ = writeln!(page, "<p>{count} documents were not UTF-8 and were converted.");
    }
    if tally.damaged > 0 {
        let _ = writeln!(page, "<h3>Damaged: {}</h3>\n<ul>", number(tally.damaged));
        for damage in &tally.damage {
            let _ = writeln!(page, "<li><code>{}</code> {}", escape(&damage.place), escape(&damage.reason));
        }
        page.push_str("</ul>\n");
    }
    tally.samples.iter().for_each(|(reason, samples)| list(page, reason, samples));
}

/// Documents by the power of two of their length.
fn lengths(page: &mut String, lengths: &[u64]) {
    let Some(first) = lengths.iter().position(|&count| count > 0) else { return };
    let most = lengths.iter().copied().max().unwrap_or(1).max(1);
    let (bars, width, height) = (&lengths[first..], 46, 110);
    let _ = writeln!(
        page,
        "<h3>Lengths in bytes</h3>\n<svg width=\"{}\" height=\"{}\" role=\"img\" aria-label=\"Documents by length\">",
        bars.len() * width,
        height + 32
    );
    for (index, &count) in bars.iter().enumerate() {
        let tall = (count * height as u64).div_ceil(most);
        let (x, y) = (index * width, height as u64 + 14 - tall);
        let _ =
            writeln!(page, "<rect class=bar x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{tall}\"/>", width - 6);
        let _ = writeln!(page, "<text x=\"{x}\" y=\"{}\">{}</text>", y - 3, number(count));
        let label = power(first + index);
        let _ = writeln!(page, "<text x=\"{x}\" y=\"{}\">&lt;{label}</text>", height + 28);
    }
    page.push_str("</svg>\n");
}

fn list(page: &mut String, reason: &str, samples: &[Sample]) {
    let _ = writeln!(page, "<h3>For example: {}</h3>\n<ul>", escape(reason));
    for Sample { place, text } in samples {
        let _ =
            writeln!(page, "<li><code>{}</code> <span class=quiet>{}</span>", escape(place), escape(text));
    }
    page.push_str("</ul>\n");
}

/// 2^bits in the units of computers.
fn power(bits: usize) -> String {
    let unit = ["", " K", " M", " G", " T", " P", " E"][(bits / 10).min(6)];
    format!("{}{unit}", 1u64 << (bits % 10))
}

fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

/// 1234567 as "1 234 567", with thin spaces.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{2009}');
        }
        grouped.push(digit);
    }
    grouped
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    #[test]
    fn what_stands_in_a_corpus_cannot_become_markup() {
        let mut tally = Tally::default();
        tally.drop_one("too <short>", "a&b".into(), "<script>alert(1)</script>".into());
        tally.damage_one("x<y".into(), "\"broken\"".into());
        tally.keep_one(1_500, Some("en"));
        let source = SourceReport { name: "<b>".into(), tally, ..SourceReport::default() };
        let report = Report { sources: vec![source], ..Report::default() };
        let page = html(&report);
        assert!(!page.contains("<script") && !page.contains("<b>") && page.contains("&lt;script&gt;"));
        assert!(page.contains("x&lt;y") && page.contains("&lt;2 K"), "{page}");
        assert_eq!(number(1_234_567), "1\u{2009}234\u{2009}567");
    }
}
