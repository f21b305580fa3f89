//! One request from its start until it is recorded: exactly once, however it ends.

use crate::tenant::{CurrentTenant, Tenant};
use sentinel_core::Guard;

/// Status of a request whose client went away.
pub(crate) const ABORTED: u16 = 499;
/// Status of a request whose service or body returned an error or panicked.
pub(crate) const FAILED: u16 = 500;

/// The route template of a request.
#[derive(Clone)]
pub(crate) enum Template {
    /// By axum's router, which shares the text.
    #[cfg(feature = "axum")]
    Matched(axum::extract::MatchedPath),
    /// By [`SentinelLayer::endpoint`](crate::SentinelLayer::endpoint).
    Named(Box<str>),
    Unmatched,
}

impl Template {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            #[cfg(feature = "axum")]
            Self::Matched(path) => path.as_str(),
            Self::Named(name) => name,
            Self::Unmatched => "",
        }
    }
}

/// A request that is recorded at the latest when this is dropped: as failed when the drop comes while the service or the body runs,
/// since they have panicked then, and otherwise with the status `unfinished`.
pub(crate) struct Watch {
    guard: Option<Guard>,
    template: Template,
    settable: Option<CurrentTenant>,
    /// The code of the service or the body runs. (`panicking()` cannot tell: a runtime catches the panic, then drops the future.)
    inside: bool,
    /// Status of the request when this is dropped before `finish`.
    pub(crate) unfinished: u16,
}

impl Watch {
    pub(crate) fn new(guard: Guard, template: Template, settable: Option<CurrentTenant>) -> Self {
        Self { guard: Some(guard), template, settable, inside: false, unfinished: ABORTED }
    }

    /// Names the tenant.
    pub(crate) fn tenant(&mut self, tenant: &Tenant) {
        if let Some(guard) = &mut self.guard {
            guard.tenant(tenant.as_bytes());
        }
    }

    /// Runs code of the service or the body, and notes that it returned.
    pub(crate) fn within<T>(&mut self, run: impl FnOnce() -> T) -> T {
        self.inside = true;
        let out = run();
        self.inside = false;
        out
    }

    /// Records the request, unless it was recorded before.
    pub(crate) fn finish(&mut self, status: u16) {
        if let Some(guard) = self.ended() {
            guard.finish(self.template.as_str(), status);
        }
    }

    /// Takes the guard, with the tenant that the handler has named.
    fn ended(&mut self) -> Option<Guard> {
        let mut guard = self.guard.take()?;
        if let Some(tenant) = self.settable.as_ref().and_then(CurrentTenant::get) {
            guard.tenant(tenant.as_bytes());
        }
        Some(guard)
    }

    /// Ends the request without counting it.
    pub(crate) fn discard(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.discard();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let status = if self.inside { FAILED } else { self.unfinished };
        if let Some(guard) = self.ended() {
            guard.abandon(self.template.as_str(), status);
        }
    }
}
