//! The exporters of this process, all of which publish their last counts before the interpreter ends.

use sentinel_exporter::Exporter;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// Exporters that were created and may be alive.
static EXPORTERS: Mutex<Vec<Weak<Exporter>>> = Mutex::new(Vec::new());

/// Longest wait at exit, for all exporters together.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Registers an exporter, so that `close` reaches it while it is alive.
pub(crate) fn remember(exporter: &Arc<Exporter>) {
    // The lock stays taken in a forked child where another thread held it at the fork. The child's exporters are then not closed,
    // and the counts of its last two seconds are lost.
    if let Ok(mut all) = EXPORTERS.try_lock() {
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(exporter));
    }
}

/// Exporters that are ending. Dropping this waits for none of them.
pub(crate) struct Closing {
    exporters: Vec<Arc<Exporter>>,
    end: Instant,
}

/// Tells all exporters to end, at the same time, so that one that hangs keeps no other from publishing. Does not wait. From here
/// on no call waits for an answer of theirs either.
pub(crate) fn close() -> Closing {
    let all = EXPORTERS.try_lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default();
    let exporters: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
    for exporter in &exporters {
        exporter.close(Duration::ZERO);
    }
    Closing { exporters, end: Instant::now() + MAX_WAIT }
}

impl Closing {
    /// Waits until the exporters have published their last counts, or `MAX_WAIT` since `close` is over.
    pub(crate) fn wait(&self) {
        for exporter in &self.exporters {
            exporter.close(self.end.saturating_duration_since(Instant::now()));
        }
    }
}
