//! Leaders that end at any moment, sinks that are dead for an hour, disks that are full: who is told, and how often.
#![allow(clippy::unwrap_used, clippy::unnecessary_literal_bound, clippy::needless_pass_by_value)] // a test fails by panicking; as the trait has it

use super::*;
use crate::sink::Sending;
use sentinel_core::Kind;
use sentinel_core::alert::{Accused, Status};
use std::path::Path;

pub(crate) const START: i64 = 1_700_000_000_000;

pub(crate) fn place(dir: &Path) -> Place {
    std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    Place::new(Some(dir), "shop").unwrap()
}

/// Tells at once, and ends at once.
pub(crate) fn plan<const N: usize>(sinks: [Arc<dyn Sink>; N]) -> AlertPlan {
    let options: AlertOptions = serde_json::from_str(
        r#"{"verdict": {"keep_firing_for": 0}, "grouping": {"first": 0, "then": 0, "repeat": "168h"}}"#,
    )
    .unwrap();
    let config = Config { service: Some("shop".into()), alerts: Some(options), ..Config::default() };
    AlertPlan::of(&config, &sinks).unwrap().unwrap()
}

fn accused(tenant: &str) -> Accused {
    Accused { kind: Kind::OneTenant, tenants: vec![tenant.into()], window_ms: 60_000, ..Accused::default() }
}

pub(crate) fn quiet(at_ms: i64) -> Facts {
    Facts::new(at_ms, 600_000)
}

pub(crate) fn hit(at_ms: i64, tenant: &str) -> Facts {
    quiet(at_ms).with_verdict(accused(tenant))
}

/// A sink in name only: the test says how it goes.
#[derive(Debug)]
pub(crate) struct Named(pub(crate) &'static str);

impl Sink for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn kind(&self) -> &'static str {
        "named"
    }

    fn send<'a>(&'a self, _: &'a Notice) -> Sending<'a> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn it_is_on_disk_before_it_is_sent_and_whoever_leads_next_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (place, plan) = (place(dir.path()), plan([Arc::new(Named("a")), Arc::new(Named("b"))]));
    let mut first = Alerting::open(&place, &plan).unwrap();
    first.step(START, Some(&hit(START, "acme"))).unwrap();
    let known = Alerting::read(&place, &plan).unwrap();
    assert_eq!(known.sinks.iter().map(|sink| sink.pending).collect::<Vec<_>>(), [1, 1]);
    let sent = first.next(Moment::new(Duration::ZERO, START));
    assert_eq!(sent.len(), 2);
    first.done(sent[0].ticket, Ok(()), Moment::new(Duration::ZERO, START), 0.0).unwrap();
    // Killed while the other one is on its way.
    drop(first);
    let mut second = Alerting::open(&place, &plan).unwrap();
    let again = second.next(Moment::new(Duration::ZERO, START + 5_000));
    assert_eq!(
        again.iter().map(|one| (one.sink.name(), one.notice.id)).collect::<Vec<_>>(),
        [("b", sent[1].notice.id)]
    );
    second.done(again[0].ticket, Ok(()), Moment::new(Duration::ZERO, START), 0.0).unwrap();
    // It goes on: nobody is told again.
    second.step(START + 6_000, Some(&hit(START + 6_000, "acme"))).unwrap();
    assert!(second.next(Moment::new(Duration::from_secs(9), START + 6_000)).is_empty());
    second.step(START + 7_000, Some(&quiet(START + 7_000))).unwrap();
    let over = second.next(Moment::new(Duration::from_secs(9), START + 7_000));
    assert_eq!(over[0].notice.listed[0].status, Status::Resolved);
    let (here, there) = (second.report(), Alerting::read(&place, &plan).unwrap());
    assert_eq!((here.recent.len(), &here.recent, &here.sinks), (1, &there.recent, &there.sinks));
    assert_eq!(here.alerts, there.alerts);
    assert!(here.leader && !there.leader);
}

#[test]
fn a_sink_that_is_gone_is_forgotten_and_one_that_is_new_begins() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(dir.path());
    let mut alerting = Alerting::open(&place, &plan([Arc::new(Named("a")), Arc::new(Named("b"))])).unwrap();
    alerting.step(START, Some(&hit(START, "acme"))).unwrap();
    alerting.configure(&plan([Arc::new(Named("b")), Arc::new(Named("c"))]));
    let names = |alerting: &Alerting| alerting.journal.values().keys().cloned().collect::<Vec<_>>();
    // Whoever leads next may still have it, for as long as anybody wants to know.
    alerting.forget(START + 24 * 3_600_000).unwrap();
    assert_eq!(names(&alerting), ["sink/a", "sink/b", "state"]);
    let sent = alerting.next(Moment::new(Duration::ZERO, START));
    assert_eq!(sent.iter().map(|one| one.sink.name()).collect::<Vec<_>>(), ["b"]);
    alerting.forget(START + 24 * 3_600_000 + 1).unwrap();
    assert_eq!(names(&alerting), ["sink/b", "state"]);
    // Configured anew while one is on its way: how that went says nothing of the one that is sent again.
    alerting.configure(&plan([Arc::new(Named("b")), Arc::new(Named("c"))]));
    let again = alerting.next(Moment::new(Duration::ZERO, START));
    alerting
        .done(sent[0].ticket, Err(&Failed::Refused { why: "404".into() }), Moment::new(Duration::ZERO, START), 0.0)
        .unwrap();
    let report = alerting.report();
    assert_eq!(report.sinks.iter().map(|sink| sink.pending).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(report.sinks[0].last_error, None);
    alerting.done(again[0].ticket, Ok(()), Moment::new(Duration::ZERO, START), 0.0).unwrap();
    assert_eq!(alerting.report().sinks[0].delivered, 1);
}

#[test]
fn people_are_told_although_it_cannot_be_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let (place, plan) = (place(dir.path()), plan([Arc::new(Named("a"))]));
    let mut alerting = Alerting::open(&place, &plan).unwrap();
    alerting.journal.fill();
    assert!(alerting.step(START, Some(&hit(START, "acme"))).is_err());
    let sent = alerting.next(Moment::new(Duration::ZERO, START));
    assert_eq!(sent.len(), 1);
    // There is room again: whoever leads next knows what was told.
    alerting.done(sent[0].ticket, Ok(()), Moment::new(Duration::ZERO, START), 0.0).unwrap();
    let known = Alerting::read(&place, &plan).unwrap();
    assert_eq!((known.alerts.len(), known.sinks[0].delivered), (1, 1));
    alerting.journal.fill();
    assert!(alerting.step(START + 1_000, Some(&quiet(START + 1_000))).is_err());
    // Nothing happens any more, and it is written all the same.
    alerting.step(START + 12_000, Some(&quiet(START + 12_000))).unwrap();
    assert_eq!(Alerting::read(&place, &plan).unwrap().alerts, []);
}

/// Nobody takes anything for an hour, while more tenants fail and recover than can be followed.
#[test]
fn an_hour_of_dead_sinks_takes_a_bounded_place() {
    let dir = tempfile::tempdir().unwrap();
    let sinks: Vec<Arc<dyn Sink>> = vec![Arc::new(Named("a")), Arc::new(Named("b"))];
    let options: AlertOptions = serde_json::from_str(
        r#"{"tenant_errors": {"at_least": 10, "for": 0, "keep_firing_for": 0}, "grouping": {"first": 0, "then": 0}}"#,
    )
    .unwrap();
    let config = Config { service: Some("shop".into()), alerts: Some(options), ..Config::default() };
    let plan = AlertPlan::of(&config, &sinks).unwrap().unwrap();
    let place = place(dir.path());
    let mut alerting = Alerting::open(&place, &plan).unwrap();
    let dead = Failed::Later { why: "refused".into(), after: None };
    let mut attempts = 0;
    for second in 0..3_600_i64 {
        let now_ms = START + second * 1_000;
        let at = Duration::from_secs(second as u64);
        if second % 20 == 0 {
            let mut facts = quiet(now_ms);
            for tenant in 0..1_500 {
                let row = sentinel_core::alert::Row { requests: 100, errors: 50, ..Default::default() };
                facts.row(format!("tenant-{second}-{tenant}").as_bytes(), row);
            }
            alerting.step(now_ms, Some(&facts)).unwrap();
        } else if second % 20 == 10 {
            alerting.step(now_ms, Some(&quiet(now_ms))).unwrap();
        }
        for Attempt { ticket, .. } in alerting.next(Moment::new(at, now_ms)) {
            attempts += 1;
            alerting.done(ticket, Err(&dead), Moment::new(at, now_ms), 1.0).unwrap();
        }
    }
    assert!((20..200).contains(&attempts), "{attempts}");
    for sink in alerting.report().sinks {
        let dropped: u64 = sink.dropped.values().sum();
        assert_eq!((sink.offered, sink.delivered), (360, 0));
        assert_eq!(sink.offered, dropped + sink.pending);
        assert!(sink.pending <= 64, "{sink:?}");
    }
    let size = std::fs::metadata(place.path().join("alerts.journal")).unwrap().len();
    assert!(size < 8 << 20, "{size}");
}
