//! What can be wrong with a configuration, said so that it can be mended: file, line, key, remedy.

use thiserror::Error;

use crate::text::{Keys, line_of};

/// A configuration that cannot be run. The user must change it; trying again does not help.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ConfigError {
    /// The text is not TOML, or a value has the wrong type.
    #[error("{place}: {reason}")]
    Syntax {
        /// File and line, as far as known.
        place: String,
        /// What the parser says.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key `{key}`{}", suggestion(.nearest, .known))]
    UnknownKey {
        /// File and line, as far as known.
        place: String,
        /// The key as it was written.
        key: String,
        /// The nearest key that exists, if one is near.
        nearest: Option<String>,
        /// All keys that exist at this place.
        known: Vec<String>,
    },
    /// A value that no run can have.
    #[error("{place}: `{key}` {reason}")]
    Invalid {
        /// File and line, as far as known.
        place: String,
        /// The full key, with its section.
        key: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

impl ConfigError {
    /// The same error with the line of its key, for readers of a plan's tables (`[model]`, `[objective]`)
    /// that have not seen the plan's text.
    #[must_use]
    pub fn located_in(mut self, source: &str, text: &str) -> Self {
        if let ConfigError::UnknownKey { place, key, .. } | ConfigError::Invalid { place, key, .. } =
            &mut self
            && let Some((section, name)) = key.split_once('.')
        {
            *place = match locate(text, section, name) {
                Some(line) => format!("{source}:{line}"),
                None => source.to_owned(),
            };
        }
        self
    }

    /// As [`ConfigError::located_in`], for readers of the plan of a phase: if that `[[phase]]` sets the key,
    /// the error is about what it says there.
    #[must_use]
    pub fn located_in_phase(mut self, phase: usize, source: &str, text: &str) -> Self {
        let keys = Keys::of(text);
        let inside = |key: &str| format!("phase.{phase}.{key}");
        match &mut self {
            ConfigError::UnknownKey { key, nearest, .. } if keys.line(&inside(key)).is_some() => {
                *key = inside(key);
                *nearest = nearest.as_deref().map(inside);
            }
            ConfigError::Invalid { key, .. } if keys.line(&inside(key)).is_some() => *key = inside(key),
            _ => {}
        }
        self.located_in(source, text)
    }
}

fn suggestion(nearest: &Option<String>, known: &[String]) -> String {
    match nearest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => format!("; known here: {}", known.join(", ")),
    }
}

/// The candidate that a mistyped name most likely means, if any is near enough.
///
/// ```
/// assert_eq!(plan::nearest("warmup_step", ["warmup_steps", "kind"]), Some("warmup_steps".to_owned()));
/// assert_eq!(plan::nearest("banana", ["warmup_steps", "kind"]), None);
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

/// Turns what the TOML parser found into an error with a place.
pub fn from_toml(source: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let place = match error.span() {
        Some(span) => format!("{source}:{}", line_of(text, span.start)),
        None => source.to_owned(),
    };
    let message = error.message();
    match unknown_field(message) {
        Some((key, known)) => {
            let nearest = nearest(&key, known.iter().map(String::as_str));
            ConfigError::UnknownKey { place, key, nearest, known }
        }
        None => ConfigError::Syntax { place, reason: message.to_owned() },
    }
}

/// serde words its refusal "unknown field `a`, expected one of `b`, `c`": the names stand between backticks.
fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    if !message.starts_with("unknown field `") {
        return None;
    }
    let mut names = message.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((names.next()?, names.collect()))
}

/// The line of `key` in `[section]`, for messages about values that parsed well but cannot be used. A section
/// may be nested: `phase.1.train` is what the second `[[phase]]` says about `train`.
pub fn locate(text: &str, section: &str, key: &str) -> Option<usize> {
    Keys::of(text).line(&format!("{section}.{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "[objective]\nmax_len = 8\nformat = \"x\"\n[[phase]]\n[[phase]]\nobjective.max_len = 9\n";

    fn invalid(key: &str) -> ConfigError {
        ConfigError::Invalid { place: "?".into(), key: key.into(), reason: "is wrong".into() }
    }

    #[test]
    fn a_mistake_is_located_in_the_phase_that_says_it() {
        let located = |phase, key: &str| match phase {
            Some(phase) => invalid(key).located_in_phase(phase, "a.toml", TEXT).to_string(),
            None => invalid(key).located_in("a.toml", TEXT).to_string(),
        };
        assert_eq!(located(None, "objective.max_len"), "a.toml:2: `objective.max_len` is wrong");
        assert_eq!(located(Some(0), "objective.max_len"), "a.toml:2: `objective.max_len` is wrong");
        assert_eq!(located(Some(1), "objective.max_len"), "a.toml:6: `phase.1.objective.max_len` is wrong");
        assert_eq!(located(Some(1), "objective.format"), "a.toml:3: `objective.format` is wrong");
        assert_eq!(located(Some(1), "model.layers"), "a.toml: `model.layers` is wrong");
    }

    #[test]
    fn an_unknown_key_of_a_phase_keeps_its_remedy() {
        let error = ConfigError::UnknownKey {
            place: "?".into(),
            key: "objective.max_len".into(),
            nearest: Some("objective.max_length".into()),
            known: Vec::new(),
        };
        assert_eq!(
            error.located_in_phase(1, "a.toml", TEXT).to_string(),
            "a.toml:6: unknown key `phase.1.objective.max_len`; did you mean `phase.1.objective.max_length`?"
        );
    }
}
