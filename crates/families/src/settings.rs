//! A table of a plan to a family's own settings: unknown keys and wrong types are answered with place and remedy.
//! Knows no setting by name.

use plan::{ConfigError, nearest};
use serde::de::DeserializeOwned;

/// Reads `[section]` into `T`, which must refuse unknown fields. `source` names the configuration in messages.
pub fn read<T: DeserializeOwned>(table: &toml::Table, section: &str, source: &str) -> Result<T, ConfigError> {
    toml::Value::Table(table.clone()).try_into().map_err(|error: toml::de::Error| {
        let place = source.to_owned();
        let message = error.message();
        // serde words its refusal "unknown field `a`, expected one of `b`, `c`": the names stand between backticks.
        let mut names = message.split('`').skip(1).step_by(2).map(str::to_owned);
        match names.next().filter(|_| message.starts_with("unknown field `")) {
            Some(key) => {
                let known: Vec<String> = names.collect();
                let nearest = nearest(&key, known.iter().map(String::as_str));
                let qualified = |name: &str| format!("{section}.{name}");
                let known = known.iter().map(|name| qualified(name)).collect();
                ConfigError::UnknownKey {
                    place,
                    key: qualified(&key),
                    nearest: nearest.as_deref().map(qualified),
                    known,
                }
            }
            None => ConfigError::Syntax {
                place,
                reason: format!("[{section}] {}", error.to_string().trim().replace('\n', " ")),
            },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[allow(dead_code)]
        layers: u32,
    }

    fn refused(text: &str) -> String {
        read::<Settings>(&toml::from_str(text).unwrap(), "model", "a.toml").unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(refused("layer = 3"), "a.toml: unknown key `model.layer`; did you mean `model.layers`?");
        assert!(refused("layers = \"three\"").starts_with("a.toml: [model] invalid type: string \"three\""));
        assert!(refused("").contains("missing field `layers`"));
    }
}
