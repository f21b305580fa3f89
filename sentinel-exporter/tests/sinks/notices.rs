//! Notices as the alerts make them.

use sentinel_core::Kind;
use sentinel_core::alert::{Accused, Alerts, Facts, Grouping, Notice, Rules, State};
use std::time::Duration;

pub(crate) fn test() -> Notice {
    Notice::test("shop", 1_700_000_000_000)
}

/// One alert of a tenant with this id, on an endpoint.
pub(crate) fn accusing(id: &[u8], endpoint: &str) -> Notice {
    let accused = Accused {
        kind: Kind::OneTenant,
        tenants: vec![id.to_vec()],
        endpoint: Some(endpoint.into()),
        window_ms: 600_000,
        share: Some(0.64),
        errors: 192,
        of: 300,
        rate_without: Some(0.003),
        rate_normal: Some(0.002),
        ..Accused::default()
    };
    of(accused)
}

pub(crate) fn of(accused: Accused) -> Notice {
    let grouping = Grouping { first: Duration::ZERO, ..Grouping::default() };
    let alerts = Alerts::new("shop", Rules { grouping, ..Rules::default() }).unwrap();
    let facts = Facts::new(1_700_000_000_000, 600_000).with_verdict(accused);
    alerts.step(State::default(), 1_700_000_000_000, Some(&facts)).1.notice.unwrap()
}

/// The shown form of the id, as the notice's own JSON says it.
pub(crate) fn shown(notice: &Notice) -> String {
    notice.listed[0].alert.key.subject.shown()
}
