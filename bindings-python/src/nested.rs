//! The dicts that say which alerts and which checks there are, as the JSON that the exporter reads. Nothing of what is in them is ever shown
//! but the names of options: a value may be a secret in the wrong place.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use sentinel_core::ConfigError;
use serde_json::{Map, Number, Value};

/// Dicts and lists in each other; `alerts.sinks[0].url.env` is the fourth.
const DEEPEST: usize = 8;
/// Values and bytes of text, together: what a file may have.
const MOST: usize = 1 << 20;
/// Bytes of an option's name.
const LONGEST: usize = 32;

/// What `alerts=` or `uptime=`, which is the `field`, is given, as JSON.
pub(crate) fn json(field: &str, given: &Bound<'_, PyAny>) -> Result<String, ConfigError> {
    let mut walk = Walk { path: field.into(), left: MOST };
    let Ok(dict) = given.cast::<PyDict>() else {
        return Err(walk.refused(&format!("a dict of the form of [{field}] in sentinel.toml")));
    };
    walk.dict(dict, 1).map(|table| Value::Object(table).to_string())
}

struct Walk {
    /// Where it is.
    path: String,
    /// What may come yet.
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

    /// Keys here are somebody's own: the names of headers, and what is looked for in JSON.
    fn is_own(&self) -> bool {
        self.path.starts_with("uptime.") && (self.path.ends_with(".headers") || self.path.contains(".expect.json"))
    }

    /// What is at a step further down.
    fn at<T>(&mut self, step: &str, find: impl FnOnce(&mut Self) -> Result<T, ConfigError>) -> Result<T, ConfigError> {
        let here = self.path.len();
        self.path.push_str(step);
        let found = find(self)?;
        self.path.truncate(here);
        Ok(found)
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>, depth: usize) -> Result<Map<String, Value>, ConfigError> {
        let (mut table, is_own) = (Map::new(), self.is_own());
        for (key, value) in dict {
            let name = key.cast::<PyString>().ok().and_then(|name| name.to_str().ok());
            let Some(name) = name.filter(|name| is_own || is_name(name)) else {
                return Err(self.refused(if is_own { "text as keys" } else { "names of options as keys" }));
            };
            self.take(name.len())?;
            // A key that somebody chose is no name to be shown.
            let step = if is_own { String::new() } else { format!(".{name}") };
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
            let text = text.to_str().map_err(|_| self.refused("text that can be encoded"))?;
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
        if depth > DEEPEST {
            return Err(self.refused("what the documentation gives, which is less deep"));
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

/// What might be the name of an option, written well or not; no address and no key looks like one.
fn is_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
