//! `{{convert|5|km|mi}}`: the measure as the author gave it. What it converts to is left out: it says the same again,
//! and computing it would need the template's tables. Knows how units are written.

use super::Arguments;
use super::number::grouped;

/// Units whose sign differs from the code that the template uses.
const UNITS: &[(&str, &str)] = &[
    ("sqmi", "sq mi"),
    ("mi2", "sq mi"),
    ("sqft", "sq ft"),
    ("ft2", "sq ft"),
    ("sqin", "sq in"),
    ("in2", "sq in"),
    ("sqyd", "sq yd"),
    ("yd2", "sq yd"),
    ("sqkm", "km²"),
    ("cuft", "cu ft"),
    ("cuin", "cu in"),
    ("cuyd", "cu yd"),
    ("cumi", "cu mi"),
    ("C", "°C"),
    ("F", "°F"),
    ("degC", "°C"),
    ("degF", "°F"),
    ("celsius", "°C"),
    ("C-change", "°C"),
    ("F-change", "°F"),
    ("Tcuft", "trillion cubic feet"),
    ("Gcuft", "billion cubic feet"),
    ("kph", "km/h"),
    ("km/hr", "km/h"),
    ("kmh", "km/h"),
    ("ltr", "L"),
    ("litre", "litres"),
    ("liter", "liters"),
    ("metre", "metres"),
    ("meter", "meters"),
    ("acre", "acres"),
    ("hectare", "hectares"),
    ("mile", "miles"),
    ("foot", "feet"),
    ("inch", "inches"),
    ("yard", "yards"),
    ("pound", "pounds"),
    ("tonne", "tonnes"),
    ("ton", "tons"),
    ("st", "stone"),
    ("LT", "long tons"),
    ("ST", "short tons"),
    ("MT", "metric tons"),
    ("t", "tonnes"),
    ("bbl", "barrels"),
    ("usgal", "US gal"),
    ("USgal", "US gal"),
    ("impgal", "imp gal"),
    ("usoz", "US fl oz"),
    ("USoz", "US fl oz"),
    ("floz", "fl oz"),
    ("lb-ft", "lb⋅ft"),
    ("lbft", "lb⋅ft"),
    ("ftlb", "ft⋅lb"),
    ("Nm", "N⋅m"),
    ("kn", "knots"),
    ("knot", "knots"),
    ("nmi", "nautical miles"),
    ("mpgus", "mpg"),
    ("mpgimp", "mpg"),
    ("ly", "light-years"),
    ("pc", "parsecs"),
    ("au", "AU"),
    ("um", "μm"),
    ("ug", "μg"),
    ("ohm", "Ω"),
    ("angstrom", "Å"),
    ("deg", "°"),
    ("furlong", "furlongs"),
    ("fathom", "fathoms"),
    ("chain", "chains"),
    ("rod", "rods"),
    ("hand", "hands"),
    ("g0", "g"),
    ("ozt", "troy oz"),
    ("long ton", "long tons"),
    ("short ton", "short tons"),
];

/// How a unit is written.
fn unit_text(code: &str) -> String {
    let code = code.trim();
    let sign = |code: &str| {
        let known = UNITS.iter().find(|(known, _)| *known == code);
        known.map_or_else(|| powers(code), |(_, sign)| (*sign).to_owned())
    };
    // e6acre: millions of them.
    for (prefix, word) in [("e3", "thousand"), ("e6", "million"), ("e9", "billion"), ("e12", "trillion")] {
        if let Some(unit) = code.strip_prefix(prefix).filter(|unit| unit.starts_with(char::is_alphabetic)) {
            return format!("{word} {}", sign(unit.trim()));
        }
    }
    sign(code)
}

/// km2, m3, kg/m3, m/s2 with raised digits.
pub(super) fn powers(code: &str) -> String {
    let mut text = String::with_capacity(code.len());
    let mut last = ' ';
    for char in code.trim().chars() {
        let raised = match char {
            '2' if last.is_alphabetic() => '²',
            '3' if last.is_alphabetic() => '³',
            '*' => '⋅',
            other => other,
        };
        text.push(raised);
        last = char;
    }
    text
}

/// What stands between the two ends of a range, for the template and for the reader.
fn range(word: &str) -> Option<&'static str> {
    Some(match word {
        "-" | "–" | "to-" | "to(-)" => "–",
        "to" | "to about" => " to ",
        "and" | "and(-)" | "&" => " and ",
        "or" => " or ",
        "x" | "by" | "×" | "xx" | "x(x)" => " × ",
        "*" => "×",
        "+/-" | "±" | "+/−" => " ± ",
        "+" => " + ",
        "/" => "/",
        "," => ", ",
        ", and" => ", and ",
        "to-or" => " or ",
        _ => return None,
    })
}

fn is_number(text: &str) -> bool {
    let text = text.trim_start_matches(['-', '−', '+', '~']);
    text.starts_with(|char: char| char.is_ascii_digit() || char == '.')
        && text
            .chars()
            .all(|char| char.is_ascii_digit() || matches!(char, '.' | ',' | '/' | '+' | 'e' | ' ' | '⁄'))
}

/// `{{convert|5|km|mi}}`, `{{convert|5|to|10|km}}`, `{{convert|6|ft|2|in|m}}`.
pub(super) fn convert(arguments: &Arguments) -> Option<String> {
    let places = arguments.positional.len();
    let mut shown = grouped(arguments.nth(1).filter(|text| is_number(text))?, arguments.language);
    let mut place = 2;
    while let Some(joint) = arguments.nth(place).and_then(range) {
        let Some(next) = arguments.nth(place + 1).filter(|text| is_number(text)) else { break };
        shown.push_str(joint);
        shown.push_str(&grouped(next, arguments.language));
        place += 2;
    }
    let Some(unit) = arguments.nth(place) else { return Some(shown) };
    shown.push_str(&with_space(unit));
    // Feet and inches, stones and pounds: a number and a smaller unit follow the larger one.
    while place + 2 <= places {
        let Some(next) = arguments.nth(place + 1).filter(|text| is_number(text)) else { break };
        // Without another unit behind it, the number is that of the digits to round to.
        let Some(unit) = arguments.nth(place + 2).filter(|unit| is_smaller(arguments.nth(place), unit))
        else {
            break;
        };
        shown.push(' ');
        shown.push_str(next);
        shown.push_str(&with_space(unit));
        place += 2;
    }
    Some(shown)
}

fn with_space(unit: &str) -> String {
    let unit = unit_text(unit);
    if unit == "°" { unit } else { format!(" {unit}") }
}

fn is_smaller(larger: Option<&str>, smaller: &str) -> bool {
    matches!(
        (larger.unwrap_or_default(), smaller),
        ("ft", "in")
            | ("mi", "ft" | "yd" | "chain" | "furlong")
            | ("yd", "ft")
            | ("st" | "stone", "lb")
            | ("lb", "oz")
            | ("foot" | "feet", "inch" | "in")
            | ("h", "min")
            | ("LT" | "long ton", "cwt")
            | ("°", "′")
    )
}
