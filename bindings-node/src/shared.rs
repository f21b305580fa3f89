//! One sentinel for several worker threads of a process.
//!
//! Each thread of Node has its own copy of the package's JavaScript, but the addon is loaded once a process. So the addon keeps a map
//! from keys to sentinels, and a thread finds the sentinel of another thread by its key.

use sentinel_exporter::Exporter;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A sentinel and what belongs to it, shared by all threads that hold it.
#[derive(Debug)]
pub(crate) struct SharedSentinel {
    pub(crate) core: sentinel_core::Sentinel,
    /// Shares with other processes, where that is configured.
    pub(crate) exporter: Option<Exporter>,
    pub(crate) admin_token: Option<String>,
    pub(crate) key: u32,
}

static NEXT_KEY: AtomicU32 = AtomicU32::new(1);
static BY_KEY: Mutex<Option<HashMap<u32, Weak<SharedSentinel>>>> = Mutex::new(None);

impl SharedSentinel {
    /// Adds a sentinel, which can be found by its key until the last thread lets go of it.
    pub(crate) fn new(
        core: sentinel_core::Sentinel,
        exporter: Option<Exporter>,
        admin_token: Option<String>,
    ) -> Arc<Self> {
        let shared = Arc::new(Self { core, exporter, admin_token, key: NEXT_KEY.fetch_add(1, Ordering::Relaxed) });
        let mut by_key = BY_KEY.lock().unwrap_or_else(PoisonError::into_inner);
        by_key.get_or_insert_default().insert(shared.key, Arc::downgrade(&shared));
        shared
    }

    /// The sentinel with this key, if any thread still holds it.
    pub(crate) fn find(key: u32) -> Option<Arc<Self>> {
        BY_KEY.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(&key)?.upgrade()
    }
}

impl Drop for SharedSentinel {
    fn drop(&mut self) {
        if let Some(by_key) = &mut *BY_KEY.lock().unwrap_or_else(PoisonError::into_inner) {
            by_key.remove(&self.key);
        }
    }
}
