//! A table of a plan to a family's own settings: unknown keys and wrong types are answered with place and remedy.
//! A section may be read in parts, those that all families share and those of one family. Knows no setting by name.

use plan::{ConfigError, nearest};
use serde::de::value::Error as NoValue;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, Visitor};

/// A section of a configuration whose keys are all known.
pub struct Section<'a> {
    table: &'a toml::Table,
    name: &'a str,
    source: &'a str,
}

impl<'a> Section<'a> {
    /// `[name]`, which may have the keys in `known` and no others. `source` names the configuration in messages.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`] with the nearest key that there is.
    pub fn new(
        table: &'a toml::Table,
        name: &'a str,
        source: &'a str,
        known: &[&[&str]],
    ) -> Result<Self, ConfigError> {
        let known = || known.iter().copied().flatten().copied();
        match table.keys().find(|&key| known().all(|name| name != key)) {
            None => Ok(Section { table, name, source }),
            Some(key) => {
                let qualified = |key: &str| format!("{name}.{key}");
                Err(ConfigError::UnknownKey {
                    place: source.to_owned(),
                    key: qualified(key),
                    nearest: nearest(key, known()).as_deref().map(qualified),
                    known: known().map(qualified).collect(),
                })
            }
        }
    }

    /// The keys of the section that `T` has.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`] for a value of another type, or a missing one.
    pub fn part<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let keys = keys::<T>();
        let mine = |(key, _): &(&String, &toml::Value)| keys.contains(&key.as_str());
        let table: toml::Table =
            self.table.iter().filter(mine).map(|(key, value)| (key.clone(), value.clone())).collect();
        toml::Value::Table(table).try_into().map_err(|error: toml::de::Error| ConfigError::Syntax {
            place: self.source.to_owned(),
            reason: format!("[{}] {}", self.name, error.to_string().trim().replace('\n', " ")),
        })
    }
}

/// The names of a struct's fields, as they are written in a configuration.
pub fn keys<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    // It asks for its fields before it reads any; the failure that follows is what ends the asking.
    let _ = T::deserialize(Fields(&mut fields));
    fields
}

struct Fields<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = NoValue;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, NoValue> {
        *self.0 = fields;
        Err(NoValue::custom("only the names were asked for"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, NoValue> {
        Err(NoValue::custom("no struct"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shared {
        #[allow(dead_code)]
        layers: u32,
    }

    #[derive(Debug, serde::Deserialize, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Own {
        groups: u32,
    }

    fn read(text: &str) -> Result<(Shared, Own), ConfigError> {
        let table = toml::from_str(text).unwrap();
        let section = Section::new(&table, "model", "a.toml", &[keys::<Shared>(), keys::<Own>()])?;
        Ok((section.part()?, section.part()?))
    }

    fn refused(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(refused("layer = 3"), "a.toml: unknown key `model.layer`; did you mean `model.layers`?");
        assert_eq!(
            refused("layers = 3\ngroup = 1"),
            "a.toml: unknown key `model.group`; did you mean `model.groups`?"
        );
        assert!(refused("layers = \"three\"").starts_with("a.toml: [model] invalid type: string \"three\""));
        assert!(refused("").contains("missing field `layers`"));
    }

    #[test]
    fn a_section_is_read_in_parts() {
        let (shared, own) = read("layers = 3\ngroups = 2").unwrap();
        assert_eq!((shared.layers, own.groups), (3, 2));
    }
}
