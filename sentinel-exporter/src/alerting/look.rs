//! The facts that the leader judges alerts by: from its view of the host, or from its own counts while it has no view.

use sentinel_core::alert::{Facts, Rules, State, Subject};
use sentinel_core::{By, Query, Scope, Sentinel};
use std::collections::BTreeSet;

/// Tenants in the facts: those with the most errors, and as many of the slowest.
const MAX_TENANTS: usize = 1_000;
/// Most missing tenants that are asked for one by one.
const MAX_SINGLE_QUERIES: usize = 8;

/// The facts as of now. `view` is the view of the host and a note on blocks that it leaves out, or the reason why there is none.
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
    let query = |by| Query { by, limit: MAX_TENANTS, scope: Some(Scope::Process), ..Query::default() };
    let mut facts = Facts::of(&sentinel.report(query(By::Errors)));
    if rules.tenant_latency.is_some() {
        facts.rows(&sentinel.report(query(By::Latency)));
    }
    // A tenant with an alert is followed as long as the alert lasts, also when it is no longer listed. Few are asked for one by
    // one: each is a query of its own.
    let missing =
        |facts: &Facts| state.tenants().filter(|id| facts.find(id).is_none()).map(Into::into).collect::<Vec<Vec<u8>>>();
    let mut absent = missing(&facts);
    if absent.len() > MAX_SINGLE_QUERIES {
        let shown: BTreeSet<String> = absent.iter().map(|id| Subject::Tenant(id.clone()).shown()).collect();
        let mut all = sentinel.report(Query { limit: usize::MAX, ..query(By::Errors) });
        all.tenants.retain(|row| shown.contains(&row.tenant_id));
        facts.rows(&all);
        // The others have no requests.
        missing(&facts).iter().for_each(|id| facts.tenant(id, None));
        absent.clear();
    }
    for id in absent {
        facts.tenant(&id, sentinel.tenant_within(Some(Scope::Process), &id, None).as_ref());
    }
    (facts.partial, facts.note) = (partial, note);
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_core::alert::{Alerts, TenantErrors};
    use sentinel_core::{Clock, Event};

    /// However many tenants are followed and not listed any more, each is known as it is: by one query for all of them as by one
    /// each.
    #[test]
    fn who_is_followed_is_known_whether_listed_or_not() {
        const START: i64 = 1_700_000_400_000;
        for (followed, others) in [(4, 1_500), (300, 1_500)] {
            let sentinel = Sentinel::builder().places(4_096).stripes(1).clock(Clock::manual(START)).build().unwrap();
            let rules = Rules {
                tenant_errors: Some(TenantErrors { at_least: 1, ..TenantErrors::default() }),
                ..Rules::default()
            };
            let alerts = Alerts::new("shop", rules.clone()).unwrap();
            let mut facts = Facts::new(START, 600_000);
            let ids: Vec<String> = (0..followed).map(|i| format!("quiet\n{i}")).collect();
            ids.iter()
                .for_each(|id| facts.row(id.as_bytes(), sentinel_core::alert::Row { errors: 5, ..Default::default() }));
            let (state, _) = alerts.step(State::default(), START, Some(&facts));
            assert_eq!(state.tenants().count(), followed);
            let hit = |tenant: &str, status| {
                sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: "/", status, ..Event::default() });
            };
            // All but one of them are there, with less than the others have.
            ids.iter().skip(1).for_each(|id| hit(id, 500));
            (0..others).for_each(|i| (0..3).for_each(|_| hit(&format!("loud-{i}"), 500)));
            let facts = look(&sentinel, Ok((&sentinel, None)), &rules, &state);
            assert_eq!(facts.find(ids[0].as_bytes()).map(|row| row.errors), Some(0));
            assert!(ids.iter().skip(1).all(|id| facts.find(id.as_bytes()).is_some_and(|row| row.errors == 1)));
        }
    }
}
