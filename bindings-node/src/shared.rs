//! One sentinel for all worker threads of a process.
//!
//! Each thread of Node has its own copy of the package's JavaScript, but the addon is loaded once: it is where they meet.

use sentinel_exporter::Exporter;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What the threads that hold it share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) core: sentinel_core::Sentinel,
    /// What shares with other processes, where that is configured.
    pub(crate) exporter: Option<Exporter>,
    pub(crate) admin_token: Option<String>,
    pub(crate) key: u32,
}

static KEYS: AtomicU32 = AtomicU32::new(1);
static ALL: Mutex<Option<HashMap<u32, Weak<Shared>>>> = Mutex::new(None);

impl Shared {
    /// One that can be found by its key, for as long as somebody holds it.
    pub(crate) fn new(
        core: sentinel_core::Sentinel,
        exporter: Option<Exporter>,
        admin_token: Option<String>,
    ) -> Arc<Self> {
        let shared = Arc::new(Self { core, exporter, admin_token, key: KEYS.fetch_add(1, Ordering::Relaxed) });
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_or_insert_default().insert(shared.key, Arc::downgrade(&shared));
        shared
    }

    pub(crate) fn find(key: u32) -> Option<Arc<Self>> {
        ALL.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(&key)?.upgrade()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(all) = &mut *ALL.lock().unwrap_or_else(PoisonError::into_inner) {
            all.remove(&self.key);
        }
    }
}
