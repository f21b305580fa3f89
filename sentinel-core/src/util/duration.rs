//! Serde for the durations of rules: text such as `"10m"`, or a number of seconds.

use crate::util::units::parse_duration;
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt;
use std::time::Duration;

/// The text that reads back as this duration, in the largest unit that divides it: `4h`, `90s`, `250ms`, `7us`.
pub(crate) fn written(duration: Duration) -> String {
    let us = duration.as_micros();
    let units = [(3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1_000, "ms")];
    match units.iter().find(|(unit, _)| us > 0 && us.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", us / unit),
        None if us == 0 => "0s".into(),
        None => format!("{us}us"),
    }
}

pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&written(*duration))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct DurationVisitor;

    impl Visitor<'_> for DurationVisitor {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration: seconds, or text like \"10m\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            parse_duration(text).map_err(|error| E::invalid_value(Unexpected::Str(text), &error.allowed.as_str()))
        }

        fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
            Ok(Duration::from_secs(seconds))
        }

        fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
            self.visit_str(&seconds.to_string())
        }

        fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
            self.visit_str(&seconds.to_string())
        }
    }

    deserializer.deserialize_any(DurationVisitor)
}
