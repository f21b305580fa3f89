//! Conversion of the dicts of `alerts=` and `uptime=` to JSON, which the exporter reads. An error shows only names of options, never
//! a value, which may be a secret in the wrong place.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use sentinel_core::ConfigError;
use serde_json::{Map, Number, Value};

/// Dicts and lists inside each other; `alerts.sinks[0].url.env` is at the fourth level.
const MAX_DEPTH: usize = 8;
/// Values and bytes of text, together: as many as a configuration file may have bytes.
const MAX_COST: usize = 1 << 20;
/// Bytes of an option's name.
const MAX_NAME: usize = 32;

/// The dict given for `field`, `alerts` or `uptime`, as JSON.
pub(crate) fn json(field: &str, given: &Bound<'_, PyAny>) -> Result<String, ConfigError> {
    let mut walk = Walk { path: field.into(), left: MAX_COST };
    let Ok(dict) = given.cast::<PyDict>() else {
        return Err(walk.refused(&format!("a dict of the form of [{field}] in sentinel.toml")));
    };
    walk.dict(dict, 1).map(|table| Value::Object(table).to_string())
}

struct Walk {
    /// The value that is being converted, such as `alerts.sinks[0].url`.
    path: String,
    /// The part of `MAX_COST` that is left.
    left: usize,
}

impl Walk {
    fn refused(&self, allowed: &str) -> ConfigError {
        ConfigError::hidden(&self.path, allowed)
    }

    fn take(&mut self, cost: usize) -> Result<(), ConfigError> {
        let left = self.left.checked_sub(cost).ok_or_else(|| self.refused("1 MiB in all"))?;
        self.left = left;
        Ok(())
    }

    /// Whether the keys here are the service's own, not names of options: headers, and JSON pointers to expect.
    fn has_free_keys(&self) -> bool {
        self.path.starts_with("uptime.") && (self.path.ends_with(".headers") || self.path.contains(".expect.json"))
    }

    /// Converts the value one `step` below this path.
    fn at<T>(
        &mut self,
        step: &str,
        convert: impl FnOnce(&mut Self) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        let here = self.path.len();
        self.path.push_str(step);
        let converted = convert(self)?;
        self.path.truncate(here);
        Ok(converted)
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>, depth: usize) -> Result<Map<String, Value>, ConfigError> {
        let (mut table, has_free_keys) = (Map::new(), self.has_free_keys());
        for (key, value) in dict {
            let name = key.cast::<PyString>().ok().and_then(|name| name.to_str().ok());
            let Some(name) = name.filter(|name| has_free_keys || is_option_name(name)) else {
                return Err(self.refused(if has_free_keys { "text as keys" } else { "names of options as keys" }));
            };
            self.take(name.len())?;
            // A key of the service's own is not shown.
            let step = if has_free_keys { String::new() } else { format!(".{name}") };
            let value = self.at(&step, |walk| walk.value(&value, depth))?;
            table.insert(name.into(), value);
        }
        Ok(table)
    }

    fn list<'py>(
        &mut self,
        items: impl Iterator<Item = Bound<'py, PyAny>>,
        depth: usize,
    ) -> Result<Value, ConfigError> {
        let value = |(at, item)| self.at(&format!("[{at}]"), |walk| walk.value(&item, depth));
        items.enumerate().map(value).collect::<Result<_, _>>().map(Value::Array)
    }

    fn value(&mut self, given: &Bound<'_, PyAny>, above: usize) -> Result<Value, ConfigError> {
        self.take(1)?;
        if given.is_none() {
            return Ok(Value::Null);
        }
        if let Ok(given) = given.cast::<PyBool>() {
            return Ok(Value::Bool(given.is_true()));
        }
        if let Ok(text) = given.cast::<PyString>() {
            let text = text.to_str().map_err(|_| self.refused("text that UTF-8 can encode"))?;
            self.take(text.len())?;
            return Ok(Value::String(text.into()));
        }
        if given.is_instance_of::<PyInt>() {
            let number = given.extract::<i64>().map(Into::into).or_else(|_| given.extract::<u64>().map(Number::from));
            return number.map(Value::Number).map_err(|_| self.refused("a number of at most 64 bits"));
        }
        if given.is_instance_of::<PyFloat>() {
            let number = given.extract().ok().and_then(Number::from_f64);
            return number.map(Value::Number).ok_or_else(|| self.refused("a finite number"));
        }
        let depth = above + 1;
        if depth > MAX_DEPTH {
            return Err(self.refused("at most 8 levels of dicts and lists"));
        }
        if let Ok(dict) = given.cast::<PyDict>() {
            return self.dict(dict, depth).map(Value::Object);
        }
        if let Ok(list) = given.cast::<PyList>() {
            return self.list(list.iter(), depth);
        }
        match given.cast::<PyTuple>() {
            Ok(tuple) => self.list(tuple.iter(), depth),
            Err(_) => Err(self.refused("text, a number, a bool, None, a list or a dict")),
        }
    }
}

/// Whether this may be the name of an option, misspelt or not. URLs and secrets do not look like one, so an error may show it.
fn is_option_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
