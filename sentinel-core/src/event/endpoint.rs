//! Endpoints: route templates, each with a small number of its own; a bounded registry, and a normaliser for raw paths.

use crate::event::tenant::shortened;
use crate::util::bytes::{mix, same};
use ahash::RandomState;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// An endpoint in this process; a block's own endpoints are numbered apart.
pub(crate) type EndpointId = u16;

/// Where endpoints beyond the configured number go.
pub(crate) const OTHER: &str = "other";
/// Requests that no route matched.
pub(crate) const UNMATCHED: &str = "unmatched";
/// The second name that every registry has.
const UNMATCHED_ID: EndpointId = 1;
/// Longest template that is kept as it is, in bytes.
pub(crate) const MAX_TEMPLATE: usize = 256;
const PREFIX: usize = 224;
const OTHER_ID: EndpointId = 0;

/// Reserved rows, which are never culprits.
pub(crate) fn is_reserved(endpoint: &str) -> bool {
    endpoint == OTHER
}

/// All endpoints of this process. Never forgets: a service has its routes, and what is no route shares `other`.
#[derive(Debug)]
pub(crate) struct Registry {
    inner: RwLock<Inner>,
    limit: usize,
}

#[derive(Debug)]
struct Inner {
    ids: HashMap<Arc<str>, EndpointId>,
    names: Vec<Arc<str>>,
}

impl Registry {
    /// Room for `limit` templates beside the reserved ones.
    pub(crate) fn new(limit: usize) -> Self {
        let names: Vec<Arc<str>> = vec![OTHER.into(), UNMATCHED.into()];
        let ids = names.iter().cloned().zip(0..).collect();
        Self { inner: RwLock::new(Inner { ids, names }), limit: limit + 2 }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names by number.
    pub(crate) fn with_names<T>(&self, read: impl FnOnce(&[Arc<str>]) -> T) -> T {
        read(&self.read().names)
    }

    /// The number of a template and its shared name, or `None` when it has to share `other`.
    fn intern(&self, template: &str) -> Option<(Arc<str>, EndpointId)> {
        let known = |inner: &Inner| inner.ids.get_key_value(template).map(|(name, id)| (name.clone(), *id));
        let inner = self.read();
        if let Some(found) = known(&inner) {
            return Some(found);
        }
        if inner.names.len() >= self.limit {
            return None;
        }
        drop(inner);
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known(&inner) {
            return Some(found);
        }
        if inner.names.len() >= self.limit {
            return None;
        }
        let (name, id): (Arc<str>, _) = (template.into(), inner.names.len() as EndpointId);
        inner.names.push(name.clone());
        inner.ids.insert(name.clone(), id);
        Some((name, id))
    }
}

/// An endpoint that has come lately.
type Recent = Option<(Arc<str>, EndpointId)>;

/// Places for the endpoints that have come last.
const RECENT: usize = 64;

/// A stripe's own copy of the registry, so that a known endpoint takes no shared lock.
#[derive(Debug)]
pub(crate) struct EndpointCache {
    /// By a cheap mix of the name's ends; one place each, so that a name is compared, not searched.
    recent: Box<[Recent; RECENT]>,
    ids: HashMap<Arc<str>, EndpointId, RandomState>,
}

impl EndpointCache {
    pub(crate) fn new(hasher: RandomState) -> Self {
        Self { recent: Box::new([const { None }; RECENT]), ids: HashMap::with_hasher(hasher) }
    }

    /// The number of a template that has come lately.
    #[inline]
    pub(crate) fn recent(&self, template: &str) -> Option<EndpointId> {
        if template.is_empty() {
            return Some(UNMATCHED_ID);
        }
        let (name, id) = self.recent[place_of(template)].as_ref()?;
        same(name.as_bytes(), template.as_bytes()).then_some(*id)
    }

    /// The number of a template, and whether it had to share `other`.
    pub(crate) fn id(&mut self, template: &str, registry: &Registry) -> (EndpointId, bool) {
        if let Some(id) = self.recent(template) {
            return (id, false);
        }
        let place = place_of(template);
        if let Some((name, &id)) = self.ids.get_key_value(template) {
            self.recent[place] = Some((name.clone(), id));
            return (id, false);
        }
        let template = if template.len() <= MAX_TEMPLATE {
            Cow::Borrowed(template)
        } else {
            let cut = shortened(template.as_bytes(), template.floor_char_boundary(PREFIX));
            Cow::Owned(String::from_utf8_lossy(&cut).into_owned())
        };
        if let Some(&id) = self.ids.get(&*template) {
            return (id, false);
        }
        // A full copy of a full registry: what is not in it shares `other`, and a flood of raw paths takes no lock.
        if self.ids.len() >= registry.limit {
            return (OTHER_ID, true);
        }
        match registry.intern(&template) {
            Some((name, id)) => {
                self.ids.insert(name, id);
                (id, false)
            }
            None => (OTHER_ID, true),
        }
    }
}

#[inline]
fn place_of(template: &str) -> usize {
    (mix(template.as_bytes()) >> 58) as usize % RECENT
}

/// A route template from a raw path: numbers, UUIDs, hashes and long ids become `{id}`; query and fragment are cut off.
///
/// For sources that only know raw paths (logs, curl). An adapter passes the framework's own template.
///
/// ```
/// use sentinel_core::normalise_path;
///
/// assert_eq!(normalise_path("/v1/orders/81723/items?page=2"), "/v1/orders/{id}/items");
/// assert_eq!(normalise_path("/u/9f1b6c1e-4a39-4d6e-8a6f-1d7c2b9d0f11"), "/u/{id}");
/// assert_eq!(normalise_path("/v2/process"), "/v2/process");
/// ```
pub fn normalise_path(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut out = String::with_capacity(path.len());
    for (i, segment) in path.split('/').enumerate() {
        let shown = if is_id(segment) { "{id}" } else { segment };
        // Writing to a String cannot fail.
        let _ = write!(out, "{}{shown}", if i == 0 { "" } else { "/" });
    }
    out
}

/// Numbers; UUIDs and hashes (hex of 8 characters and more with a digit); and tokens of 16 and more that mix letters and digits.
fn is_id(segment: &str) -> bool {
    let count = |test: fn(&u8) -> bool| segment.bytes().filter(test).count();
    let (digits, hex, dashes) = (count(u8::is_ascii_digit), count(u8::is_ascii_hexdigit), count(|b| *b == b'-'));
    let letters = count(u8::is_ascii_alphabetic);
    let len = segment.len();
    digits > 0
        && (digits == len
            || len >= 8 && hex + dashes == len && hex >= 8
            || len >= 16 && digits >= 4 && letters > 0 && digits + letters + dashes + count(|b| *b == b'_') == len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_they_share_other() {
        let registry = Registry::new(2);
        let mut cache = EndpointCache::new(RandomState::new());
        assert_eq!(cache.id("", &registry), (1, false));
        assert_eq!(cache.id("/a", &registry), (2, false));
        assert_eq!(cache.id("/b", &registry), (3, false));
        assert_eq!(cache.id("/c", &registry), (OTHER_ID, true));
        assert_eq!(cache.id("/a", &registry), (2, false));
        let mut second = EndpointCache::new(RandomState::new());
        assert_eq!(second.id("/b", &registry), (3, false));
        assert_eq!(second.id("/d", &registry), (OTHER_ID, true));
        assert_eq!(registry.with_names(<[_]>::len), 4);
    }

    #[test]
    fn long_templates_are_cut_but_stay_apart() {
        let registry = Registry::new(10);
        let mut cache = EndpointCache::new(RandomState::new());
        let (a, b) = ("/é".repeat(500), "/é".repeat(499) + "/y");
        let ids = [cache.id(&a, &registry).0, cache.id(&b, &registry).0, cache.id(&a, &registry).0];
        assert!(ids[0] != ids[1] && ids[0] == ids[2]);
        assert!(registry.with_names(|names| names.iter().all(|name| name.len() <= MAX_TEMPLATE)));
    }

    #[test]
    fn ids_in_paths() {
        for (path, template) in [
            ("/users/42", "/users/{id}"),
            ("/users/42/", "/users/{id}/"),
            ("/v1/health", "/v1/health"),
            ("/blob/deadbeef01", "/blob/{id}"),
            ("/words/facade", "/words/facade"),
            ("/t/AKIA4EXAMPLE7890ABCD", "/t/{id}"),
            ("", ""),
            ("no-slash", "no-slash"),
        ] {
            assert_eq!(normalise_path(path), template);
        }
    }
}
