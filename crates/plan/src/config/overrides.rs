//! `--set key=value`: single keys that replace what the text says, by dotted paths. Knows the shape of
//! tables, and no key by name.

use super::RunPlan;
use super::read::read;
use crate::ConfigError;

/// The path of a `key=value` pair, and the value as it was written.
pub(super) fn split(pair: &str) -> Option<(&str, &str)> {
    pair.split_once('=').map(|(path, value)| (path.trim(), value))
}

/// Where a pair stands, for messages.
pub(super) fn place(pair: &str) -> String {
    format!("--set {pair}")
}

/// Sets one `key=value` in the table and reads the plan again, if that can be done.
///
/// # Errors
/// If the pair is none, or names a place that cannot be.
pub(super) fn set(table: &mut toml::Table, pair: &str) -> Result<Result<RunPlan, ConfigError>, ConfigError> {
    let syntax = |reason: String| ConfigError::Syntax { place: place(pair), reason };
    let (path, value) =
        split(pair).ok_or_else(|| syntax("expected key=value, as in train.steps=100".into()))?;
    // A value that is not TOML (a bare word, a path) is meant as a string.
    let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let path: Vec<&str> = path.split('.').collect();
    if path.len() < 2 {
        return Err(syntax("expected section.key=value".into()));
    }
    insert(table, &path, value).map_err(syntax)?;
    let text = toml::to_string(table).map_err(|error| syntax(error.to_string()))?;
    Ok(read(&place(pair), &text).map_err(|error| match error {
        // The line is one of the table's text, which nobody has seen.
        ConfigError::UnknownKey { key, nearest, known, .. } => {
            ConfigError::UnknownKey { place: place(pair), key, nearest, known }
        }
        ConfigError::Syntax { reason, .. } => syntax(reason),
        other => other,
    }))
}

/// Puts a value at the end of a path, making the tables on the way; elements of an array must be there
/// already.
fn insert(table: &mut toml::Table, path: &[&str], value: toml::Value) -> Result<(), String> {
    let [key, rest @ ..] = path else {
        return Err("expected section.key=value".into());
    };
    if rest.is_empty() {
        table.insert((*key).to_owned(), value);
        return Ok(());
    }
    let index = rest[0].parse::<usize>();
    match (table.get_mut(*key), index) {
        (Some(toml::Value::Array(items)), Ok(index)) => {
            let count = items.len();
            let item = items.get_mut(index).and_then(toml::Value::as_table_mut);
            let item = item.ok_or_else(|| absent(key, index, count))?;
            insert(item, &rest[1..], value)
        }
        (None, Ok(index)) => Err(absent(key, index, 0)),
        (Some(toml::Value::Table(inner)), _) => insert(inner, rest, value),
        (None, Err(_)) => {
            let mut inner = toml::Table::new();
            insert(&mut inner, rest, value)?;
            table.insert((*key).to_owned(), toml::Value::Table(inner));
            Ok(())
        }
        (Some(toml::Value::Array(_)), Err(_)) => {
            Err(format!("`{key}` is a list; say which one, as in {key}.0.{}", rest.join(".")))
        }
        (Some(_), _) => Err(format!("`{key}` is not a section")),
    }
}

fn absent(key: &str, index: usize, count: usize) -> String {
    let there = match count {
        0 => "the configuration has none".to_owned(),
        1 => format!("the configuration has only {key}.0"),
        count => format!("the configuration has {key}.0 to {key}.{}", count - 1),
    };
    format!("there is no {key}.{index}; {there}")
}
