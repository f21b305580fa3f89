//! A configuration as it is written, of whichever format: reading it fails for no value, whatever its type and range.

use serde::de::{self, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// The key under which `toml` hands over a date, as the only one of a table.
pub(super) const TOML_DATE: &str = "$__toml_private_datetime";

/// The key under which `serde_json` hands over a number, as the only one of a table, when a program turns on its feature
/// `arbitrary_precision`.
const JSON_NUMBER: &str = "$serde_json::private::Number";

/// The name by which a deserializer knows that a raw value is asked for.
pub(super) const NAME: &str = "$sentinel_raw";

/// A value of TOML or JSON.
#[derive(Clone, PartialEq)]
pub(crate) enum Raw {
    /// `null` of JSON.
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    /// A date or a time of TOML. No option takes one: moments are text.
    Date,
    List(Vec<Raw>),
    /// Keys in the order of the text; JSON may have one twice.
    Table(Vec<(String, Raw)>),
}

impl Raw {
    /// The kind of the value, with the value itself only where it is a number or a bool: text may be a secret in the
    /// wrong place.
    pub(super) fn kind(&self) -> String {
        let found = match self {
            Self::Null => return "null".into(),
            Self::Text(_) => return "text".into(),
            Self::Date => return "date".into(),
            Self::Bool(value) => Unexpected::Bool(*value),
            Self::Integer(value) => return format!("integer `{value}`"),
            Self::Float(value) => Unexpected::Float(*value),
            Self::List(_) => Unexpected::Seq,
            Self::Table(_) => Unexpected::Map,
        };
        found.to_string()
    }

    /// Takes the value of a key out of a table.
    pub(crate) fn take(&mut self, key: &str) -> Option<Raw> {
        let Self::Table(entries) = self else { return None };
        let at = entries.iter().position(|(name, _)| name == key)?;
        Some(entries.remove(at).1)
    }
}

/// A number of JSON that is handed over as its digits.
fn number(digits: &str) -> Raw {
    let integer = digits.parse().map(Raw::Integer).ok();
    integer.or_else(|| digits.parse().map(Raw::Float).ok()).unwrap_or(Raw::Null)
}

/// Nothing of the values: any text in them may be a secret.
impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raw(…)")
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawVisitor;

        impl<'de> Visitor<'de> for RawVisitor {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
                deserializer.deserialize_any(self)
            }

            fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }

            fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
                Raw::deserialize(deserializer)
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Raw, E> {
                Ok(Raw::Bool(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Raw, E> {
                Ok(Raw::Integer(value.into()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Raw, E> {
                Ok(Raw::Integer(value.into()))
            }

            fn visit_i128<E: de::Error>(self, value: i128) -> Result<Raw, E> {
                Ok(Raw::Integer(value))
            }

            fn visit_u128<E: de::Error>(self, value: u128) -> Result<Raw, E> {
                Ok(i128::try_from(value).map_or(Raw::Float(value as f64), Raw::Integer))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Raw, E> {
                Ok(Raw::Float(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Raw, E> {
                Ok(Raw::Text(text.into()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Raw, E> {
                Ok(Raw::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Raw::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Raw, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = table.next_entry::<String, Raw>()? {
                    if key == TOML_DATE {
                        return Ok(Raw::Date);
                    }
                    if let (JSON_NUMBER, Raw::Text(digits)) = (key.as_str(), &value) {
                        return Ok(number(digits));
                    }
                    entries.push((key, value));
                }
                Ok(Raw::Table(entries))
            }
        }

        deserializer.deserialize_newtype_struct(NAME, RawVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::value::{Error, MapDeserializer};

    /// Another crate of the program may turn on `arbitrary_precision` for all.
    #[test]
    fn a_number_of_json_is_a_number_as_digits_too() {
        for (digits, value) in [("500", Raw::Integer(500)), ("-7", Raw::Integer(-7)), ("0.5", Raw::Float(0.5))] {
            let handed = MapDeserializer::<_, Error>::new([(JSON_NUMBER, digits)].into_iter());
            assert!(Raw::deserialize(handed).is_ok_and(|raw| raw == value), "{digits}");
        }
    }
}
