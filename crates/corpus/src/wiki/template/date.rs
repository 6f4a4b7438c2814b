//! Dates and ages as templates write them. Knows no present day: an age that needs one is dropped.

use super::Arguments;

/// The months in the languages whose wikis give them as numbers.
const MONTHS: [(&str, &str); 5] = [
    ("en", "January February March April May June July August September October November December"),
    ("de", "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"),
    ("fr", "janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
    ("es", "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"),
    ("it", "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre"),
];

type Day = (i64, Option<i64>, Option<i64>);

fn whole(text: Option<&str>) -> Option<i64> {
    text?.parse().ok().filter(|number: &i64| (0..=9999).contains(number))
}

/// Year, month and day from three places on.
fn numbers(arguments: &Arguments, place: usize) -> Option<Day> {
    let [a, b, c] = [0, 1, 2].map(|at| arguments.nth(place + at));
    let (first, second, third) = (whole(a)?, whole(b), whole(c));
    if b.is_some() && second.is_none()
        || c.is_some() && third.is_none() && !c.is_some_and(|c| c.contains('='))
    {
        return None;
    }
    // The year comes first in English templates and last in most others.
    Some(match third {
        Some(third) if third > 31 && first <= 31 => (third, second, Some(first)),
        _ => (first, second, third),
    })
}

fn month_name(month: i64, language: &str) -> Option<&'static str> {
    let language = if matches!(language, "" | "simple") { "en" } else { language };
    let (_, names) = MONTHS.iter().find(|(code, _)| *code == language)?;
    names.split(' ').nth(usize::try_from(month).ok()?.checked_sub(1)?)
}

fn shown((year, month, day): Day, arguments: &Arguments) -> String {
    let language = arguments.language;
    let day_first = arguments.named("df").is_some_and(|df| df.starts_with(['y', 't', '1']));
    let name = month.and_then(|month| month_name(month, language));
    match (month, name, day) {
        (None, ..) => year.to_string(),
        (Some(_), Some(name), None) => format!("{name} {year}"),
        (Some(_), Some(name), Some(day)) => match language {
            "de" => format!("{day}. {name} {year}"),
            "es" => format!("{day} de {name} de {year}"),
            "en" | "simple" | "" if !day_first => format!("{name} {day}, {year}"),
            _ => format!("{day} {name} {year}"),
        },
        (Some(month), None, None) => format!("{year:04}-{month:02}"),
        (Some(month), None, Some(day)) => format!("{year:04}-{month:02}-{day:02}"),
    }
}

/// `{{start date|1999|12|31}}`, `{{date|31|décembre|1999}}`, `{{date|31 December 1999}}`.
pub(super) fn date(arguments: &Arguments) -> Option<String> {
    numbers(arguments, 1).map(|day| shown(day, arguments)).or_else(|| written(arguments))
}

/// As the author wrote it: up to three parts, and what follows is a subject.
pub(super) fn written(arguments: &Arguments) -> Option<String> {
    let parts: Vec<&str> = (1..=3).filter_map(|place| arguments.nth(place)).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// `{{death date and age|1999|12|31|1900|1|1}}`.
pub(super) fn death_date(arguments: &Arguments) -> Option<String> {
    let Some(death) = numbers(arguments, 1) else { return written(arguments) };
    let birth = numbers(arguments, 4);
    let text = shown(death, arguments);
    Some(match birth.and_then(|birth| years(birth, death)) {
        Some(age) => format!("{text} (aged {age})"),
        None => text,
    })
}

fn years(from: Day, to: Day) -> Option<i64> {
    let (from_day, to_day) = ((from.1?, from.2?), (to.1?, to.2?));
    Some(to.0 - from.0 - i64::from(to_day < from_day)).filter(|age| *age >= 0)
}

/// `{{age|1900|1|1|1999|12|31}}`.
pub(super) fn age(arguments: &Arguments) -> Option<String> {
    years(numbers(arguments, 1)?, numbers(arguments, 4)?).map(|age| age.to_string())
}

/// `{{OldStyleDate|24 April|1743|13 April}}`.
pub(super) fn old_style(arguments: &Arguments) -> Option<String> {
    let (new, year) = (arguments.nth(1)?, arguments.nth(2).unwrap_or_default());
    let old = arguments.nth(3).map(|old| format!(" [O.S. {old}]")).unwrap_or_default();
    Some(format!("{new}{old} {year}").trim_end().to_owned())
}

/// `{{as of|2010|6|1|lc=y}}`.
pub(super) fn as_of(arguments: &Arguments) -> Option<String> {
    if let Some(text) = arguments.any(&["alt", "post"]) {
        return Some(text.to_owned());
    }
    let is = |key: &str| arguments.named(key).is_some_and(|value| value.starts_with(['y', 't', '1', 'o']));
    let date = date(arguments)?;
    let word = match (is("since"), is("lc")) {
        (false, false) => "As of",
        (false, true) => "as of",
        (true, false) => "Since",
        (true, true) => "since",
    };
    Some(if is("bare") { date } else { format!("{word} {date}") })
}

/// `{{circa|1500|1600}}`.
pub(super) fn circa(word: &str, arguments: &Arguments) -> Option<String> {
    let first = arguments.nth(1);
    Some(match (first, arguments.nth(2)) {
        (Some(first), Some(second)) => format!("{word}{first}–{second}"),
        (Some(first), None) => format!("{word}{first}"),
        // The year stands behind the template.
        (None, _) => word.to_owned(),
    })
}
