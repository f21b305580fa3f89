//! Conversion of Python values to those of the core. A value of a wrong type gives `None`, which callers count as a failure and
//! treat like a missing value: nothing on the path of `record` raises.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyString};
use sentinel_core::{Event, Latency};
use std::borrow::Cow;

/// The event of a request that ends now, where all values have exactly the usual types (`str`, `str`, `int`, `float`). Each record
/// pays for these four checks and no others; `None` sends it to the conversions below.
#[inline]
pub(crate) fn usual_event<'a>(
    tenant_id: &'a Bound<'_, PyAny>,
    endpoint: &'a Bound<'_, PyAny>,
    status_code: &Bound<'_, PyAny>,
    latency_ms: &Bound<'_, PyAny>,
) -> Option<Event<'a>> {
    let tenant = tenant_id.cast_exact::<PyString>().ok()?.to_str().ok()?.as_bytes();
    let endpoint = endpoint.cast_exact::<PyString>().ok()?.to_str().ok()?;
    let status = status_code.cast_exact::<PyInt>().ok()?.extract::<u16>().ok()?;
    let latency = Latency::from_millis(latency_ms.cast_exact::<PyFloat>().ok()?.value());
    Some(Event { tenant, endpoint, status, latency, at: None })
}

/// A tenant's id: a string, bytes, an integer or a `uuid.UUID`; Python's `None` is the empty id, `unattributed`. Other objects are
/// refused: their `str` may run a query (a lazy user object) or differ each time (an address).
#[inline]
pub(crate) fn tenant<'a>(id: &'a Bound<'_, PyAny>) -> Option<Cow<'a, [u8]>> {
    if let Ok(text) = id.cast::<PyString>() {
        return match text.to_str() {
            Ok(text) => Some(Cow::Borrowed(text.as_bytes())),
            Err(_) => with_surrogates(text),
        };
    }
    other_id(id)
}

/// The id of text with lone surrogates: the bytes that UTF-8 would have for them.
#[cold]
fn with_surrogates<'a>(text: &Bound<'_, PyString>) -> Option<Cow<'a, [u8]>> {
    // `str.encode`, not the override of a subclass.
    let encoded = text.py().get_type::<PyString>().call_method1("encode", (text, "utf-8", "surrogatepass")).ok()?;
    Some(Cow::Owned(encoded.cast::<PyBytes>().ok()?.as_bytes().to_vec()))
}

fn other_id<'a>(id: &'a Bound<'_, PyAny>) -> Option<Cow<'a, [u8]>> {
    if id.is_none() {
        return Some(Cow::Borrowed(b""));
    }
    if let Ok(bytes) = id.cast::<PyBytes>() {
        return Some(Cow::Borrowed(bytes.as_bytes()));
    }
    if let Ok(bytes) = id.cast::<PyByteArray>() {
        return Some(Cow::Owned(bytes.to_vec()));
    }
    if id.is_instance_of::<PyInt>() {
        if id.is_instance_of::<PyBool>() {
            return None;
        }
        let text = match id.extract::<i64>() {
            Ok(number) => number.to_string(),
            Err(_) => id.str().ok()?.to_str().ok()?.to_owned(),
        };
        return Some(Cow::Owned(text.into_bytes()));
    }
    uuid(id).map(|text| Cow::Owned(text.into_bytes()))
}

/// The text of a `uuid.UUID`, made from its number: `UUID.__str__` is Python code, which must not run here (see `values`).
fn uuid(id: &Bound<'_, PyAny>) -> Option<String> {
    let class = id.get_type();
    if class.name().ok()? != "UUID" || class.module().ok()? != "uuid" {
        return None;
    }
    let hex = format!("{:032x}", id.getattr("int").ok()?.extract::<u128>().ok()?);
    Some([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// A route template; Python's `None` is the empty template, `unmatched`.
#[inline]
pub(crate) fn endpoint<'a>(template: &'a Bound<'_, PyAny>) -> Option<Cow<'a, str>> {
    if let Ok(text) = template.cast::<PyString>() {
        return Some(text.to_str().map_or_else(|_| Cow::Owned(text.to_string_lossy().into_owned()), Cow::Borrowed));
    }
    template.is_none().then_some(Cow::Borrowed(""))
}

/// A status: any integer, `http.HTTPStatus` included. The core rejects integers that are no HTTP status.
#[inline]
pub(crate) fn status(code: &Bound<'_, PyAny>) -> Option<u16> {
    if !code.is_instance_of::<PyInt>() && code.is_instance_of::<PyFloat>() {
        return None;
    }
    // An integer beyond i64 becomes 0, which the core rejects; it is no failure of the adapter.
    let code = code.extract::<i64>().ok().or_else(|| code.is_instance_of::<PyInt>().then_some(0))?;
    Some(u16::try_from(code).unwrap_or(0))
}

/// A latency in milliseconds; Python's `None` is an unknown one.
#[inline]
pub(crate) fn latency(ms: &Bound<'_, PyAny>) -> Option<Latency> {
    if let Ok(ms) = ms.cast_exact::<PyFloat>() {
        return Some(Latency::from_millis(ms.value()));
    }
    if ms.is_none() {
        return Some(Latency::UNKNOWN);
    }
    if ms.is_instance_of::<PyBool>() {
        return None;
    }
    match ms.extract::<f64>() {
        Ok(ms) => Some(Latency::from_millis(ms)),
        // An integer beyond the range of floats: the core clamps it, or rejects it below 0.
        Err(_) if ms.is_instance_of::<PyInt>() => {
            Some(Latency::from_millis(if ms.lt(0).unwrap_or(true) { -1.0 } else { f64::MAX }))
        }
        Err(_) => None,
    }
}

/// Unix milliseconds, an integer or a float. Values beyond i64 saturate: the core counts them as future or late.
#[inline]
pub(crate) fn timestamp(ms: &Bound<'_, PyAny>) -> Option<i64> {
    if ms.is_instance_of::<PyBool>() {
        return None;
    }
    if ms.is_instance_of::<PyInt>() {
        let far = || if ms.lt(0).unwrap_or(false) { i64::MIN } else { i64::MAX };
        return Some(ms.extract::<i64>().unwrap_or_else(|_| far()));
    }
    ms.extract::<f64>().ok().filter(|ms| !ms.is_nan()).map(|ms| ms as i64)
}
