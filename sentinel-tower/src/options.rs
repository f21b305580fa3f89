//! Options of the layer, as the service reads them for each request.

use crate::tenant::{Head, TenantFrom};
use sentinel_core::Sentinel;
use std::collections::HashSet;
use std::sync::Arc;

/// Function that names the endpoint of a request.
pub(crate) type NameEndpoint = Arc<dyn Fn(&Head<'_>) -> Option<String> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct LayerOptions {
    pub(crate) sentinel: Sentinel,
    pub(crate) tenant: TenantFrom,
    /// Route templates that are not counted.
    pub(crate) excluded: HashSet<String>,
    pub(crate) endpoint: Option<NameEndpoint>,
    /// Handlers get a [`CurrentTenant`](crate::CurrentTenant).
    pub(crate) settable: bool,
}
