//! Formulas that can stand in a sentence: letters, Greek ones, digits and signs in one line, as TeX writes them.
//! Others have a shape that text cannot show. Knows nothing of where a formula stands.

use super::script;

/// Longer ones stand on lines of their own.
const LONGEST: usize = 80;

/// What commands show.
const COMMANDS: &[(&str, &str)] = &[
    ("alpha", "α"),
    ("approx", "≈"),
    ("beta", "β"),
    ("cap", "∩"),
    ("cdot", "·"),
    ("chi", "χ"),
    ("circ", "°"),
    ("cos", "cos"),
    ("cup", "∪"),
    ("delta", "δ"),
    ("Delta", "Δ"),
    ("div", "÷"),
    ("dots", "…"),
    ("ell", "ℓ"),
    ("epsilon", "ε"),
    ("equiv", "≡"),
    ("eta", "η"),
    ("exp", "exp"),
    ("gamma", "γ"),
    ("Gamma", "Γ"),
    ("ge", "≥"),
    ("geq", "≥"),
    ("hbar", "ħ"),
    ("in", "∈"),
    ("infty", "∞"),
    ("iota", "ι"),
    ("kappa", "κ"),
    ("lambda", "λ"),
    ("Lambda", "Λ"),
    ("ldots", "…"),
    ("le", "≤"),
    ("leq", "≤"),
    ("ln", "ln"),
    ("log", "log"),
    ("mu", "μ"),
    ("nabla", "∇"),
    ("ne", "≠"),
    ("neq", "≠"),
    ("nu", "ν"),
    ("omega", "ω"),
    ("Omega", "Ω"),
    ("partial", "∂"),
    ("phi", "φ"),
    ("Phi", "Φ"),
    ("pi", "π"),
    ("Pi", "Π"),
    ("pm", "±"),
    ("psi", "ψ"),
    ("Psi", "Ψ"),
    ("quad", " "),
    ("rho", "ρ"),
    ("rightarrow", "→"),
    ("sigma", "σ"),
    ("Sigma", "Σ"),
    ("sim", "∼"),
    ("sin", "sin"),
    ("subset", "⊂"),
    ("subseteq", "⊆"),
    ("tan", "tan"),
    ("tau", "τ"),
    ("theta", "θ"),
    ("Theta", "Θ"),
    ("times", "×"),
    ("to", "→"),
    ("varepsilon", "ε"),
    ("varphi", "φ"),
    ("xi", "ξ"),
    ("zeta", "ζ"),
];

/// A formula as text, if it can be.
pub(super) fn formula(content: &[u8]) -> Option<String> {
    let content = std::str::from_utf8(content).ok().filter(|content| content.len() <= LONGEST)?;
    let mut text = String::with_capacity(content.len());
    let mut rest = content.trim();
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '\\' => rest = command(rest, &mut text)?,
            '^' | '_' => {
                let (argument, after) = argument(rest)?;
                text.push_str(&raised(argument, first == '^')?);
                rest = after;
            }
            ' ' if text.ends_with(' ') => {}
            _ if first.is_ascii_alphanumeric() || " +-=()/,.'!*:".contains(first) => text.push(first),
            _ => return None,
        }
    }
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Appends what the command at the beginning shows, and returns what comes behind it.
fn command<'a>(rest: &'a str, text: &mut String) -> Option<&'a str> {
    if let Some(rest) = rest.strip_prefix([',', ';', ':', '!', ' ']) {
        text.push_str(if text.ends_with(' ') { "" } else { " " });
        return Some(rest);
    }
    let letters = rest.len() - rest.trim_start_matches(|char: char| char.is_ascii_alphabetic()).len();
    let (name, after) = rest.split_at(letters);
    let (_, shown) = COMMANDS.iter().find(|(command, _)| *command == name)?;
    text.push_str(shown);
    // A space only ends the command's name; between words it is one.
    let is_sign = !shown.starts_with(|char: char| char.is_ascii_alphabetic());
    let is_letter = shown.chars().all(char::is_alphabetic);
    Some(if is_sign && is_letter && after.starts_with(|char: char| char.is_whitespace()) {
        after
            .strip_prefix(' ')
            .filter(|after| after.starts_with(|char: char| char.is_alphanumeric()))
            .unwrap_or(after)
    } else {
        after
    })
}

/// The character or the group at the beginning, and what comes behind it.
fn argument(rest: &str) -> Option<(&str, &str)> {
    match rest.strip_prefix('{') {
        Some(group) => group.split_once('}'),
        None if rest.starts_with('\\') => {
            let name = rest[1..].trim_start_matches(|char: char| char.is_ascii_alphabetic());
            Some(rest.split_at(rest.len() - name.len()))
        }
        None => rest.chars().next().map(|char| rest.split_at(char.len_utf8())),
    }
}

/// Digits have raised and lowered characters of their own, and a degree is one. Letters are lowered as they stand:
/// "xi" for the i-th x is read as a word, so there is no text for them.
fn raised(argument: &str, is_raised: bool) -> Option<String> {
    let argument = argument.trim();
    if argument == "\\circ" && is_raised {
        return Some("°".to_owned());
    }
    let has_script = |char: char| char.is_ascii_digit() || matches!(char, '+' | '-' | 'n');
    (!argument.is_empty() && argument.chars().all(has_script)).then(|| script(argument, is_raised))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_of_one_line_are_text() {
        for (tex, shown) in [
            ("x", Some("x")),
            (" a + b = c ", Some("a + b = c")),
            ("\\alpha", Some("α")),
            ("E = mc^2", Some("E = mc²")),
            ("x^{10} + y_1", Some("x¹⁰ + y₁")),
            ("2 \\pi r", Some("2 πr")),
            ("\\alpha \\leq \\beta", Some("α ≤ β")),
            ("90^\\circ", Some("90°")),
            ("x \\times 10^{-6}\\, m", Some("x × 10⁻⁶ m")),
            ("\\frac{1}{2}", None),
            ("x_i", None),
            ("\\sqrt x", None),
            ("\\", None),
            ("x^", None),
            ("x^{2", None),
            ("", None),
            ("ä", None),
        ] {
            assert_eq!(formula(tex.as_bytes()).as_deref(), shown, "{tex}");
        }
    }
}
