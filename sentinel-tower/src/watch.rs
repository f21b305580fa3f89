//! One request that is being answered, until it is recorded: once, however it ends.

use crate::tenant::{CurrentTenant, Tenant};
use sentinel_core::Guard;

/// The client went away.
pub(crate) const ABORTED: u16 = 499;
/// The service, or the body, gave an error or panicked.
pub(crate) const FAILED: u16 = 500;

/// The route template, shared with whoever knows it.
#[derive(Clone)]
pub(crate) enum Template {
    #[cfg(feature = "axum")]
    Matched(axum::extract::MatchedPath),
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

/// Dropped before the request was recorded, it records it: as failed while the service runs, for then it has panicked, and else
/// with what `unfinished` says.
pub(crate) struct Watch {
    guard: Option<Guard>,
    template: Template,
    settable: Option<CurrentTenant>,
    /// Inside the service's or the body's code. (`panicking()` does not tell: a runtime catches the panic, then drops the future.)
    inside: bool,
    pub(crate) unfinished: u16,
}

impl Watch {
    pub(crate) fn new(guard: Guard, template: Template, settable: Option<CurrentTenant>) -> Self {
        Self { guard: Some(guard), template, settable, inside: false, unfinished: ABORTED }
    }

    pub(crate) fn tenant(&mut self, tenant: &Tenant) {
        if let Some(guard) = &mut self.guard {
            guard.tenant(tenant.as_bytes());
        }
    }

    /// Runs the service's or the body's code, and notes that it came back.
    pub(crate) fn within<T>(&mut self, run: impl FnOnce() -> T) -> T {
        self.inside = true;
        let out = run();
        self.inside = false;
        out
    }

    /// Records it. Nothing, when it was already.
    pub(crate) fn finish(&mut self, status: u16) {
        if let Some(guard) = self.ended() {
            guard.finish(self.template.as_str(), status);
        }
    }

    fn ended(&mut self) -> Option<Guard> {
        let mut guard = self.guard.take()?;
        if let Some(tenant) = self.settable.as_ref().and_then(CurrentTenant::get) {
            guard.tenant(tenant.as_bytes());
        }
        Some(guard)
    }

    /// It is nobody's business.
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
