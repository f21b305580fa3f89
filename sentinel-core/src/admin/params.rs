//! Paths and queries of URLs: percent-decoding, parameters by name, and errors that name the parameter, its value and the allowed
//! values.

use crate::event::tenant;
use crate::report::Query;
use crate::report::ranking::By;
use crate::report::scope::Scope;
use crate::util::error::ConfigError;
use crate::util::units;
use std::borrow::Cow;
use std::time::Duration;

/// Tenants that a report may list, at most: some 700 kB of JSON without series.
const MAX_LISTED_TENANTS: usize = 1_000;

/// Percent-decodes a text; `None` when a `%` is not followed by two hexadecimal digits. `+` is a space in queries only.
pub(super) fn decoded(text: &str, plus_is_space: bool) -> Option<Cow<'_, [u8]>> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|&byte| byte == b'%' || byte == b'+' && plus_is_space) {
        return Some(Cow::Borrowed(bytes));
    }
    let (mut out, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                let nibble = |digit: u8| char::from(digit).to_digit(16);
                out.push((nibble(digits[0])? * 16 + nibble(digits[1])?) as u8);
                rest = after;
            }
            b'+' if plus_is_space => out.push(b' '),
            other => out.push(other),
        }
    }
    Some(Cow::Owned(out))
}

/// The parameters of a query string: each name at most once, and only names that are known here.
pub(super) struct Params<'a>(Vec<(String, String, &'a str)>);

impl<'a> Params<'a> {
    pub(super) fn read(query: &'a str, known: &[&str]) -> Result<Self, ConfigError> {
        let mut out: Vec<(String, String, &str)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let text = |part: &str| {
                let bytes = decoded(part, true)?;
                String::from_utf8(bytes.into_owned()).ok()
            };
            let encoded = || ConfigError::new("query", quoted(pair), "percent-encoded UTF-8");
            let (name, value) = (text(name).ok_or_else(encoded)?, text(value).ok_or_else(encoded)?);
            if !known.contains(&name.as_str()) {
                let allowed =
                    if known.is_empty() { "no query parameters".into() } else { format!("{} only", known.join(", ")) };
                return Err(ConfigError::new("query", format!("the parameter {}", quoted(&name)), allowed));
            }
            if out.iter().any(|(other, ..)| *other == name) {
                return Err(ConfigError::new(&name, "given twice", "once"));
            }
            out.push((name, value, pair));
        }
        Ok(Self(out))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, ..)| known == name).map(|(_, value, _)| value.as_str())
    }

    /// The query of a report from `by`, `limit`, `window`, `series` and `scope`; absent parameters have their defaults.
    pub(super) fn query(&self, whole: Duration) -> Result<Query, ConfigError> {
        let default = Query::default();
        let by = self
            .get("by")
            .map_or(Ok(default.by), |text| text.parse::<By>().map_err(|error| with_quoted_value(error, text)))?;
        let limit = self.limit(MAX_LISTED_TENANTS)?.unwrap_or(default.limit);
        let series = self.series()?;
        Ok(Query { by, limit, series, window: self.window(whole)?, scope: self.scope()? })
    }

    /// `limit`, 1 to `most`.
    pub(super) fn limit(&self, most: usize) -> Result<Option<usize>, ConfigError> {
        let Some(text) = self.get("limit") else {
            return Ok(None);
        };
        let limit = text.parse::<usize>().ok().filter(|limit| (1..=most).contains(limit));
        limit.map(Some).ok_or_else(|| ConfigError::new("limit", quoted(text), format!("1 to {most}")))
    }

    /// `series`, 0 or 1; absent = 0.
    pub(super) fn series(&self) -> Result<bool, ConfigError> {
        match self.get("series") {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(text) => Err(ConfigError::new("series", quoted(text), "0 or 1")),
        }
    }

    /// `scope`; absent = the widest that can answer.
    pub(super) fn scope(&self) -> Result<Option<Scope>, ConfigError> {
        self.get("scope").map(|text| text.parse().map_err(|error| with_quoted_value(error, text))).transpose()
    }

    /// `window`, from 1 ms to the whole window.
    pub(super) fn window(&self, whole: Duration) -> Result<Option<Duration>, ConfigError> {
        let Some(text) = self.get("window") else {
            return Ok(None);
        };
        // A plain number is compared before it becomes a duration, which rounds it to nanoseconds.
        let beyond = text.parse::<f64>().is_ok_and(|seconds| !(0.001..=whole.as_secs_f64()).contains(&seconds));
        let window = units::parse_duration(text).ok();
        let window = window.filter(|window| !beyond && *window >= Duration::from_millis(1) && *window <= whole);
        let allowed = || format!("a duration from 1 ms up to {} s, such as 120 or 2m", whole.as_secs_f64());
        window.map(Some).ok_or_else(|| ConfigError::new("window", quoted(text), allowed()))
    }
}

/// The given text in quotes: escaped, so that it cannot deceive, and cut to the length of a line.
pub(super) fn quoted(text: &str) -> String {
    /// Bytes of a value that an error quotes: a line of a terminal.
    const MAX_QUOTED_BYTES: usize = 80;
    let cut = text.floor_char_boundary(MAX_QUOTED_BYTES);
    let dots = if cut < text.len() { "…" } else { "" };
    format!("\"{}{dots}\"", tenant::escaped(&text.as_bytes()[..cut]))
}

/// The error with its value quoted.
fn with_quoted_value(error: ConfigError, text: &str) -> ConfigError {
    ConfigError::new(&error.field, quoted(text), error.allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WHOLE: Duration = Duration::from_mins(10);

    fn query(text: &str) -> Result<Query, String> {
        let known = ["by", "limit", "window", "series", "scope"];
        Params::read(text, &known).and_then(|params| params.query(WHOLE)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_asked() {
        assert_eq!(query(""), Ok(Query::default()));
        let asked = Query {
            by: By::Load,
            limit: 3,
            window: Some(Duration::from_mins(2)),
            series: true,
            scope: Some(Scope::Host),
        };
        assert_eq!(query("by=load&limit=3&window=2m&series=1&scope=host"), Ok(asked));
        assert_eq!(query("&&by=%6coad&"), Ok(Query { by: By::Load, ..Query::default() }));
    }

    #[test]
    fn errors_name_the_value_and_what_is_allowed() {
        for (text, wanted) in [
            ("by=cost", "by: \"cost\" is not allowed; allowed: errors, error_rate, latency, load, requests"),
            ("limit=0", "limit: \"0\" is not allowed; allowed: 1 to 1000"),
            ("limit=-1", "limit: \"-1\" is not allowed; allowed: 1 to 1000"),
            (
                "window=11m",
                "window: \"11m\" is not allowed; allowed: a duration from 1 ms up to 600 s, such as 120 or 2m",
            ),
            (
                "window=NaN",
                "window: \"NaN\" is not allowed; allowed: a duration from 1 ms up to 600 s, such as 120 or 2m",
            ),
            (
                "window=600.0000000000001",
                "window: \"600.0000000000001\" is not allowed; allowed: a duration from 1 ms up to 600 s, such as 120 or 2m",
            ),
            ("series=yes", "series: \"yes\" is not allowed; allowed: 0 or 1"),
            (
                "colour=red",
                "query: the parameter \"colour\" is not allowed; allowed: by, limit, window, series, scope only",
            ),
            ("scope=planet", "scope: \"planet\" is not allowed; allowed: process, host"),
            ("by=load&by=load", "by: given twice is not allowed; allowed: once"),
            ("by=%zz", "query: \"by=%zz\" is not allowed; allowed: percent-encoded UTF-8"),
            ("by=%ff", "query: \"by=%ff\" is not allowed; allowed: percent-encoded UTF-8"),
            ("by=a%0ab", "by: \"a\\u{a}b\" is not allowed; allowed: errors, error_rate, latency, load, requests"),
        ] {
            assert_eq!(query(text).unwrap_err(), wanted, "{text}");
        }
        assert!(query(&format!("by={}", "é".repeat(10_000))).unwrap_err().len() < 300);
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(text in "\\PC*") {
            let _ = query(&text);
            let _ = decoded(&text, true);
        }

        #[test]
        fn what_is_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let encoded = bytes.iter().fold(String::new(), |out, byte| out + &format!("%{byte:02X}"));
            let back = decoded(&encoded, false);
            prop_assert_eq!(back.as_deref(), Some(&bytes[..]));
        }
    }
}
