//! Numbers as templates write them: digits in groups, exponents, uncertainties, units, fractions. Knows nothing of
//! units beyond their place.

use super::super::inline::script;
use super::Arguments;
use super::convert::powers;

/// A number with its digits in groups of three, as the language has it. Anything else stays as it is.
pub(super) fn grouped(text: &str, language: &str) -> String {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix(['-', '−', '+']) {
        Some(digits) => (&text[..text.len() - digits.len()], digits),
        None => ("", text),
    };
    let (whole, fraction) =
        digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let is_number = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || fraction.is_some_and(|rest| !rest.bytes().all(|byte| byte.is_ascii_digit())) {
        return text.to_owned();
    }
    let (group, point) = separators(language);
    let mut shown = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            shown.push_str(group);
        }
        shown.push(digit);
    }
    if let Some(fraction) = fraction {
        shown.push_str(point);
        shown.push_str(fraction);
    }
    shown
}

/// What stands between thousands, and before the fraction.
fn separators(language: &str) -> (&'static str, &'static str) {
    match language {
        "de" | "es" | "it" | "nl" | "pt" | "da" | "id" | "tr" | "el" | "hr" | "sr" | "ro" | "ca" | "vi" => {
            (".", ",")
        }
        "fr" | "ru" | "pl" | "sv" | "fi" | "cs" | "no" | "nb" | "nn" | "uk" | "lv" | "ltg" | "lt" | "hu"
        | "bg" | "sk" | "et" | "be" | "eo" => (" ", ","),
        _ => (",", "."),
    }
}

/// `{{val|5.5|0.1|e=6|u=km}}`.
pub(super) fn value(arguments: &Arguments) -> Option<String> {
    let group = |text: &str| grouped(text, arguments.language);
    let mut shown = arguments.named("p").unwrap_or_default().to_owned();
    shown.push_str(&group(arguments.nth(1)?));
    match (arguments.nth(2), arguments.nth(3)) {
        (Some(plus), Some(minus)) => {
            shown.push_str(&format!(" +{} −{}", group(plus), group(minus.trim_start_matches(['-', '−']))));
        }
        // An uncertainty in brackets belongs to the last digits.
        (Some(digits), None) if digits.starts_with('(') => shown.push_str(digits),
        (Some(margin), None) => shown.push_str(&format!(" ± {}", group(margin))),
        _ => {}
    }
    if let Some(exponent) = arguments.named("e") {
        shown.push_str(&format!(" × 10{}", script(exponent, true)));
    }
    if let Some(unit) = arguments.any(&["u", "ul"]) {
        let unit = powers(unit);
        let is_near = unit.starts_with(['%', '°', '′', '″']);
        shown.push_str(if is_near { "" } else { " " });
        shown.push_str(&unit);
    }
    if let Some(unit) = arguments.any(&["up", "upl"]) {
        shown.push('/');
        shown.push_str(&powers(unit));
    }
    shown.push_str(arguments.any(&["s", "end", "suffix"]).unwrap_or_default());
    Some(shown)
}

/// `{{unité|5000|km|2}}`: units and their exponents in turn.
pub(super) fn unit(arguments: &Arguments) -> Option<String> {
    let mut shown = grouped(arguments.nth(1)?, arguments.language);
    if let Some(exponent) = arguments.named("e") {
        shown.push_str(&format!(" × 10{}", script(exponent, true)));
    }
    let mut is_first = true;
    for place in 2..=arguments.positional.len() {
        let Some(part) = arguments.nth(place) else { continue };
        let digits = part.trim_start_matches(['-', '−']);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && !is_first {
            shown.push_str(&script(part, true));
        } else {
            shown.push_str(if is_first { " " } else { "·" });
            shown.push_str(part);
            is_first = false;
        }
    }
    Some(shown)
}

/// `{{frac|2}}`, `{{frac|1|2}}`, `{{frac|3|1|2}}`.
pub(super) fn fraction(arguments: &Arguments) -> Option<String> {
    Some(match (arguments.nth(1)?, arguments.nth(2), arguments.nth(3)) {
        (bottom, None, _) => format!("1/{bottom}"),
        (top, Some(bottom), None) => format!("{top}/{bottom}"),
        (whole, Some(top), Some(bottom)) => format!("{whole} {top}/{bottom}"),
    })
}
