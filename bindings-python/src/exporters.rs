//! The exporters of this process: each publishes what is left before the interpreter ends.

use sentinel_exporter::Exporter;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// Those that were made and may be alive.
static ALL: Mutex<Vec<Weak<Exporter>>> = Mutex::new(Vec::new());

/// Longest wait at exit, for all of them.
const AT_EXIT: Duration = Duration::from_secs(1);

/// Remembers one until it is gone.
pub(crate) fn remember(exporter: &Arc<Exporter>) {
    // Held by another thread when this process was forked: then nobody closes what the child makes, and it loses what it
    // counted in its last two seconds.
    if let Ok(mut all) = ALL.try_lock() {
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(exporter));
    }
}

/// Those that are ending; dropped, they are not waited for.
pub(crate) struct Closing {
    exporters: Vec<Arc<Exporter>>,
    end: Instant,
}

/// Tells them all to end, at the same time: one that cannot keeps none of the others from publishing. Waits for nothing, and from
/// here on nobody waits for an answer of theirs.
pub(crate) fn close() -> Closing {
    let all = ALL.try_lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default();
    let exporters: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
    for exporter in &exporters {
        exporter.close(Duration::ZERO);
    }
    Closing { exporters, end: Instant::now() + AT_EXIT }
}

impl Closing {
    /// Until they have published what was left, or their time is over.
    pub(crate) fn wait(&self) {
        for exporter in &self.exporters {
            exporter.close(self.end.saturating_duration_since(Instant::now()));
        }
    }
}
