//! A life of a sentinel written in bytes: it records, ticks, merges blocks of others (as they are, altered, invented) and
//! reports. Nothing panics, the ledger balances, rows and tail add up to the totals, and memory stays bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentinel_core::{Block, By, Clock, Event, Guard, Latency, MergeError, Query, Report, Sentinel};
use sentinel_fuzz::{Input, SLOT_MS, START, head, number, sealed};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

/// The system's allocator, with a count of the bytes that are held.
struct Counting;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Relaxed);
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: the caller's promise is ours.
        unsafe { System.dealloc(at, layout) }
    }
}

const BUDGET: usize = 4 << 20;
/// Two sentinels of that budget and an input of some KiB never hold more than this.
const MOST_BYTES: isize = 4 * BUDGET as isize;
/// Merges of one input: sums stay below 2^64, where they would saturate and no longer add up.
const MERGES: usize = 500;

fn sentinel(places: u8) -> Sentinel {
    let clock = Clock::manual(START);
    let builder = Sentinel::builder().stripes(1).places(8 + usize::from(places % 32)).budget(BUDGET).max_endpoints(5);
    builder.window(Duration::from_mins(1)).clock(clock).build().expect("valid options")
}

const TENANTS: [&str; 6] = ["acme", "beta", "", "unattributed", "t-long-1234567890123456789012345678901234567890", "x"];
const ENDPOINTS: [&str; 6] = ["/a", "/b", "", "other", "unmatched", "/users/{id}"];

fn record(sentinel: &Sentinel, input: &mut Input<'_>, now_ms: i64) {
    let choice = input.byte();
    let tenant = match TENANTS.get(usize::from(choice & 7)) {
        Some(tenant) => tenant.as_bytes(),
        None => input.bytes(),
    };
    let endpoint = match ENDPOINTS.get(usize::from(choice >> 3 & 7)) {
        Some(endpoint) => (*endpoint).into(),
        None => String::from_utf8_lossy(input.bytes()),
    };
    let status = match choice >> 6 {
        0 => 200,
        1 => 500,
        2 => 499,
        _ => input.short(),
    };
    let latency = match input.byte() {
        0 => Latency::UNKNOWN,
        255 => Latency::from_millis(f64::from_bits(input.long() as u64)),
        shift => Duration::from_micros(1 << (shift % 40)).into(),
    };
    let at = match input.byte() {
        255 => Some(input.long()),
        0 => None,
        part => Some(now_ms.saturating_sub(i64::from(part) * 500 - 30_000)),
    };
    let copies = 1 + usize::from(input.byte() >> 4);
    let event = Event { tenant, endpoint: &endpoint, status, latency, at };
    sentinel.record_batch(std::iter::repeat_n(event, copies));
}

/// A block made of the fuzzer's bytes: the head is right, the rest is anything.
fn invented(input: &mut Input<'_>, now_ms: i64) -> Vec<u8> {
    let choice = input.byte();
    let slot = now_ms.div_euclid(SLOT_MS).saturating_sub(i64::from(choice >> 4)).saturating_add(2);
    let mut body = head(u64::from(choice & 15), slot.saturating_mul(SLOT_MS));
    let len = usize::from(input.short() % 2_048);
    body.extend_from_slice(input.take(len));
    sealed(&body)
}

/// A block of one tenant with counts as large as they may be, or as small.
fn extreme(input: &mut Input<'_>, now_ms: i64) -> Vec<u8> {
    let mut body = head(u64::from(input.byte()), now_ms.div_euclid(SLOT_MS).saturating_mul(SLOT_MS));
    let mut count = |input: &mut Input<'_>| {
        let power = input.byte() % 54;
        number(&mut body, (1_u64 << power).saturating_sub(u64::from(power % 2)));
    };
    // The line, aborted, sum and maximum, tail, offset; no latencies and no endpoints.
    (0..4).for_each(|_| count(input));
    (0..6).for_each(|_| count(input));
    body.extend([0, 0, 1]);
    let id = input.bytes();
    let id = &id[..id.len().min(128)];
    number(&mut body, id.len() as u64);
    body.extend_from_slice(id);
    let mut count = |input: &mut Input<'_>| number(&mut body, 1 << (input.byte() % 54));
    (0..8).for_each(|_| count(input));
    body.extend([0, 1]);
    sealed(&body)
}

/// The other's blocks, as they are or altered behind the head under a right checksum.
fn sent(there: &Sentinel, input: &mut Input<'_>) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = there.blocks().iter().map(Block::encode).collect();
    for bytes in &mut all {
        for _ in 0..input.byte() % 4 {
            let at = 13 + usize::from(input.short()) % (bytes.len() - 17);
            bytes[at] = input.byte();
            *bytes = sealed(&bytes[..bytes.len() - 4]);
        }
    }
    all
}

fn merge(sentinel: &Sentinel, bytes: &[u8]) {
    let Ok(block) = Block::decode(bytes) else { return };
    match sentinel.merge(block) {
        Ok(()) | Err(MergeError::Slots { .. } | MergeError::OutsideWindow { .. } | MergeError::Full { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

fn query(input: &mut Input<'_>) -> Query {
    let by = By::ALL[usize::from(input.byte()) % By::ALL.len()];
    let window = Some(Duration::from_secs(u64::from(input.byte()))).filter(|window| !window.is_zero());
    Query { by, window, limit: usize::MAX }
}

/// Everything else that can be asked, which takes longer than a report.
fn ask(sentinel: &Sentinel, input: &mut Input<'_>) {
    let (query, limit) = (query(input), usize::from(input.byte() % 8));
    let (all, some) = (sentinel.report(query), sentinel.report(Query { limit, ..query }));
    assert!(some.tenants.len() <= limit && some.totals == all.totals && some.tail == all.tail);
    assert!(some.tenants.iter().zip(&all.tenants).all(|(a, b)| a.tenant_id == b.tenant_id), "a limit reorders");
    assert!(!some.to_string().is_empty());
    serde_json::to_string(&some).expect("a report is data");
    let id = TENANTS[usize::from(input.byte()) % TENANTS.len()].as_bytes();
    let found = sentinel.tenant(id, query.window);
    assert!(found.is_none_or(|found| found.endpoints.iter().all(|cell| cell.errors <= cell.requests)));
    if limit == 0 {
        let _ = (sentinel.latency_log(Some(id), query.window), sentinel.latency_log(None, query.window));
    }
    assert!(!sentinel.verdict().text.is_empty() && !sentinel.latency_verdict().text.is_empty());
    for block in sentinel.blocks() {
        assert_eq!(Block::decode(&block.encode()).as_ref(), Ok(&block));
    }
}

fn adds_up(report: &Report) {
    let (totals, tail) = (&report.totals, &report.tail);
    let rows = |of: fn(&sentinel_core::TenantRow) -> u64| report.tenants.iter().map(of).sum::<u64>();
    assert_eq!(rows(|row| row.requests) + tail.requests, totals.requests, "requests");
    assert_eq!(rows(|row| row.errors) + tail.errors, totals.errors, "errors");
    assert_eq!(rows(|row| row.slow) + tail.slow, totals.slow, "slow");
    for row in &report.tenants {
        assert!(row.errors <= row.requests && row.slow <= row.requests, "{row:?}");
        let shares = [row.error_share, row.excess_share, row.request_share, row.error_rate];
        assert!(shares.into_iter().flatten().all(|share| (0.0..=1.0 + 1e-9).contains(&share)), "{row:?}");
        // Not the share of the time: a stranger's sum of latencies may be less than those of its tenants (`hostile.rs`).
        assert!(row.load_share.is_none_or(|share| share.is_finite() && share >= 0.0), "{row:?}");
    }
    assert!(totals.errors <= totals.requests && totals.aborted <= totals.requests);
    assert!(report.from_ms <= report.to_ms);
}

/// A request begins, ends, or is forgotten by who handles it.
fn fly(sentinel: &Sentinel, flights: &mut Vec<Guard>, input: &mut Input<'_>) {
    let choice = input.byte();
    if choice & 3 < 2 && flights.len() < 16 {
        let mut flight = sentinel.start();
        flight.tenant(TENANTS[usize::from(choice >> 2) % TENANTS.len()].as_bytes());
        flights.push(flight);
    } else if !flights.is_empty() {
        let flight = flights.swap_remove(usize::from(choice >> 2) % flights.len());
        if choice & 3 == 3 {
            drop(flight);
        } else {
            flight.finish("/a", input.short());
        }
    }
}

fn balances(sentinel: &Sentinel) {
    let stats = sentinel.stats();
    assert_eq!(stats.offered, stats.accepted + stats.dropped.status + stats.dropped.late, "{stats:?}");
    assert_eq!(stats.accepted, stats.in_window + stats.expired, "{stats:?}");
}

fuzz_target!(|bytes: &[u8]| {
    let before = LIVE.load(Relaxed);
    let mut input = Input(bytes);
    let places = input.byte();
    let (here, there) = (sentinel(places), sentinel(places / 2));
    let (mut merges, mut flights) = (0, Vec::new());
    while !input.is_empty() {
        match input.byte() % 12 {
            0 | 1 => record(&here, &mut input, here.now_ms()),
            2 | 3 => record(&there, &mut input, there.now_ms()),
            4 => {
                let ahead = match input.byte() {
                    255 => input.long(),
                    step => here.now_ms().saturating_add(i64::from(step) * 250),
                };
                here.tick(ahead);
                there.tick(ahead);
            }
            5 => here.tick(here.now_ms().saturating_add(i64::from(input.short()))),
            6 => adds_up(&here.report(query(&mut input))),
            7 => ask(&here, &mut input),
            8 => fly(&here, &mut flights, &mut input),
            choice => {
                let blocks = match choice {
                    9 => sent(&there, &mut input),
                    10 => vec![invented(&mut input, here.now_ms())],
                    _ => vec![extreme(&mut input, here.now_ms())],
                };
                for block in blocks.iter().take(MERGES - merges) {
                    merges += 1;
                    merge(&here, block);
                }
            }
        }
        balances(&here);
    }
    adds_up(&here.report(Query { limit: usize::MAX, ..Query::default() }));
    balances(&here);
    let held = LIVE.load(Relaxed) - before;
    assert!(held < MOST_BYTES, "{held} bytes for a budget of {BUDGET}");
});
