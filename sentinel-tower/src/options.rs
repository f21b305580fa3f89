//! Options of the layer, as the service reads them for each request.

use crate::tenant::{Head, TenantFrom};
use sentinel_core::Sentinel;
use std::collections::HashSet;
use std::sync::Arc;

/// Names a request's endpoint.
pub(crate) type NameEndpoint = Arc<dyn Fn(&Head<'_>) -> Option<String> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct LayerOptions {
    pub(crate) sentinel: Sentinel,
    pub(crate) tenant: TenantFrom,
    pub(crate) excluded: HashSet<String>,
    pub(crate) endpoint: Option<NameEndpoint>,
    pub(crate) settable: bool,
}
