//! A forked child starts from zero, whoever forked it.

/// Has every child of this process marked, once. By `pthread_atfork` and not by the interpreter's hooks, so that a host that
/// forks without those, such as uWSGI, is covered as well.
#[cfg(unix)]
pub(crate) fn watch() {
    use std::sync::Once;

    extern "C" fn in_child() {
        sentinel_core::fork::mark();
        crate::detached::forget();
    }

    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler does two atomic operations, which are all right between fork and anything else, and it stays where
        // it is: the interpreter never unloads an extension. Failing (no memory for the entry) leaves a child unmarked, no worse.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

#[cfg(not(unix))]
pub(crate) fn watch() {}
