//! From text and `--set` to a plan, and from what is wrong to where it was said. Knows no key by name but
//! `phase`.

use super::{RunPlan, check, overrides};
use crate::ConfigError;
use crate::error::from_toml;
use crate::text::Keys;

impl RunPlan {
    /// Reads and checks a configuration. `source` names the text in messages; `overrides` are `key=value`
    /// pairs with dotted keys (`train.steps=100`, `phase.0.train.steps=100`) that replace what the text says.
    ///
    /// # Errors
    /// Whatever is wrong first, with file, line and key.
    pub fn parse(source: &str, text: &str, overrides: &[String]) -> Result<Self, ConfigError> {
        let mut plan = read(source, text)?;
        if !overrides.is_empty() {
            let mut table: toml::Table =
                toml::from_str(text).map_err(|error| from_toml(source, text, &error))?;
            // What one of them leaves incomplete, a later one may complete.
            let mut incomplete = None;
            for pair in overrides {
                match overrides::set(&mut table, pair)? {
                    Ok(read) => (plan, incomplete) = (read, None),
                    Err(error) => incomplete = incomplete.or(Some(error)),
                }
            }
            if let Some(error) = incomplete {
                return Err(error);
            }
        }
        plan.add_up();
        check::check(&plan, &Said { source, keys: Keys::of(text), overrides })?;
        Ok(plan)
    }
}

/// Reads a text whose values were not checked yet.
pub(super) fn read(source: &str, text: &str) -> Result<RunPlan, ConfigError> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let keys = Keys::of(text);
        let path = error.span().and_then(|span| keys.path_at(span.start));
        in_phase(from_toml(source, text, &error), path)
    })
}

/// An unknown key of a phase is named with its path: it may well be known elsewhere.
fn in_phase(error: ConfigError, path: Option<&str>) -> ConfigError {
    match (error, path) {
        (ConfigError::UnknownKey { place, nearest, known, .. }, Some(path)) if path.starts_with("phase.") => {
            let parent = path.rsplit_once('.').map_or("phase", |(parent, _)| parent);
            let nearest = nearest.map(|name| format!("{parent}.{name}"));
            ConfigError::UnknownKey { place, key: path.to_owned(), nearest, known }
        }
        (error, _) => error,
    }
}

/// What was said, and where: by the text, or by a `--set` that replaced it.
pub(super) struct Said<'a> {
    source: &'a str,
    keys: Keys,
    overrides: &'a [String],
}

impl Said<'_> {
    /// Whether the key was set by anybody, whatever to.
    pub(super) fn says(&self, path: &str) -> bool {
        self.pair(path).is_some() || self.keys.line(path).is_some()
    }

    /// What is wrong with the value of a key. A key that nobody set is missing in the table that stands
    /// around it.
    pub(super) fn invalid(&self, path: &str, reason: String) -> ConfigError {
        let ancestors =
            std::iter::successors(Some(path), |path| path.rsplit_once('.').map(|(parent, _)| parent));
        let place = match (self.pair(path), ancestors.filter_map(|path| self.keys.line(path)).next()) {
            (Some(pair), _) => overrides::place(pair),
            (None, Some(line)) => format!("{}:{line}", self.source),
            (None, None) => self.source.to_owned(),
        };
        ConfigError::Invalid { place, key: path.to_owned(), reason }
    }

    /// The last `--set` of a key.
    fn pair(&self, path: &str) -> Option<&str> {
        let sets = |pair: &&String| overrides::split(pair).is_some_and(|(key, _)| key == path);
        self.overrides.iter().rev().find(sets).map(String::as_str)
    }
}
