//! The text of a kept template, by its rule. Knows nothing of names beyond the few that carry an argument.

use super::super::inline::script;
use super::super::names::LANGUAGE_NAMES;
use super::rules::Rule;
use super::{Arguments, convert, date, number};

/// The text, or `None` if the arguments that it needs are missing.
pub(super) fn apply(rule: Rule, name: &str, arguments: &Arguments) -> Option<String> {
    let first = arguments.nth(1);
    match rule {
        Rule::Nth(place) => nth(arguments, place),
        Rule::Last => arguments.last().map(str::to_owned),
        Rule::Joined => joined(arguments, ""),
        Rule::Spaced => joined(arguments, " "),
        Rule::Fixed(text) => Some(text.to_owned()),
        Rule::Before(text) => Some(format!("{text}{}", first.unwrap_or_default())),
        Rule::After(text) => Some(format!("{}{text}", first.unwrap_or_default())),
        Rule::Around(before, after) => nth(arguments, 1).map(|text| format!("{before}{text}{after}")),
        Rule::Money(sign) => Some(money(sign, arguments)),
        Rule::Quotation => quotation(arguments),
        Rule::Citation => citation(arguments),
        Rule::Convert => convert::convert(arguments),
        Rule::Number => first.map(|text| number::grouped(text, arguments.language)),
        Rule::Value => number::value(arguments),
        Rule::Unit => number::unit(arguments),
        Rule::Fraction => number::fraction(arguments),
        Rule::Exponent => Some(first.map_or("e".to_owned(), |text| format!("×10{}", script(text, true)))),
        Rule::Chemical => joined(arguments, "").map(|text| chemical(&text)),
        Rule::Date => date::date(arguments),
        Rule::DeathDate => date::death_date(arguments),
        Rule::WrittenDate => date::written(arguments),
        Rule::OldStyleDate => date::old_style(arguments),
        Rule::AsOf => date::as_of(arguments),
        Rule::Age => date::age(arguments),
        Rule::Circa(word) => date::circa(word, arguments),
        Rule::Language => language(name, arguments),
        Rule::Etymology(place) => etymology(place, arguments),
        Rule::LanguageName => first.and_then(language_name).map(str::to_owned),
        Rule::Affix { prefix, suffix } => affix(prefix, suffix, arguments),
        Rule::Interlanguage => interlanguage(name, arguments),
        Rule::Url => arguments.nth(2).or(first).map(str::to_owned),
        Rule::Nihongo => nihongo(arguments),
        Rule::Chinese => chinese(arguments),
        Rule::Ship => ship(name, arguments),
        Rule::ShipClass => ship_class(arguments),
        Rule::Script(is_raised) => first.map(|text| script(text, is_raised)),
        Rule::Century => Some(century(name, arguments)),
        Rule::Hour => hour(arguments),
        Rule::Music => music(first.unwrap_or(name)),
    }
}

/// Functions of the parser, which look like templates: `{{formatnum:12345}}`.
pub(super) fn function(name: &str, value: &str, language: &str) -> Option<String> {
    match name {
        "formatnum" => Some(number::grouped(value, language)),
        "lc" => Some(value.to_lowercase()),
        "uc" => Some(value.to_uppercase()),
        "ucfirst" | "lcfirst" => {
            let mut chars = value.chars();
            let first = chars.next()?;
            let first: String = if name == "ucfirst" {
                first.to_uppercase().collect()
            } else {
                first.to_lowercase().collect()
            };
            Some(first + chars.as_str())
        }
        _ => None,
    }
}

fn nth(arguments: &Arguments, place: usize) -> Option<String> {
    let text = arguments.any(&["text", "content", "texte", "lt"]);
    let text = text.or_else(|| arguments.nth(place)).or_else(|| arguments.nth(place + 1));
    // `{{m|word|lang=en}}`: what comes first elsewhere has a name here.
    let before = || arguments.named("lang").and_then(|_| arguments.nth(place.max(2) - 1));
    text.or_else(before).map(str::to_owned)
}

fn joined(arguments: &Arguments, between: &str) -> Option<String> {
    let parts: Vec<&str> =
        (1..=arguments.positional.len().max(4)).filter_map(|at| arguments.nth(at)).collect();
    (!parts.is_empty()).then(|| parts.join(between))
}

fn money(sign: &str, arguments: &Arguments) -> String {
    let amount = arguments.nth(1).unwrap_or_default();
    let scale = arguments.nth(2).map(|scale| match scale {
        "k" | "t" => " thousand",
        "m" => " million",
        "b" => " billion",
        "l" => " lakh",
        "c" => " crore",
        _ => "",
    });
    format!("{sign}{}{}", number::grouped(amount, arguments.language), scale.unwrap_or_default())
}

fn quotation(arguments: &Arguments) -> Option<String> {
    let text = arguments.any(&["text", "quote", "content", "zitat", "texte", "цитата"]);
    let text = text.or_else(|| arguments.nth(1))?;
    Some(format!("\n\n{text}\n\n"))
}

fn citation(arguments: &Arguments) -> Option<String> {
    let text = arguments.nth(1)?;
    Some(if arguments.language == "fr" { format!("« {text} »") } else { format!("“{text}”") })
}

/// `{{lang-de|Wort}}` shows `German: Wort` in English wikis, and the word with an abbreviation in most others.
fn language(name: &str, arguments: &Arguments) -> Option<String> {
    let (code, text) = match name.strip_prefix("lang-") {
        Some(code) => (code, arguments.nth(1)),
        None => (arguments.nth(1).unwrap_or_default(), arguments.nth(2)),
    };
    let text = arguments.named("text").or(text)?;
    let name = language_name(code).or_else(|| language_name(code.split('-').next()?));
    let is_shown =
        matches!(arguments.language, "en" | "simple" | "") && arguments.named("label") != Some("none");
    Some(match name {
        Some(name) if is_shown => format!("{name}: {text}"),
        _ => text.to_owned(),
    })
}

fn language_name(code: &str) -> Option<&'static str> {
    LANGUAGE_NAMES.get(code).copied()
}

/// `{{inh|en|enm|worde|alt|gloss}}` shows `Middle English worde`; a `-` for the word shows the language alone.
fn etymology(place: usize, arguments: &Arguments) -> Option<String> {
    let name = arguments.nth(place).and_then(language_name).unwrap_or_default();
    let word = arguments.nth(place + 2).or_else(|| arguments.nth(place + 1)).filter(|word| *word != "-");
    let shown = format!("{name} {}", word.unwrap_or_default());
    Some(shown.trim().to_owned()).filter(|shown| !shown.is_empty())
}

/// `{{suffix|en|accept|ance}}`, and as it once was, `{{suffix|accept|ance|lang=en}}`, shows `accept + -ance`.
fn affix(prefix: bool, suffix: bool, arguments: &Arguments) -> Option<String> {
    let parts = arguments.positional.iter().skip(usize::from(arguments.named("lang").is_none()));
    let parts: Vec<&str> = parts.copied().filter(|part| !part.is_empty()).collect();
    let last = parts.len().checked_sub(1)?;
    let shown = parts.iter().enumerate().map(|(at, part)| {
        let before = suffix && at > 0 && (!prefix || at == last) && !part.starts_with('-');
        let after = prefix && at < last && (!suffix || at == 0) && !part.ends_with('-');
        format!("{}{part}{}", if before { "-" } else { "" }, if after { "-" } else { "" })
    });
    Some(shown.collect::<Vec<_>>().join(" + "))
}

fn interlanguage(name: &str, arguments: &Arguments) -> Option<String> {
    let label =
        arguments.any(&["lt", "texte", "display", "label", "trad", "fr", "текст", "есть", "dt", "надо"]);
    // The title in its own language comes second in the Russian templates, and is not shown.
    let written = if matches!(name, "tsl" | "translink") { arguments.nth(4) } else { None };
    label.or(written).or_else(|| arguments.nth(1)).map(str::to_owned)
}

/// `{{nihongo|word|kanji|sound|more}}`.
fn nihongo(arguments: &Arguments) -> Option<String> {
    let inner: Vec<&str> = (2..=4).filter_map(|at| arguments.nth(at)).collect();
    match (arguments.nth(1), inner.is_empty()) {
        (Some(word), true) => Some(word.to_owned()),
        (Some(word), false) => Some(format!("{word} ({})", inner.join(", "))),
        (None, false) => Some(inner.join(", ")),
        (None, true) => None,
    }
}

fn chinese(arguments: &Arguments) -> Option<String> {
    const PARTS: [(&str, &str); 8] = [
        ("t", "traditional Chinese"),
        ("s", "simplified Chinese"),
        ("c", "Chinese"),
        ("p", "pinyin"),
        ("w", "Wade–Giles"),
        ("j", "Jyutping"),
        ("l", "lit."),
        ("first", ""),
    ];
    let shown = PARTS.iter().filter(|(_, name)| !name.is_empty());
    let parts: Vec<String> =
        shown.filter_map(|(key, name)| Some(format!("{name}: {}", arguments.named(key)?))).collect();
    if parts.is_empty() { arguments.nth(1).map(str::to_owned) } else { Some(parts.join("; ")) }
}

/// `{{USS|Enterprise|CV-6}}` and `{{ship|USS|Enterprise|CV-6}}`.
fn ship(name: &str, arguments: &Arguments) -> Option<String> {
    let (prefix, at) = match name {
        "ship" | "barco" | "navire" => (arguments.nth(1).unwrap_or_default().to_owned(), 2),
        "navio" | "schiff" => (String::new(), 1),
        _ => (name.to_uppercase(), 1),
    };
    let (ship, hull) = (arguments.nth(at)?, arguments.nth(at + 1));
    // The argument after the number says what to show: 2 leaves the number out, as does 6 with the prefix.
    let hull = hull.filter(|_| !matches!(arguments.nth(at + 2), Some("2" | "6")));
    let shown = format!("{prefix} {ship}").trim().to_owned();
    Some(hull.map_or(shown.clone(), |hull| format!("{shown} ({hull})")))
}

fn ship_class(arguments: &Arguments) -> Option<String> {
    let class = arguments.nth(1)?;
    Some(arguments.nth(2).map_or(format!("{class} class"), |kind| format!("{class}-class {kind}")))
}

/// `{{s|XIX}}`, `{{-s|II|e}}` (before Christ), `{{XIXe siècle}}`, `{{84e}}`.
fn century(name: &str, arguments: &Arguments) -> String {
    if let Some(number) = name.strip_suffix("e siècle") {
        return format!("{}e siècle", number.to_uppercase());
    }
    let Some(number) = arguments.nth(1) else {
        return if name == "s-" { " – ".to_owned() } else { name.to_owned() };
    };
    let ending = arguments.nth(2).unwrap_or(if number == "I" { "er" } else { "e" });
    let before = if name.starts_with('-') { " av. J.-C." } else { "" };
    format!("{}{ending} siècle{before}", number.to_uppercase())
}

fn hour(arguments: &Arguments) -> Option<String> {
    let (hours, minutes) = (arguments.nth(1)?, arguments.nth(2).unwrap_or_default());
    Some(format!("{hours} h {minutes}").trim_end().to_owned())
}

fn music(what: &str) -> Option<String> {
    let sign = match what {
        "sharp" | "#" | "♯" => "♯",
        "flat" | "b" | "♭" => "♭",
        "natural" | "♮" => "♮",
        "doublesharp" | "##" => "𝄪",
        "doubleflat" | "bb" => "𝄫",
        _ => return None,
    };
    Some(sign.to_owned())
}

/// Digits after an element or a bracket are lowered.
fn chemical(formula: &str) -> String {
    let mut text = String::with_capacity(formula.len());
    let mut lowers = false;
    for char in formula.chars() {
        if char.is_ascii_digit() && lowers {
            text.push_str(&script(char.encode_utf8(&mut [0; 4]), false));
        } else {
            text.push(char);
            lowers = char.is_ascii_alphabetic() || matches!(char, ')' | ']');
        }
    }
    text
}
