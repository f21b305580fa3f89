//! The wire form of a block: what is encoded is decoded, and decoding is total.
//!
//! Any bytes give a block or a `DecodeError`: never a panic, never memory beyond what the bytes can hold. `Wire` writes the
//! format a second time. What decodes can be merged, reported and encoded again, however large its counts are.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;
#[path = "common/wire.rs"]
mod wire;

use common::{Counting, START};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sentinel_core::{Block, By, Clock, DecodeError, Event, Kind, Latency, Query, Sentinel};
use std::time::Duration;
use wire::{MAX, Wire, sealed};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// No input of the small tests may cost more than this.
const PEAK: isize = 1 << 20;

fn sentinel() -> Sentinel {
    Sentinel::builder().stripes(1).places(8).clock(Clock::manual(START)).build().unwrap()
}

/// A block with a little of everything: tenants, endpoints, errors, latencies of several sizes, a tail.
fn small_block() -> Block {
    let sentinel = sentinel();
    for (tenant, endpoint, status, ms) in
        [("acme", "/v1/a", 500, 3.0), ("acme", "/v1/b", 200, 90.0), ("beta", "/v1/b", 499, 0.0)]
    {
        sentinel.record(Event {
            tenant: tenant.as_bytes(),
            endpoint,
            status,
            latency: Latency::from_millis(ms),
            at: None,
        });
    }
    sentinel.blocks().remove(0)
}

/// Checks the properties of any bytes. Returns the block if they are one.
fn total(bytes: &[u8]) -> Option<Block> {
    let (decoded, peak) = Counting::peak(|| Block::decode(bytes));
    assert!(peak < PEAK, "{peak} bytes to decode {} bytes: {bytes:02x?}", bytes.len());
    let block = decoded.map_err(|error| assert!(!error.to_string().is_empty())).ok()?;
    assert_eq!(Block::decode(&block.encode()).as_ref(), Ok(&block), "{bytes:02x?}");
    Some(block)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_decoded(
        places in 8_usize..40,
        hits in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..140), 0_u8..9, 100_u16..600, 0_u32..u32::MAX, 0_i64..40_000), 0..300),
    ) {
        let sentinel = Sentinel::builder().stripes(1).places(places).clock(Clock::manual(START + 40_000)).build().unwrap();
        for (tenant, endpoint, status, us, at) in &hits {
            let latency = if us % 5 == 0 { Latency::UNKNOWN } else { Duration::from_micros(u64::from(us >> (us % 32))).into() };
            let endpoint = format!("/päth/{}", endpoint * u8::try_from(places % 7).unwrap());
            sentinel.record(Event { tenant, endpoint: &endpoint, status: *status, latency, at: Some(START + at) });
        }
        let blocks = sentinel.blocks();
        prop_assert_eq!(blocks.iter().map(Block::requests).sum::<u64>(), hits.len() as u64);
        for block in blocks {
            let bytes = block.encode();
            let again = Block::decode(&bytes).unwrap();
            prop_assert_eq!(&again, &block);
            prop_assert_eq!(again.encode(), bytes);
        }
    }
}

#[test]
fn every_truncation_and_every_flip_is_an_error() {
    let bytes = small_block().encode();
    assert!(bytes.len() < 300);
    for end in 0..bytes.len() {
        assert!(Block::decode(&bytes[..end]).is_err(), "cut at {end}");
    }
    for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        let error = Block::decode(&flipped).unwrap_err();
        let expected = match at {
            0..4 => matches!(error, DecodeError::Magic { .. }),
            4 => error == DecodeError::Version { found: 1 ^ 1 << bit, readable: 1 },
            _ => matches!(error, DecodeError::Checksum { .. }),
        };
        assert!(expected, "bit {bit} of byte {at}: {error}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(Block::decode(&longer), Err(DecodeError::Checksum { .. })));
}

#[test]
fn every_change_under_a_right_checksum_is_a_block_or_an_error() {
    let bytes = small_block().encode();
    let body = &bytes[..bytes.len() - 4];
    let (mut blocks, mut errors) = (0, 0);
    for at in 5..body.len() {
        for value in 0..=255 {
            let mut changed = body.to_vec();
            changed[at] = value;
            if total(&sealed(&changed)).is_some() { blocks += 1 } else { errors += 1 }
        }
        // Cut, and with a byte more or less in the middle.
        let (head, rest) = body.split_at(at);
        for changed in
            [head.to_vec(), [head, &rest[1..]].concat(), [head, &[1], rest].concat(), [head, &[0xff; 9], rest].concat()]
        {
            total(&sealed(&changed));
        }
    }
    assert!(blocks > 1_000 && errors > 1_000, "{blocks} blocks, {errors} errors");
    for version in (0..=255).filter(|version| *version != 1) {
        let mut changed = body.to_vec();
        changed[4] = version;
        assert_eq!(Block::decode(&sealed(&changed)), Err(DecodeError::Version { found: version, readable: 1 }));
    }
}

#[test]
fn random_bytes_under_a_right_checksum_are_a_block_or_an_error() {
    let mut rng = StdRng::seed_from_u64(1);
    let bytes = small_block().encode();
    let template = &bytes[..bytes.len() - 4];
    for round in 0..60_000 {
        let mut body = b"SNTB\x01".to_vec();
        if round % 2 == 0 {
            // Small numbers get further in than large ones.
            let most = [2, 4, 16, 255][round / 2 % 4];
            body.extend((0..rng.random_range(0..200)).map(|_| rng.random_range(0..=most)));
        } else {
            body.extend_from_slice(&template[5..]);
            for _ in 0..rng.random_range(2..6) {
                let at = rng.random_range(5..body.len());
                body[at] = [rng.random(), 0, 0x80, 0xff][rng.random_range(0..4)];
            }
        }
        total(&sealed(&body));
    }
    for _ in 0..2_000 {
        let noise: Vec<u8> = (0..rng.random_range(0..200)).map(|_| rng.random()).collect();
        assert!(total(&noise).is_none());
    }
}

#[test]
fn the_format_is_what_wire_writes() {
    let plain = Wire { tail: [3, 1, 0], ..Wire::EMPTY };
    let block = total(&plain.bytes()).unwrap();
    assert_eq!((block.source(), block.from_ms(), block.to_ms(), block.requests()), (9, START, START + 10_000, 3));
    for wire in [plain, Wire::EMPTY, Wire::hostile(1)] {
        assert_eq!(total(&wire.bytes()).expect("a valid block").encode(), wire.bytes());
    }
}

#[test]
fn what_no_block_can_hold_is_named() {
    let row = |id, counts| (id, counts, [0; 3], vec![], vec![]);
    let refused = |wire: Wire| match Block::decode(&wire.bytes()).unwrap_err() {
        DecodeError::Invalid { field, .. } => field,
        other => panic!("{other}"),
    };
    let empty = || Wire::EMPTY;
    assert_eq!(refused(Wire { tail: [MAX + 1, 0, 0], ..empty() }), "tail");
    assert_eq!(refused(Wire { tail: [1, 2, 0], ..empty() }), "tail");
    assert_eq!(refused(Wire { offset: [0, u64::MAX, 0], ..empty() }), "offset");
    assert_eq!(refused(Wire { aborted: 1, ..empty() }), "requests");
    assert_eq!(refused(Wire { latency: vec![[0, 1]], ..empty() }), "requests");
    assert_eq!(refused(Wire { tail: [9; 3], latency: vec![[464, 1]], ..empty() }), "latency");
    assert_eq!(refused(Wire { tail: [9; 3], latency: vec![[4, 1], [4, 1]], ..empty() }), "latency");
    assert_eq!(refused(Wire { tail: [9; 3], latency: vec![[4, 1 << 32]], ..empty() }), "latency");
    assert_eq!(refused(Wire { rows: vec![row("b", [1; 3]), row("a", [1; 3])], ..empty() }), "tenant");
    assert_eq!(refused(Wire { rows: vec![row("a", [1; 3]), row("a", [1; 3])], ..empty() }), "tenant");
    assert_eq!(refused(Wire { rows: vec![row("acme", [0; 3])], ..empty() }), "tenant counts");
    let nameless = Wire { endpoints: vec![("", [1; 3], vec![])], ..empty() };
    assert_eq!(refused(nameless), "endpoint");
    assert_eq!(refused(Wire { rows: vec![row("a", [MAX; 3]), row("b", [1; 3])], ..empty() }), "totals");
    assert_eq!(refused(Wire { rows: vec![("a", [1; 3], [0; 3], vec![[4, 2]], vec![])], ..empty() }), "tenant latency");
    assert_eq!(
        refused(Wire { rows: vec![("a", [1; 3], [0; 3], vec![], vec![[0, 1, 1]])], ..empty() }),
        "tenant endpoints"
    );
    let named = || Wire { endpoints: vec![("/a", [1; 3], vec![])], ..empty() };
    assert_eq!(
        refused(Wire { rows: vec![("a", [1; 3], [0; 3], vec![], vec![[0, 2, 0]])], ..named() }),
        "endpoint requests"
    );
    assert_eq!(
        refused(Wire { rows: vec![("a", [1; 3], [0; 3], vec![], vec![[1, 1, 0]])], ..named() }),
        "tenant endpoint"
    );
    assert_eq!(
        refused(Wire { endpoints: vec![("/b", [1; 3], vec![]), ("/a", [1; 3], vec![])], ..empty() }),
        "endpoint"
    );
    assert_eq!(refused(Wire { endpoints: vec![("/b", [1; 3], vec![(64, 1)])], ..empty() }), "halves");
    assert_eq!(refused(Wire { endpoints: vec![("/b", [1; 3], vec![(6, 2)])], ..empty() }), "halves");
}

#[test]
fn a_huge_length_allocates_nothing() {
    // Each length of the format in turn says 2^60: the cells, the endpoints, an endpoint's halves, the rows, a row's.
    let bytes = Wire::hostile(1).bytes();
    let huge = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
    for at in 5..bytes.len() - 4 {
        let body = [&bytes[..at], &huge, &bytes[at + 1..bytes.len() - 4]].concat();
        total(&sealed(&body));
    }
}

/// Everything that a sentinel does with what it has merged.
fn use_it(sentinel: &Sentinel) {
    for second in 1..25 {
        sentinel.tick(START + 1_000 * second);
    }
    for by in By::ALL {
        let report = sentinel.report(Query { by, ..Query::default() });
        let (rows, tail) =
            (report.tenants.iter().map(|row| row.requests).fold(0, u64::saturating_add), report.tail.requests);
        assert!(rows.saturating_add(tail) <= report.totals.requests && report.totals.errors <= report.totals.requests);
        assert!(!report.to_string().is_empty() && serde_json::to_string(&report).is_ok());
    }
    let acme = sentinel.tenant(b"acme", None).unwrap();
    assert!(acme.row.requests >= MAX);
    assert!(sentinel.latency_log(None, None).is_some() && sentinel.latency_log(Some(b"acme"), None).is_some());
    assert!(!sentinel.verdict().text.is_empty() && !sentinel.latency_verdict().text.is_empty());
    sentinel.record(Event { tenant: b"acme", ..Event::default() });
    assert_eq!(Block::decode(&sentinel.blocks()[0].encode()).as_ref(), Ok(&sentinel.blocks()[0]));
}

fn merge_hostile(sentinel: &Sentinel, wires: impl Iterator<Item = Wire>) {
    for wire in wires {
        sentinel.merge(Block::decode(&wire.bytes()).unwrap()).unwrap();
    }
}

#[test]
fn hostile_blocks_can_be_merged_and_reported() {
    let sentinel = sentinel();
    merge_hostile(&sentinel, (1..=20).map(Wire::hostile));
    assert_eq!(sentinel.stats().foreign_blocks, 20);
    use_it(&sentinel);
    // And again in their place, while the slot is closed.
    merge_hostile(&sentinel, (1..=20).map(Wire::hostile));
    use_it(&sentinel);
}

#[test]
fn thousands_of_hostile_blocks_saturate() {
    let sentinel = sentinel();
    // 2,048 · 2^53 = 2^64.
    merge_hostile(&sentinel, (1..=2_100).map(Wire::hostile));
    use_it(&sentinel);
}

#[test]
fn thousands_of_large_tenants_saturate() {
    // As above, but nobody went away and there is somebody else to compare with: the judges' sums reach their end.
    let others = 1 << 20;
    let tenant = |id, requests, errors, at| {
        (id, [requests, errors, 0], [0; 3], vec![], vec![[at, 1 << 20, errors.min(1 << 20)]])
    };
    let rows = vec![tenant("acme", MAX - others, MAX - others, 0), tenant("beta", others, 0, 1)];
    let sentinel = sentinel();
    merge_hostile(
        &sentinel,
        (1..=2_100).map(|source| Wire { aborted: 0, rows: rows.clone(), ..Wire::hostile(source) }),
    );
    (1..=5).for_each(|second| sentinel.tick(START + 1_000 * second));
    let verdict = sentinel.verdict();
    assert_eq!((verdict.kind, verdict.tenants.as_slice()), (Kind::OneTenant, &["acme".to_string()][..]));
    use_it(&sentinel);
}

#[test]
fn a_hostile_sum_of_latencies_stands_beside_requests_in_flight() {
    let sentinel = sentinel();
    merge_hostile(&sentinel, std::iter::once(Wire::hostile(1)));
    let mut flight = sentinel.start();
    flight.tenant(b"acme");
    sentinel.tick(START + 2_000);
    let report = sentinel.report(Query { by: By::Load, ..Query::default() });
    assert_eq!((report.tenants[0].tenant_id.as_str(), report.tenants[0].in_flight), ("acme", 1));
}

#[test]
fn the_latency_log_reads_back() {
    let mut rng = StdRng::seed_from_u64(2);
    for (case, spread) in [1.0, 4.0, 9.0].into_iter().enumerate() {
        let sentinel = sentinel();
        let mut micros: Vec<u32> = (0..3_000).map(|_| (10.0_f64.powf(rng.random::<f64>() * spread)) as u32).collect();
        for us in &micros {
            sentinel.record(Event {
                tenant: b"acme",
                latency: Duration::from_micros(u64::from(*us)).into(),
                ..Event::default()
            });
        }
        sentinel.record(Event { tenant: b"acme", ..Event::default() }); // of unknown latency
        micros.sort_unstable();
        for tenant in [None, Some(&b"acme"[..])] {
            let read = read_log(&sentinel.latency_log(tenant, None).unwrap());
            assert_eq!(read.len(), 3_000);
            for percent in [50, 95, 99] {
                let exact = f64::from(micros[3_000 * percent / 100 - 1]);
                let shown = read.value_at_quantile(percent as f64 / 100.0) as f64;
                assert!((shown - exact).abs() <= 0.032 * exact, "p{percent} {shown} for {exact}, case {case}");
            }
        }
        assert!(sentinel.latency_log(Some(b"nobody"), None).is_none());
    }
}

#[test]
fn the_latency_log_keeps_its_promise_at_the_edge_of_a_bucket() {
    let sentinel = sentinel();
    sentinel.record(Event { latency: Duration::from_micros(1 << 20).into(), ..Event::default() });
    let exact = f64::from(1 << 20);
    let shown = read_log(&sentinel.latency_log(None, None).unwrap()).value_at_quantile(0.5) as f64;
    assert!((shown - exact).abs() <= 0.032 * exact, "{shown} for {exact}: {:.3} %", 100.0 * (shown / exact - 1.0));
}

/// The one histogram of a log.
fn read_log(log: &str) -> Histogram<u64> {
    let entries: Vec<LogEntry<'_>> = IntervalLogIterator::new(log.as_bytes()).map(Result::unwrap).collect();
    let intervals: Vec<_> = entries
        .iter()
        .filter_map(|entry| if let LogEntry::Interval(interval) = entry { Some(interval) } else { None })
        .collect();
    assert_eq!(intervals.len(), 1, "{log}");
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut known) = (Vec::new(), 0_u32, 0);
    for letter in intervals[0].encoded_histogram().bytes().filter(|letter| *letter != b'=') {
        bits = bits << 6 | alphabet.iter().position(|known| *known == letter).unwrap() as u32;
        known += 6;
        if known >= 8 {
            known -= 8;
            bytes.push((bits >> known) as u8);
        }
    }
    Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap()
}
