//! Sentence templates: `[one|another]` draws, `{key}` asks, `{a key}` asks and puts the article before it.
//! Knows English only as far as articles, plurals and capital letters go; keys are somebody else's.

use crate::prng::Prng;

/// Fills a template in, and begins it with a capital letter.
pub fn render(template: &str, prng: &mut Prng, ask: &mut dyn FnMut(&str, &mut Prng) -> String) -> String {
    let drawn = draw(template, prng);
    let mut text = String::with_capacity(drawn.len() * 2);
    let mut rest = drawn.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        text += before;
        let (key, after) = after.split_once('}').unwrap_or((after, ""));
        rest = after;
        match key.strip_prefix("a ") {
            Some(key) => text += &with_article(&ask(key, prng)),
            None if key.contains(char::is_uppercase) => text += &capitalised(&ask(&key.to_lowercase(), prng)),
            None => text += &ask(key, prng),
        }
    }
    text += rest;
    capitalised(&text)
}

/// Makes the choices, from the outside in.
fn draw(template: &str, prng: &mut Prng) -> String {
    let Some(open) = template.find('[') else { return template.to_owned() };
    let mut choices = vec![open + 1];
    let (mut depth, mut close) = (0, template.len());
    for (at, c) in template.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            '|' if depth == 1 => choices.push(at + 1),
            _ => {}
        }
        if depth == 0 {
            close = at;
            break;
        }
    }
    choices.push(close + 1);
    let chosen = prng.below(choices.len() - 1);
    let choice = draw(&template[choices[chosen]..choices[chosen + 1] - 1], prng);
    let rest = draw(template.get(close + 1..).unwrap_or_default(), prng);
    format!("{}{choice}{rest}", &template[..open])
}

/// The text with its first letter, which may stand behind a quotation mark, as a capital.
pub fn capitalised(text: &str) -> String {
    match text.find(char::is_alphabetic) {
        Some(at) => format!("{}{}{}", &text[..at], text[at..at + 1].to_uppercase(), &text[at + 1..]),
        None => text.to_owned(),
    }
}

/// The text behind `a` or `an`, by how its first word sounds.
pub fn with_article(text: &str) -> String {
    format!("{} {text}", article(text))
}

/// `a` or `an`.
pub fn article(text: &str) -> &'static str {
    let word = text.split(' ').next().unwrap_or_default().to_lowercase();
    let silent_h = ["hour", "honest", "heir"].iter().any(|start| word.starts_with(start));
    let like_you = ["uni", "use", "one", "eu", "ewe"].iter().any(|start| word.starts_with(start));
    if (word.starts_with(['a', 'e', 'i', 'o', 'u']) && !like_you) || silent_h { "an" } else { "a" }
}

/// The plural of a noun; what no rule gives is listed.
pub fn plural(noun: &str) -> String {
    const IRREGULAR: [(&str, &str); 17] = [
        ("goose", "geese"),
        ("mouse", "mice"),
        ("fish", "fish"),
        ("sheep", "sheep"),
        ("deer", "deer"),
        ("trout", "trout"),
        ("salmon", "salmon"),
        ("ox", "oxen"),
        ("loaf", "loaves"),
        ("leaf", "leaves"),
        ("knife", "knives"),
        ("shelf", "shelves"),
        ("scarf", "scarves"),
        ("wolf", "wolves"),
        ("calf", "calves"),
        ("foot", "feet"),
        ("child", "children"),
    ];
    if let Some((before, last)) = noun.rsplit_once(' ') {
        return format!("{before} {}", plural(last));
    }
    if let Some((_, many)) = IRREGULAR.iter().find(|(one, _)| *one == noun) {
        return (*many).to_owned();
    }
    if let Some(stem) = noun.strip_suffix("man") {
        return format!("{stem}men");
    }
    with_s(noun)
}

/// The ending that plurals and the third person share.
pub fn with_s(word: &str) -> String {
    if let Some(stem) = word.strip_suffix('y')
        && !stem.ends_with(['a', 'e', 'o', 'u'])
    {
        return format!("{stem}ies");
    }
    let hisses = ["s", "x", "z", "ch", "sh"].iter().any(|end| word.ends_with(end));
    format!("{word}{}", if hisses || ["go", "do", "potato", "tomato"].contains(&word) { "es" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(template: &str, prng: &mut Prng) -> String {
        render(template, prng, &mut |key, _| format!("{key}!"))
    }

    #[test]
    fn choices_nest_and_all_come_up() {
        let mut prng = Prng::new(1, 1);
        let mut seen: Vec<String> = (0..100).map(|_| shown("x [a|b [c|d]|] y", &mut prng)).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["X  y", "X a y", "X b c y", "X b d y"]);
    }

    #[test]
    fn keys_are_asked_with_article_and_capital() {
        let mut prng = Prng::new(1, 1);
        assert_eq!(
            shown("\"{owl}\" and {a owl} or {a hen}. {Owl} {b.Owl}", &mut prng),
            "\"Owl!\" and an owl! or a hen!. Owl! B.owl!"
        );
    }

    #[test]
    fn articles_follow_the_sound() {
        for word in ["owl", "hour", "apple", "old hen"] {
            assert_eq!(article(word), "an", "{word}");
        }
        for word in ["hen", "useful", "one", "unicorn", "ewe"] {
            assert_eq!(article(word), "a", "{word}");
        }
    }

    #[test]
    fn plurals_and_third_persons() {
        let words = ["fox", "berry", "boy", "wolf", "fisherman", "church", "bread knife"];
        assert_eq!(
            words.map(plural),
            ["foxes", "berries", "boys", "wolves", "fishermen", "churches", "bread knives"]
        );
        assert_eq!(["carry", "go", "wash", "play"].map(with_s), ["carries", "goes", "washes", "plays"]);
    }
}
