//! When a page was published, by what it says in its head. Knows only dates that begin with the year.

use dom_query::Document;

/// Names of `meta` elements, surest first; all in lower case.
const NAMES: [&str; 14] = [
    "article:published_time",
    "datepublished",
    "og:published_time",
    "dc.date.issued",
    "dcterms.issued",
    "dcterms.created",
    "dc.date.created",
    "dc.date",
    "parsely-pub-date",
    "sailthru.date",
    "pubdate",
    "publishdate",
    "publication_date",
    "date",
];

/// The date as `yyyy-mm-dd`.
pub(super) fn published(document: &Document) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    for meta in document.select("meta[content]").nodes() {
        let name = ["property", "name", "itemprop"].iter().find_map(|key| meta.attr(key)).unwrap_or_default();
        let rank = NAMES.iter().position(|known| name.eq_ignore_ascii_case(known));
        let date = meta.attr("content").and_then(|content| iso(&content));
        if let (Some(rank), Some(date)) = (rank, date)
            && best.as_ref().is_none_or(|(known, _)| rank < *known)
        {
            best = Some((rank, date));
        }
    }
    let time = || {
        let times = document.select("time[datetime]");
        times.nodes().iter().find_map(|time| iso(&time.attr("datetime")?))
    };
    best.map(|(_, date)| date).or_else(time)
}

/// The date that a text begins with, if it is one.
pub(super) fn iso(text: &str) -> Option<String> {
    let text = text.trim().as_bytes();
    let digits = |from: usize, to: usize| -> Option<u16> {
        let digits = text.get(from..to)?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')))
    };
    let parted = text.get(4).is_some_and(|byte| matches!(byte, b'-' | b'/' | b'.'));
    let (month, day) = if parted { (5, 8) } else { (4, 6) };
    if parted && text.get(7) != text.get(4) || text.get(day + 2).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(month, month + 2)?, digits(day, day + 2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u16::from(leap),
        _ => return None,
    };
    // There was no web before 1990; a later date than any is the caller's to judge, who may have a clock.
    ((1..=days).contains(&day) && year >= 1990).then(|| format!("{year:04}-{month:02}-{day:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_found_and_checked() {
        for (text, date) in [
            ("2012-05-22T07:44:00Z", Some("2012-05-22")),
            (" 2024/02/29", Some("2024-02-29")),
            ("20080430204825", None),
            ("20080430", Some("2008-04-30")),
            ("2023-02-29", None),
            ("2012-13-01", None),
            ("2012-05-123", None),
            ("1899-05-12", None),
            ("22 May 2012", None),
            ("2012-5-2", None),
            ("", None),
        ] {
            assert_eq!(iso(text).as_deref(), date, "{text}");
        }
        let page = "<meta name=DATE content=2001-01-01><meta property='article:published_time' content='2002-02-02T0'>\
                    <time datetime='2003-03-03'>";
        assert_eq!(published(&page.into()).as_deref(), Some("2002-02-02"));
        assert_eq!(published(&"<time datetime='2003-03-03'>".into()).as_deref(), Some("2003-03-03"));
        assert_eq!(published(&"<p>2003-03-03".into()), None);
    }
}
