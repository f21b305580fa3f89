//! What the leader judges alerts by: its view of the host, or what it knows itself while it has none.

use sentinel_core::alert::{Facts, Rules, State};
use sentinel_core::{By, Query, Scope, Sentinel};

/// Tenants of a look, those with the most errors; and as many that are the slowest.
const TENANTS: usize = 1_000;

/// The facts of now. `view` is of the whole host, with what it leaves out; or why there is none.
pub(crate) fn look(
    own: &Sentinel,
    view: Result<(&Sentinel, Option<String>), String>,
    rules: &Rules,
    state: &State,
) -> Facts {
    let (sentinel, note, partial) = match view {
        Ok((view, note)) => (view, note, false),
        Err(why) => (own, Some(why), true),
    };
    let query = |by| Query { by, limit: TENANTS, scope: Some(Scope::Process), ..Query::default() };
    let mut facts = Facts::of(&sentinel.report(query(By::Errors)));
    if rules.tenant_latency.is_some() {
        facts.rows(&sentinel.report(query(By::Latency)));
    }
    // Who is no longer among them has to be known as long as there is an alert about him.
    for id in state.tenants() {
        if facts.find(id).is_none() {
            facts.tenant(id, sentinel.tenant_within(Some(Scope::Process), id, None).as_ref());
        }
    }
    (facts.partial, facts.note) = (partial, note);
    facts
}
