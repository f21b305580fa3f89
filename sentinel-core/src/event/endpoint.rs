//! Endpoints: route templates, each with a small number in this process; a bounded registry, and a normaliser for raw paths.

use crate::event::tenant::shortened;
use crate::util::bytes::{mix, same};
use ahash::RandomState;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Number of an endpoint in this process. A block numbers its endpoints anew.
pub(crate) type EndpointId = u16;

/// The endpoint that a template was resolved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResolvedEndpoint {
    pub(crate) id: EndpointId,
    /// The registry is full and does not know the template: the endpoint is `other`.
    pub(crate) is_other: bool,
}

impl ResolvedEndpoint {
    const OTHER: Self = Self { id: OTHER_ID, is_other: true };

    const fn known(id: EndpointId) -> Self {
        Self { id, is_other: false }
    }
}

/// Name of the row that all endpoints beyond the configured number share.
pub(crate) const OTHER: &str = "other";
/// Requests that no route matched.
pub(crate) const UNMATCHED: &str = "unmatched";
/// Number of [`UNMATCHED`] in every registry.
const UNMATCHED_ID: EndpointId = 1;
/// Longest template that is kept whole, in bytes: twice as much as for an id, since long templates are more common than long ids.
pub(crate) const MAX_TEMPLATE: usize = 256;
/// Bytes of a longer template that are kept in front of its hash: [`MAX_TEMPLATE`] less the 32 hexadecimal digits of the hash.
const TEMPLATE_PREFIX: usize = 224;
/// Number of [`OTHER`] in every registry.
const OTHER_ID: EndpointId = 0;

/// Whether the name is a reserved row, which is never accused.
pub(crate) fn is_reserved(endpoint: &str) -> bool {
    endpoint == OTHER
}

/// All endpoints of this process. The registry never forgets one: a service has a fixed set of routes, and everything beyond
/// the limit shares `other`.
#[derive(Debug)]
pub(crate) struct Registry {
    templates: RwLock<Templates>,
    /// Templates at most, the reserved ones included.
    limit: usize,
}

#[derive(Debug)]
struct Templates {
    ids: HashMap<Arc<str>, EndpointId>,
    /// By number.
    names: Vec<Arc<str>>,
}

impl Registry {
    /// Room for `limit` templates beside the reserved ones.
    pub(crate) fn new(limit: usize) -> Self {
        let names: Vec<Arc<str>> = vec![OTHER.into(), UNMATCHED.into()];
        let ids = names.iter().cloned().zip(0..).collect();
        Self { templates: RwLock::new(Templates { ids, names }), limit: limit + 2 }
    }

    fn read(&self) -> RwLockReadGuard<'_, Templates> {
        self.templates.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names by number.
    pub(crate) fn with_names<T>(&self, read: impl FnOnce(&[Arc<str>]) -> T) -> T {
        read(&self.read().names)
    }

    /// The number of a template and its shared name, or `None` when it has to share `other`.
    fn intern(&self, template: &str) -> Option<(Arc<str>, EndpointId)> {
        let known = |templates: &Templates| templates.ids.get_key_value(template).map(|(name, id)| (name.clone(), *id));
        let templates = self.read();
        if let Some(found) = known(&templates) {
            return Some(found);
        }
        if templates.names.len() >= self.limit {
            return None;
        }
        drop(templates);
        let mut templates = self.templates.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known(&templates) {
            return Some(found);
        }
        if templates.names.len() >= self.limit {
            return None;
        }
        let (name, id): (Arc<str>, _) = (template.into(), templates.names.len() as EndpointId);
        templates.names.push(name.clone());
        templates.ids.insert(name.clone(), id);
        Some((name, id))
    }
}

/// A place for an endpoint that was used lately.
type RecentEndpoint = Option<(Arc<str>, EndpointId)>;

/// Places for endpoints that were used lately: more than the hot routes of most services. A power of two, so that the top six
/// bits of a mix pick one.
const RECENT_ENDPOINTS: usize = 64;

/// A stripe's own copy of the registry, so that a known endpoint takes no shared lock.
#[derive(Debug)]
pub(crate) struct EndpointCache {
    /// Indexed by a cheap mix of the first and last bytes of the name. Each name has one place, so that a look-up is one comparison.
    recent: Box<[RecentEndpoint; RECENT_ENDPOINTS]>,
    /// All endpoints that this stripe has used.
    ids: HashMap<Arc<str>, EndpointId, RandomState>,
}

impl EndpointCache {
    pub(crate) fn new(hasher: RandomState) -> Self {
        Self { recent: Box::new([const { None }; RECENT_ENDPOINTS]), ids: HashMap::with_hasher(hasher) }
    }

    /// The number of a template that was used lately.
    #[inline]
    pub(crate) fn recent(&self, template: &str) -> Option<EndpointId> {
        if template.is_empty() {
            return Some(UNMATCHED_ID);
        }
        let (name, id) = self.recent[place_of(template)].as_ref()?;
        same(name.as_bytes(), template.as_bytes()).then_some(*id)
    }

    /// The endpoint of a template.
    pub(crate) fn resolve(&mut self, template: &str, registry: &Registry) -> ResolvedEndpoint {
        if let Some(id) = self.recent(template) {
            return ResolvedEndpoint::known(id);
        }
        let place = place_of(template);
        if let Some((name, &id)) = self.ids.get_key_value(template) {
            self.recent[place] = Some((name.clone(), id));
            return ResolvedEndpoint::known(id);
        }
        let template = if template.len() <= MAX_TEMPLATE {
            Cow::Borrowed(template)
        } else {
            let cut = shortened(template.as_bytes(), template.floor_char_boundary(TEMPLATE_PREFIX));
            Cow::Owned(String::from_utf8_lossy(&cut).into_owned())
        };
        if let Some(&id) = self.ids.get(&*template) {
            return ResolvedEndpoint::known(id);
        }
        // A full copy of a full registry: all other templates share `other`, and a flood of raw paths takes no lock.
        if self.ids.len() >= registry.limit {
            return ResolvedEndpoint::OTHER;
        }
        match registry.intern(&template) {
            Some((name, id)) => {
                self.ids.insert(name, id);
                ResolvedEndpoint::known(id)
            }
            None => ResolvedEndpoint::OTHER,
        }
    }
}

#[inline]
fn place_of(template: &str) -> usize {
    (mix(template.as_bytes()) >> 58) as usize % RECENT_ENDPOINTS
}

/// A route template from a raw path: numbers, UUIDs, hashes and long ids become `{id}`; query and fragment are cut off.
///
/// For callers that know only raw paths, such as a replay of a log. An adapter passes the framework's own template.
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

/// Whether a segment is an id: a number, a UUID or hash (hex of at least 8 characters with a digit), or a token of at least 16
/// characters that mixes letters with four digits or more.
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
        assert_eq!(cache.resolve("", &registry), ResolvedEndpoint::known(1));
        assert_eq!(cache.resolve("/a", &registry), ResolvedEndpoint::known(2));
        assert_eq!(cache.resolve("/b", &registry), ResolvedEndpoint::known(3));
        assert_eq!(cache.resolve("/c", &registry), ResolvedEndpoint::OTHER);
        assert_eq!(cache.resolve("/a", &registry), ResolvedEndpoint::known(2));
        let mut second = EndpointCache::new(RandomState::new());
        assert_eq!(second.resolve("/b", &registry), ResolvedEndpoint::known(3));
        assert_eq!(second.resolve("/d", &registry), ResolvedEndpoint::OTHER);
        assert_eq!(registry.with_names(<[_]>::len), 4);
    }

    #[test]
    fn long_templates_are_cut_but_stay_apart() {
        let registry = Registry::new(10);
        let mut cache = EndpointCache::new(RandomState::new());
        let (a, b) = ("/é".repeat(500), "/é".repeat(499) + "/y");
        let ids = [&a, &b, &a].map(|template| cache.resolve(template, &registry).id);
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
