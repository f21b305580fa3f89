//! From a raw value to a struct of options, with a [`ConfigError`] for what has another type or no meaning.
//!
//! ```text
//! text ─► Raw ─► read ─► options, as written ─► validated ─► options, in range
//!         │       └ ConfigError: wrong type, unknown key       └ ConfigError: out of range
//!         └ line and message of the format's own parser
//! ```
//!
//! The structs derive serde's `Deserialize`, and serde tells an error by typed calls (`invalid_type`, `unknown_field`).
//! [`ReadFailure`] makes a [`ConfigError`] of each call, and the reader of a list or of a table adds its step to the
//! path: nothing takes an error's text apart. Serde's own error types keep only such a text, so they are not used.

use super::raw::{self, Raw};
use sentinel_core::ConfigError;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use std::fmt;

/// Bytes of an option's name: no address and no key is as short and has only letters, digits, `_` and `-`.
const MAX_NAME_BYTES: usize = 32;
/// Characters of a text that an error shows.
const MAX_SHOWN_CHARS: usize = 80;

/// Reads options. A table's own field is empty, as [`ConfigError::within`] takes it.
pub(crate) fn read<'de, T: Deserialize<'de>>(raw: Raw) -> Result<T, ConfigError> {
    T::deserialize(RawDeserializer(raw)).map_err(|ReadFailure(error)| error)
}

/// Reads a table by any deserializer, and makes options of it: `Deserialize` of the public types. `name` is the field of an
/// error about the table itself.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>, O>(
    deserializer: D,
    name: &str,
    options: impl FnOnce(T) -> Result<O, ConfigError>,
) -> Result<O, D::Error> {
    let raw = Raw::deserialize(deserializer)?;
    read(raw).and_then(options).map_err(|error| D::Error::custom(or_named(error, name)))
}

/// The error with a name, if it is about the table itself.
pub(crate) fn or_named(error: ConfigError, name: &str) -> ConfigError {
    if error.field.is_empty() { error.named(name) } else { error }
}

/// A [`ConfigError`] for serde.
#[derive(Debug)]
struct ReadFailure(ConfigError);

impl ReadFailure {
    fn plain(value: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self(ConfigError::plain("", value, allowed))
    }

    fn hidden(allowed: impl Into<String>) -> Self {
        Self(ConfigError::hidden("", allowed))
    }

    /// A value of another type than the option has.
    fn wrong_type(found: &Raw, allowed: impl Into<String>) -> Self {
        if matches!(found, Raw::Text(_)) {
            return Self::hidden(allowed);
        }
        Self::plain(format!("invalid type: {}", found.kind()), allowed)
    }

    fn within(self, step: &str) -> Self {
        Self(self.0.within(step))
    }

    /// The error of a key, or of its value, in a table whose keys are names of options.
    fn within_option(self, key: &str) -> Self {
        if is_name(key) { self.within(key) } else { self }
    }
}

impl fmt::Display for ReadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ReadFailure {}

impl Error for ReadFailure {
    /// Text alone says nothing of where a value came from, so none of it is shown.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::hidden("a value of the form that the documentation gives")
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let allowed = expected.to_string();
        match found {
            Unexpected::Str(_) | Unexpected::Char(_) | Unexpected::Bytes(_) => Self::hidden(allowed),
            // Words of a type that hides its values itself.
            Unexpected::Other(words) => Self(ConfigError::new("", words, allowed)),
            Unexpected::Unit => Self::plain("invalid type: null", allowed),
            found => Self::plain(format!("invalid type: {found}"), allowed),
        }
    }

    /// The right type, in another form than the option's type takes. A type whose text is a secret gives words instead.
    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let allowed = expected.to_string();
        match found {
            Unexpected::Str(text) => {
                let shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
                Self(ConfigError::new("", format!("{shown:?}"), allowed))
            }
            Unexpected::Other(words) => Self(ConfigError::new("", words, allowed)),
            Unexpected::Unsigned(number) => Self::plain(number.to_string(), allowed),
            Unexpected::Signed(number) => Self::plain(number.to_string(), allowed),
            Unexpected::Char(_) | Unexpected::Bytes(_) => Self::hidden(allowed),
            found => Self::plain(format!("invalid value: {found}"), allowed),
        }
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::plain(length.to_string(), expected.to_string())
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let shown: String = variant.chars().take(MAX_SHOWN_CHARS).collect();
        Self(ConfigError::new("", format!("unknown variant `{shown}`"), one_of(expected)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let allowed = one_of(expected);
        let value = if is_name(field) { format!("unknown field `{field}`") } else { "a key that is not shown".into() };
        Self::plain(value, allowed)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::plain("none", "a value").within(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::plain("given twice", "once").within(field)
    }
}

/// Text that might be the name of an option, spelled well or not.
pub(super) fn is_name(key: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "no options".into(),
        [one] => one.clone(),
        [one, other] => format!("{one} or {other}"),
        all => format!("one of {}", all.join(", ")),
    }
}

/// Reads a raw value for serde. A struct is a table and nothing else: serde would take a list for one as well, field by
/// field.
struct RawDeserializer(Raw);

/// A whole number of a type, or the error that says which numbers there are.
macro_rules! whole_number {
    ($($deserialize:ident $type:ident $visit:ident,)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadFailure> {
            match self.0 {
                Raw::Integer(number) => match $type::try_from(number) {
                    Ok(number) => visitor.$visit(number),
                    Err(_) if number < 0 => {
                        Err(ReadFailure::plain(number.to_string(), "a whole number that is not negative"))
                    }
                    Err(_) => Err(ReadFailure::plain(number.to_string(), "a smaller whole number")),
                },
                other => Err(ReadFailure::wrong_type(&other, "a whole number")),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for RawDeserializer {
    type Error = ReadFailure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadFailure> {
        match self.0 {
            Raw::Null => visitor.visit_unit(),
            Raw::Bool(value) => visitor.visit_bool(value),
            Raw::Integer(value) => match (u64::try_from(value), i64::try_from(value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_i128(value),
            },
            Raw::Float(value) => visitor.visit_f64(value),
            Raw::Text(text) => visitor.visit_string(text),
            Raw::Date => Err(ReadFailure::wrong_type(&Raw::Date, (&visitor as &dyn Expected).to_string())),
            Raw::List(items) => visitor.visit_seq(ListReader { items: items.into_iter(), index: 0 }),
            Raw::Table(entries) => visitor.visit_map(TableReader::new(entries, false)),
        }
    }

    whole_number! {
        deserialize_i8 i8 visit_i8,
        deserialize_i16 i16 visit_i16,
        deserialize_i32 i32 visit_i32,
        deserialize_i64 i64 visit_i64,
        deserialize_u8 u8 visit_u8,
        deserialize_u16 u16 visit_u16,
        deserialize_u32 u32 visit_u32,
        deserialize_u64 u64 visit_u64,
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadFailure> {
        match self.0 {
            Raw::Bool(value) => visitor.visit_bool(value),
            other => Err(ReadFailure::wrong_type(&other, "true or false")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadFailure> {
        match self.0 {
            Raw::Integer(value) => visitor.visit_f64(value as f64),
            Raw::Float(value) => visitor.visit_f64(value),
            other => Err(ReadFailure::wrong_type(&other, "a number")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadFailure> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadFailure> {
        match self.0 {
            Raw::Text(text) => visitor.visit_string(text),
            other => Err(ReadFailure::wrong_type(&other, "text")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadFailure> {
        if self.0 == Raw::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadFailure> {
        if name == raw::NAME && self.0 == Raw::Date {
            let date = vec![(raw::TOML_DATE.into(), Raw::Null)];
            return visitor.visit_map(TableReader::new(date, false));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadFailure> {
        match self.0 {
            list @ Raw::List(_) => Self(list).deserialize_any(visitor),
            other => Err(ReadFailure::wrong_type(&other, "a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadFailure> {
        match self.0 {
            Raw::Table(entries) => visitor.visit_map(TableReader::new(entries, false)),
            other => Err(ReadFailure::wrong_type(&other, "a table")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadFailure> {
        match self.0 {
            Raw::Table(entries) => visitor.visit_map(TableReader::new(entries, true)),
            other => Err(ReadFailure::wrong_type(&other, "a table")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadFailure> {
        match self.0 {
            Raw::Text(name) => visitor.visit_enum(VariantReader { name, value: None }),
            Raw::Table(mut entries) if entries.len() == 1 => {
                let (name, value) = entries.remove(0);
                visitor.visit_enum(VariantReader { name, value: Some(value) })
            }
            other => Err(ReadFailure::wrong_type(&other, one_of(variants))),
        }
    }

    serde::forward_to_deserialize_any! {
        i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// The items of a list; an error of one is at its index.
struct ListReader {
    items: std::vec::IntoIter<Raw>,
    index: usize,
}

impl<'de> SeqAccess<'de> for ListReader {
    type Error = ReadFailure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadFailure> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        let item = seed.deserialize(RawDeserializer(item));
        item.map(Some).map_err(|error| error.within(&format!("[{index}]")))
    }
}

/// The entries of a table; an error of one is at its key, unless somebody chose the keys: such a key may be a secret in
/// the wrong place.
struct TableReader {
    entries: std::vec::IntoIter<(String, Raw)>,
    keys_are_options: bool,
    /// The key that was read last, and its value.
    entry: Option<(String, Raw)>,
}

impl TableReader {
    fn new(entries: Vec<(String, Raw)>, keys_are_options: bool) -> Self {
        Self { entries: entries.into_iter(), keys_are_options, entry: None }
    }

    fn at(&self, key: &str, error: ReadFailure) -> ReadFailure {
        if self.keys_are_options { error.within_option(key) } else { error }
    }
}

impl<'de> MapAccess<'de> for TableReader {
    type Error = ReadFailure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadFailure> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        let name: StrDeserializer<'_, ReadFailure> = key.as_str().into_deserializer();
        let found = seed.deserialize(name).map_err(|error| self.at(&key, error))?;
        self.entry = Some((key, value));
        Ok(Some(found))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadFailure> {
        // Serde asks for a value after its key.
        let (key, value) = self.entry.take().unwrap_or((String::new(), Raw::Null));
        seed.deserialize(RawDeserializer(value)).map_err(|error| self.at(&key, error))
    }
}

/// A variant by its name, alone or as the only key of a table.
struct VariantReader {
    name: String,
    value: Option<Raw>,
}

impl<'de> EnumAccess<'de> for VariantReader {
    type Error = ReadFailure;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ReadFailure> {
        let name: StrDeserializer<'_, ReadFailure> = self.name.as_str().into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl VariantReader {
    /// Reads the value. The name is one of the type's own, so an error shows it.
    fn read<T>(self, read: impl FnOnce(RawDeserializer) -> Result<T, ReadFailure>) -> Result<T, ReadFailure> {
        let Self { name, value } = self;
        let value =
            value.ok_or_else(|| ReadFailure::plain("none", "a table")).and_then(|raw| read(RawDeserializer(raw)));
        value.map_err(|error| error.within(&name))
    }
}

impl<'de> VariantAccess<'de> for VariantReader {
    type Error = ReadFailure;

    fn unit_variant(self) -> Result<(), ReadFailure> {
        match self.value {
            None => Ok(()),
            Some(value) => Err(ReadFailure::wrong_type(&value, "the name alone").within(&self.name)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadFailure> {
        self.read(|value| seed.deserialize(value))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ReadFailure> {
        self.read(|value| value.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadFailure> {
        self.read(|value| value.deserialize_struct("", fields, visitor))
    }
}
