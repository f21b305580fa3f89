//! A forked child starts from zero, whichever code forked it.

/// Installs a handler, once, that tells the core in every forked child. `pthread_atfork` covers hosts that fork without the
/// interpreter's own hooks, such as uWSGI.
#[cfg(unix)]
pub(crate) fn install_handler() {
    use std::sync::Once;

    extern "C" fn in_child() {
        sentinel_core::fork::mark();
        crate::detached::forget_threads();
    }

    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler does two atomic operations, which are async-signal-safe, and its code stays mapped: the interpreter
        // never unloads an extension. A failure (no memory for the entry) leaves children unmarked and is no further harm.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

#[cfg(not(unix))]
pub(crate) fn install_handler() {}
