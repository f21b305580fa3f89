//! Every rule at the boundary, one by one: what comes in malformed, late, early, too long or too much; and what is
//! in flight. (The shape of what goes out is in `text.rs`.)

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

use sentinel_core::{Block, Builder, By, Clock, Event, Kind, Latency, MergeError, Query, Report, Sentinel, Stats};
use std::time::Duration;

const NOW: i64 = 1_700_000_004_000;
const SLOT: i64 = 10_000;
const WINDOW: i64 = 600_000;
/// Start of the oldest slot that is in the window now.
const OLDEST: i64 = 1_700_000_000_000 - WINDOW;
const YEARS: i64 = 10 * 365 * 86_400_000;

fn built(options: impl FnOnce(Builder) -> Builder) -> Sentinel {
    options(Sentinel::builder().clock(Clock::manual(NOW))).build().unwrap()
}

fn sentinel() -> Sentinel {
    built(|builder| builder)
}

fn request(tenant: &[u8]) -> Event<'_> {
    Event { tenant, endpoint: "/v1/process", ..Event::default() }
}

fn report(sentinel: &Sentinel) -> Report {
    sentinel.report(Query { limit: 100, ..Query::default() })
}

fn last(sentinel: &Sentinel, seconds: u64) -> u64 {
    sentinel.report(Query { window: Some(Duration::from_secs(seconds)), ..Query::default() }).totals.requests
}

fn balanced(sentinel: &Sentinel) -> Stats {
    let stats = sentinel.stats();
    assert_eq!(stats.offered, stats.accepted + stats.dropped.status + stats.dropped.late);
    assert_eq!(stats.accepted, stats.in_window + stats.expired);
    stats
}

/// `status` of `tenant` in the last twenty seconds, after four minutes in which all went well for everyone.
fn incident(sentinel: &Sentinel, fails: impl Fn(usize) -> Option<Event<'static>>) {
    for second in 0..260 {
        for i in 0..20 {
            let id = format!("t{i}");
            let failing = fails(i).filter(|_| second >= 240);
            let calm =
                Event { tenant: id.as_bytes(), endpoint: "/a", latency: Latency::from_millis(5.0), ..Event::default() };
            match failing {
                Some(event) if event.tenant.is_empty() && event.endpoint != "/a" => {
                    sentinel.record(Event { tenant: id.as_bytes(), ..event });
                }
                Some(event) => sentinel.record(event),
                None => sentinel.record(calm),
            }
        }
        sentinel.tick(NOW + 1_000 * (second + 1));
    }
}

#[test]
fn a_missing_tenant_is_unattributed_and_never_a_culprit() {
    let sentinel = sentinel();
    incident(&sentinel, |i| (i == 7).then_some(Event { endpoint: "/a", status: 500, ..Event::default() }));
    let report = report(&sentinel);
    let row = &report.tenants[0];
    assert_eq!((row.tenant_id.as_str(), row.errors, row.culprit), ("unattributed", 20, false));
    assert!(report.verdict.tenants.is_empty() && report.verdict.kind != Kind::OneTenant, "{report}");
    assert_eq!(sentinel.tenant(b"", None), sentinel.tenant(b"unattributed", None));
    // Who calls himself that is somebody, and is told apart.
    sentinel.record(Event { tenant: b"unattributed", ..Event::default() });
    assert_eq!(sentinel.tenant(b"unattributed", None).unwrap().row.tenant_id, "\\unattributed");
    assert_eq!(sentinel.tenant(b"", None).unwrap().row.errors, 20);
    // The same by name is accused: the test above is about the id.
    let named = self::sentinel();
    incident(&named, |i| {
        (i == 7).then_some(Event { tenant: b"acme", endpoint: "/a", status: 500, ..Event::default() })
    });
    assert_eq!((named.verdict().kind, named.verdict().tenants), (Kind::OneTenant, vec!["acme".to_string()]));
}

#[test]
fn long_ids_never_merge() {
    let sentinel = sentinel();
    let [fits, long] = [128, 129].map(|len| vec![b'x'; len]);
    let other = [&long[..128], b"y"].concat();
    for id in [&fits, &long, &other, &other] {
        sentinel.record(request(id));
    }
    let requests = [&fits, &long, &other].map(|id| sentinel.tenant(id, None).unwrap().row.requests);
    assert_eq!((requests, report(&sentinel).totals.tenants), ([1, 1, 2], 3));
    assert_eq!(balanced(&sentinel).adjusted.tenant_truncated, 3);
    let shown = sentinel.tenant(&other, None).unwrap().row.tenant_id;
    assert_eq!((shown.len(), &shown[..96]), (128, &"x".repeat(96)[..]));
    assert_eq!(sentinel.tenant(&fits, None).unwrap().row.tenant_id, "x".repeat(128));
}

#[test]
fn a_latency_that_is_none_is_not_counted() {
    let sentinel = sentinel();
    let with = |ms: f64| sentinel.record(Event { latency: Latency::from_millis(ms), ..request(b"acme") });
    [f64::NAN, -1.0, -1e-9, f64::INFINITY, f64::NEG_INFINITY].into_iter().for_each(with);
    sentinel.record(request(b"acme"));
    let row = report(&sentinel).tenants[0].clone();
    assert_eq!((row.requests, row.p50_ms, row.p99_ms, row.load_share, row.slow), (6, None, None, None, 0));
    assert_eq!((balanced(&sentinel).adjusted.latency, sentinel.stats().adjusted.latency_clamped), (5, 0));
    // The others do count, and what is above the top is clamped to it.
    [4_294_967.295, 4_294_967.296, 1e308].into_iter().for_each(with);
    let row = report(&sentinel).tenants[0].clone();
    assert_eq!((row.requests, balanced(&sentinel).adjusted.latency_clamped), (9, 2));
    let top = u32::MAX as f64 / 1_000.0;
    assert!(row.p50_ms.is_some_and(|p50| (p50 - top).abs() <= 0.032 * top && p50 <= top), "{row:?}");
    sentinel.record(Event { latency: Duration::MAX.into(), ..request(b"acme") });
    assert_eq!(balanced(&sentinel).adjusted.latency_clamped, 3);
}

#[test]
fn statuses_at_their_edges() {
    for (status, counts, error, aborted) in [
        (0, 0, 0, 0),
        (99, 0, 0, 0),
        (100, 1, 0, 0),
        (399, 1, 0, 0),
        (498, 1, 0, 0),
        (499, 1, 0, 1),
        (500, 1, 1, 0),
        (599, 1, 1, 0),
        (600, 0, 0, 0),
        (65_535, 0, 0, 0),
    ] {
        let sentinel = sentinel();
        sentinel.record(Event { status, ..request(b"acme") });
        let (totals, stats) = (report(&sentinel).totals, balanced(&sentinel));
        assert_eq!((totals.requests, totals.errors, totals.aborted), (counts, error, aborted), "{status}");
        assert_eq!((stats.accepted, stats.dropped.status, stats.dropped.late), (counts, 1 - counts, 0), "{status}");
    }
    let classes = built(|builder| builder.errors("4xx,aborted".parse().unwrap()));
    for status in [400, 498, 499, 500] {
        classes.record(Event { status, ..request(b"acme") });
    }
    assert_eq!(report(&classes).totals.errors, 3);
}

#[test]
fn late_events_count_in_their_own_slot() {
    let sentinel = sentinel();
    let at = |ms: i64| sentinel.record(Event { at: Some(ms), ..request(b"acme") });
    at(NOW - 100_000);
    assert_eq!((last(&sentinel, 90), last(&sentinel, 100), last(&sentinel, 600)), (0, 1, 1));
    at(OLDEST);
    at(OLDEST - 1);
    assert_eq!((last(&sentinel, 590), last(&sentinel, 600)), (1, 2));
    assert_eq!((balanced(&sentinel).dropped.late, sentinel.stats().accepted), (1, 2));
    let starts: Vec<i64> = sentinel.blocks().iter().map(Block::from_ms).collect();
    assert_eq!(starts, [OLDEST, 1_699_999_900_000]);
    // The window moves on: the oldest slot leaves it.
    sentinel.tick(NOW + SLOT);
    assert_eq!((last(&sentinel, 600), balanced(&sentinel).expired, sentinel.stats().in_window), (1, 1, 1));
}

#[test]
fn future_events_count_now() {
    let sentinel = sentinel();
    for (ahead, adjusted) in [(1, 0), (SLOT, 0), (SLOT + 1, 1), (YEARS, 2), (i64::MAX - NOW, 3)] {
        sentinel.record(Event { at: Some(NOW + ahead), ..request(b"acme") });
        assert_eq!(balanced(&sentinel).adjusted.future, adjusted, "{ahead}");
    }
    let report = report(&sentinel);
    assert_eq!((report.to_ms, report.totals.requests, last(&sentinel, 10)), (NOW, 5, 5));
    assert_eq!(sentinel.blocks().iter().map(Block::from_ms).collect::<Vec<_>>(), [1_700_000_000_000]);
}

#[test]
fn endpoints_beyond_the_limit_share_other() {
    let sentinel = built(|builder| builder.max_endpoints(2));
    let names = ["/a", "", "/b", "/c", "/d", "/a", "unmatched"];
    for endpoint in names {
        sentinel.record(Event { endpoint, status: 500, ..request(b"acme") });
    }
    let tenant = sentinel.tenant(b"acme", None).unwrap();
    let found: Vec<_> = tenant.endpoints.iter().map(|cell| (cell.endpoint.as_str(), cell.requests)).collect();
    assert_eq!(found, [("/a", 2), ("other", 2), ("unmatched", 2), ("/b", 1)]);
    assert_eq!(balanced(&sentinel).adjusted.endpoint_other, 2);
    // Long templates stay apart.
    let long = built(|builder| builder);
    let [a, b, c] = [256, 257, 258].map(|len| "/x".repeat(len / 2) + &"y".repeat(len % 2));
    for endpoint in [&a, &b, &c] {
        long.record(Event { endpoint, ..request(b"acme") });
    }
    let endpoints = long.tenant(b"acme", None).unwrap().endpoints;
    assert!(endpoints.len() == 3 && endpoints.iter().all(|cell| cell.endpoint.len() <= 256 && cell.requests == 1));
    assert!(endpoints.iter().any(|cell| cell.endpoint == a));
}

#[test]
fn other_is_never_the_failing_endpoint() {
    for (limit, named) in [(1, None), (2, Some("/b"))] {
        let sentinel = built(|builder| builder.max_endpoints(limit));
        incident(&sentinel, |i| (i % 2 == 0).then_some(Event { endpoint: "/b", status: 500, ..Event::default() }));
        let verdict = sentinel.verdict();
        assert_ne!(verdict.kind, Kind::Quiet);
        assert_eq!(verdict.endpoint.as_deref(), named, "{verdict}");
    }
}

#[test]
fn ids_are_cleaned_when_shown_and_kept_apart() {
    let sentinel = sentinel();
    let ids: [&[u8]; 9] = [
        b"a\nb",
        b"a\\u{a}b",
        b"\xff",
        b"\\xff",
        "\u{202e}a".as_bytes(),
        b"\\u{202e}a",
        b"\x1b[2J",
        b"\0",
        b"caf\xc3\xa9",
    ];
    for (i, id) in ids.into_iter().enumerate() {
        (0..=i).for_each(|_| sentinel.record(Event { status: 500, ..request(id) }));
    }
    let report = report(&sentinel);
    assert_eq!(report.totals.tenants, 9);
    let shown =
        ["a\\u{a}b", r"a\\u{a}b", "\\xff", r"\\xff", "\\u{202e}a", r"\\u{202e}a", "\\u{1b}[2J", "\\u{0}", "café"];
    for (i, id) in ids.into_iter().enumerate() {
        let row = sentinel.tenant(id, None).unwrap().row;
        assert_eq!((row.requests, row.tenant_id.as_str()), (i as u64 + 1, shown[i]));
    }
    sentinel.record(Event { endpoint: "/\u{202e}x\n", ..request(b"paths") });
    assert_eq!(sentinel.tenant(b"paths", None).unwrap().endpoints[0].endpoint, "/\\u{202e}x\\u{a}");
    let hostile = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!report.to_string().contains(hostile) && !serde_json::to_string(&report).unwrap().contains(hostile));
}

fn hostile_times(now: i64) {
    let sentinel = Sentinel::builder().clock(Clock::manual(now)).anchor_ms(3).build().unwrap();
    for at in [None, Some(i64::MIN), Some(0), Some(i64::MAX), Some(now)] {
        sentinel.record(Event { at, ..request(b"acme") });
        balanced(&sentinel);
    }
    assert!(last(&sentinel, 10) >= 2, "{now}");
    for tick in [i64::MIN, 0, NOW, i64::MAX] {
        sentinel.tick(tick);
        sentinel.record(request(b"acme"));
        let report = report(&sentinel);
        assert!(report.from_ms <= report.to_ms && report.totals.requests > 0, "{now} {tick}");
        assert_eq!(balanced(&sentinel).in_window, report.totals.requests, "{now} {tick}");
        assert!(report.to_ms.abs_diff(now.max(tick)) <= 3, "{now} {tick}: {}", report.to_ms);
    }
}

#[test]
fn no_time_is_too_late() {
    [NOW, i64::MAX - 1, i64::MAX].into_iter().for_each(hostile_times);
}

#[test]
fn no_time_is_too_early() {
    [0, -1, i64::MIN + 1, i64::MIN].into_iter().for_each(hostile_times);
}

#[test]
fn time_never_goes_back_and_gaps_are_empty() {
    let sentinel = sentinel();
    sentinel.record(request(b"acme"));
    for back in [NOW - 1, NOW - YEARS] {
        sentinel.tick(back);
        assert_eq!((sentinel.now_ms(), last(&sentinel, 600)), (NOW, 1));
    }
    let mut now = NOW;
    for gap in [WINDOW - SLOT, SLOT, SLOT, WINDOW, 86_400_000, YEARS] {
        now += gap;
        sentinel.tick(now);
        let (report, stats) = (report(&sentinel), balanced(&sentinel));
        let alive = u64::from(now <= NOW + WINDOW);
        assert_eq!(
            (report.totals.requests, stats.in_window, report.verdict.kind),
            (alive, alive, Kind::Quiet),
            "{gap}"
        );
    }
    sentinel.record(Event { status: 500, ..request(b"acme") });
    assert_eq!((report(&sentinel).totals.errors, balanced(&sentinel).expired), (1, 1));
}

#[test]
fn any_length_of_window_may_be_asked_for() {
    let sentinel = sentinel();
    for at in [NOW, NOW - SLOT, OLDEST] {
        sentinel.record(Event { at: Some(at), ..request(b"acme") });
    }
    let asked = |window: Duration| {
        let report = sentinel.report(Query { window: Some(window), ..Query::default() });
        (report.window_ms, report.totals.requests)
    };
    for tiny in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(10)] {
        assert_eq!(asked(tiny), (10_000, 2), "{tiny:?}");
    }
    assert_eq!(asked(Duration::from_millis(10_001)), (20_000, 2));
    for huge in [Duration::from_secs(601), Duration::from_secs(1 << 40)] {
        assert_eq!(asked(huge), (WINDOW as u64, 3), "{huge:?}");
    }
}

#[test]
fn windows_beyond_all_time_are_the_whole_window() {
    let sentinel = sentinel();
    for window in [Duration::from_millis(i64::MAX as u64), Duration::from_millis(u64::MAX), Duration::MAX] {
        let report = sentinel.report(Query { window: Some(window), ..Query::default() });
        assert_eq!(report.window_ms, WINDOW as u64, "{window:?}");
    }
}

#[test]
fn slow_means_above_the_limit_rounded_up_to_a_bucket() {
    // Sixteen buckets to each power of two: the one of 1.1 s ends at 1.114 s.
    let sentinel = built(|builder| builder.slow_after(Duration::from_millis(1_100)));
    for ms in [1_000.0, 1_100.0, 1_115.0, 1_500.0, 2_000.0] {
        sentinel.record(Event { latency: Latency::from_millis(ms), ..request(b"acme") });
    }
    assert_eq!(report(&sentinel).tenants[0].slow, 3);
}

#[test]
fn foreign_blocks_must_fit() {
    let (here, there) = (sentinel(), built(|builder| builder.anchor_ms(3)));
    there.record(request(b"acme"));
    assert!(matches!(here.merge(there.blocks().remove(0)), Err(MergeError::Slots { .. })));
    here.record(request(b"acme"));
    let own = here.blocks().remove(0);
    assert!(matches!(here.merge(own.clone()), Err(MergeError::OwnBlock { .. })));
    for (now, fits) in [(NOW - 2 * SLOT, false), (NOW - SLOT, true), (NOW + WINDOW, true), (NOW + WINDOW + SLOT, false)]
    {
        let other = Sentinel::builder().clock(Clock::manual(now)).build().unwrap();
        assert_eq!(other.merge(own.clone()).is_ok(), fits, "{now}");
        assert_eq!((report(&other).totals.requests, balanced(&other).accepted), (u64::from(fits), 0));
    }
}

#[test]
fn what_is_in_flight() {
    let sentinel = sentinel();
    let (mut hung, mut young, unknown) = (sentinel.start(), None, sentinel.start());
    hung.tenant(b"first guess");
    hung.tenant(b"hung");
    sentinel.record(Event { latency: Latency::from_millis(3_500.0), ..request(b"busy") });
    sentinel.tick(NOW + 2_000);
    young.get_or_insert(sentinel.start()).tenant(b"hung");
    sentinel.tick(NOW + 3_000);
    let load = sentinel.report(Query { by: By::Load, ..Query::default() });
    let rows: Vec<_> = load
        .tenants
        .iter()
        .map(|row| (row.tenant_id.as_str(), row.requests, row.in_flight, row.oldest_in_flight_ms))
        .collect();
    assert_eq!(rows, [("hung", 0, 2, Some(3_000)), ("busy", 1, 0, None), ("unattributed", 0, 1, Some(3_000))]);
    let shares: Vec<f64> = load.tenants.iter().map(|row| row.load_share.unwrap()).collect();
    assert!(
        shares.iter().zip([4.0 / 10.5, 3.5 / 10.5, 3.0 / 10.5]).all(|(found, exact)| (found - exact).abs() < 1e-12),
        "{shares:?}"
    );
    // It has completed nothing: nothing is known of it but that.
    let row = sentinel.tenant(b"hung", None).unwrap().row;
    assert_eq!(
        (row.error_rate, row.p50_ms, row.latency_deviation, row.top_endpoint, load.totals.tenants),
        (None, None, None, None, 1)
    );
    hung.finish("/v1/slow", 200);
    drop(young);
    drop(unknown);
    let tenant = sentinel.tenant(b"hung", None).unwrap();
    assert_eq!((tenant.row.in_flight, tenant.row.oldest_in_flight_ms, tenant.row.requests), (0, None, 2));
    assert!(tenant.row.p99_ms.is_some_and(|ms| (ms - 3_000.0).abs() <= 96.0), "{tenant:?}");
    let totals = report(&sentinel).totals;
    assert_eq!((totals.requests, totals.aborted, totals.errors, balanced(&sentinel).accepted), (4, 2, 0, 4));
    assert!(sentinel.tenant(b"first guess", None).is_none());
    // Of a long id, the one that is in flight is the one that is counted.
    let long = [b'x'; 300];
    let mut request = sentinel.start();
    request.tenant(&long);
    request.endpoint("/v1/long");
    assert_eq!(sentinel.tenant(&long, None).unwrap().row.in_flight, 1);
    drop(request);
    let tenant = sentinel.tenant(&long, None).unwrap();
    assert_eq!((tenant.row.in_flight, tenant.endpoints[0].endpoint.as_str()), (0, "/v1/long"));
}
