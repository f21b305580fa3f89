//! Ids and endpoints by somebody who has read the source: made to collide, to be taken for others, to be too long or too many.
//!
//! `cargo test --release --test hostile -- --ignored --nocapture crafted` prints what crafted ids cost beside random ones.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;
#[allow(dead_code)] // a part of it is used here
#[path = "common/wire.rs"]
mod wire;

use ahash::RandomState;
use common::START;
use sentinel_core::{Block, Clock, Event, Mode, Query, Report, Sentinel, Tail};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashSet};
use std::thread;
use std::time::Instant;
use wire::Wire;

const SLOT_MS: i64 = 10_000;
const IDS: usize = 100_000;
/// Ids in each of ten slots: fewer than the 12,288 that one keeps exactly.
const EACH: usize = IDS / 10;

fn sentinel(max_endpoints: usize) -> Sentinel {
    let builder = Sentinel::builder().clock(Clock::manual(START)).budget(2 << 30).max_endpoints(max_endpoints);
    builder.stripes(4).places(2_048).build().unwrap()
}

fn everyone(sentinel: &Sentinel) -> Report {
    sentinel.report(Query { limit: usize::MAX, ..Query::default() })
}

fn send(sentinel: &Sentinel, tenant: &[u8], endpoint: &str) {
    sentinel.record(Event { tenant, endpoint, ..Event::default() });
}

/// `rustc-hash` and its kin, (h <<< 5 ^ word) · K: the second word takes back what the first did.
fn fx() -> Vec<Vec<u8>> {
    const K: u64 = 0x517c_c1b7_2722_0a95;
    let id = |first: u64| [first.to_le_bytes(), first.wrapping_mul(K).rotate_left(5).to_le_bytes()].concat();
    (1..=IDS as u64).map(id).collect()
}

/// Polynomials to base 31, as of Java's strings: "Aa" and "BB" are the same to them.
fn polynomial() -> Vec<Vec<u8>> {
    let id = |i: usize| (0..17).flat_map(move |bit| if i >> bit & 1 == 0 { *b"Aa" } else { *b"BB" }).collect();
    (0..IDS).map(id).collect()
}

/// The number itself, of which tables take the low bits: these have the same 40.
fn identity() -> Vec<Vec<u8>> {
    (0..IDS as u64).map(|i| (i << 40).to_le_bytes().to_vec()).collect()
}

/// FNV-1a with the low 16 bits all zero, by its last two bytes.
fn fnv() -> Vec<Vec<u8>> {
    const PRIME: u16 = 0x1b3; // of the low bits, 0x100000001b3
    let crafted = |i: u64| {
        let id = i.to_le_bytes();
        let state = id.iter().fold(0x2325_u16, |state, byte| (state ^ u16::from(*byte)).wrapping_mul(PRIME));
        // Before the last product it must be zero: the byte before the last one makes the upper half so, the last the lower.
        (0..=u8::MAX).find_map(|byte| {
            let next = (state ^ u16::from(byte)).wrapping_mul(PRIME);
            (next < 256).then(|| [&id[..], &[byte, next as u8]].concat())
        })
    };
    (0..).filter_map(crafted).take(IDS).collect()
}

/// The hash that the crate uses, with keys that are known: one of eight sub-tables, and one of sixteen buckets in it.
fn ahash_with_fixed_keys() -> Vec<Vec<u8>> {
    let keys = RandomState::with_seeds(1, 2, 3, 4);
    let collides = |id: &[u8]| {
        let hash = keys.hash_one(id);
        (hash >> 40).is_multiple_of(8) && hash.is_multiple_of(16)
    };
    (0_u64..).map(|i| i.to_le_bytes().to_vec()).filter(|id| collides(id)).take(IDS).collect()
}

/// The ids of an attacker, by what they collide under.
fn families() -> [(&'static str, Vec<Vec<u8>>); 5] {
    [
        ("fx", fx()),
        ("polynomial", polynomial()),
        ("identity", identity()),
        ("fnv", fnv()),
        ("ahash", ahash_with_fixed_keys()),
    ]
}

#[test]
fn crafted_ids_do_collide() {
    let fnv = |id: &[u8]| {
        id.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| (h ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
    };
    let polynomial = |id: &[u8]| id.iter().fold(0_u64, |h, byte| h.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    let fx = |id: &[u8]| word(&id[..8]).wrapping_mul(0x517c_c1b7_2722_0a95).rotate_left(5) ^ word(&id[8..]);
    for (name, ids) in families() {
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), IDS, "{name}");
        let hashes: HashSet<u64> = match name {
            "fx" => ids.iter().map(|id| fx(id)).collect(),
            "polynomial" => ids.iter().map(|id| polynomial(id)).collect(),
            "fnv" => ids.iter().map(|id| fnv(id) & 0xffff).collect(),
            _ => continue,
        };
        assert_eq!(hashes.len(), 1, "{name}");
    }
}

/// Once, twice or three times, by its place.
fn times(at: usize) -> usize {
    1 + at % 3
}

#[test]
fn crafted_ids_are_counted_like_any_others() {
    for (name, ids) in families() {
        let sentinel = sentinel(10);
        for (slot, part) in (0..).zip(ids.chunks(EACH)) {
            sentinel.tick(START + slot * SLOT_MS);
            part.iter().enumerate().for_each(|(at, id)| (0..times(at)).for_each(|_| send(&sentinel, id, "/")));
        }
        let report = everyone(&sentinel);
        let requests = (0..EACH).map(times).sum::<usize>() as u64 * 10;
        // With keys that anybody knows, one sub-table would overflow.
        assert_eq!((report.mode, report.tail), (Mode::Exact, Tail::default()), "{name}");
        assert_eq!((report.totals.tenants, report.totals.requests), (IDS as u64, requests), "{name}");
        let names: HashSet<&str> = report.tenants.iter().map(|row| row.tenant_id.as_str()).collect();
        assert_eq!(names.len(), IDS, "{name}");
        for count in 1..=3 {
            let expected = 10 * (0..EACH).filter(|at| times(*at) == count).count();
            let found = report.tenants.iter().filter(|row| row.requests == count as u64).count();
            assert_eq!(found, expected, "{name}: {count} requests");
        }
        for at in [0, 1, 2, EACH - 1] {
            assert_eq!(sentinel.tenant(&ids[at], None).unwrap().row.requests, times(at) as u64, "{name} {at}");
        }
    }
}

/// All in one slot: more than it keeps, which the report says, and nobody is given what is another's.
#[test]
fn crafted_ids_beyond_the_capacity_are_bounded_like_any_others() {
    for (name, ids) in families() {
        let sentinel = sentinel(10);
        ids.iter().for_each(|id| send(&sentinel, id, "/"));
        (0..500).for_each(|_| send(&sentinel, b"regular", "/"));
        let report = everyone(&sentinel);
        let rows: u64 = report.tenants.iter().map(|row| row.requests).sum();
        assert_eq!((report.mode, report.totals.requests), (Mode::Bounded, IDS as u64 + 500), "{name}");
        assert_eq!(rows + report.tail.requests, report.totals.requests, "{name}");
        let regular = sentinel.tenant(b"regular", None).unwrap().row;
        assert!(regular.requests <= 500 && 500 <= regular.requests + regular.bound.requests, "{name}: {regular:?}");
        assert!(report.tenants.iter().all(|row| row.requests == 1 || row.tenant_id == "regular"), "{name}");
        assert_eq!((report.tail.bound.errors, report.tail.bound.slow), (0, 0), "{name}");
    }
}

#[test]
#[ignore = "prints timings, asserts nothing"]
#[allow(clippy::print_stdout)]
fn what_crafted_ids_cost() {
    let time = |ids: &[Vec<u8>]| {
        let once = || {
            let sentinel = sentinel(10);
            let began = Instant::now();
            ids.iter().chain(ids).for_each(|id| send(&sentinel, id, "/"));
            began.elapsed()
        };
        (0..7).map(|_| once()).min().unwrap_or_default()
    };
    for (name, ids) in families() {
        // As long, and told apart by a hash that nobody has chosen.
        let random: Vec<_> = ids.iter().map(|id| Sha256::digest(id).repeat(2)[..id.len()].to_vec()).collect();
        // A copy, so that both lie in memory alike.
        let (crafted, random) = (time(&ids.clone()), time(&random));
        println!(
            "{name:<10} {crafted:>10.2?}, random {random:>10.2?}: {:.2}",
            crafted.as_secs_f64() / random.as_secs_f64()
        );
    }
}

/// The stored form of a long id: 96 bytes and half of its SHA-256 in hex.
fn shortened(id: &[u8]) -> Vec<u8> {
    let half: [u8; 16] = Sha256::digest(id)[..16].try_into().unwrap();
    [&id[..96], format!("{:032x}", u128::from_be_bytes(half)).as_bytes()].concat()
}

#[test]
fn ids_that_share_their_beginning_stay_apart() {
    let sentinel = sentinel(10);
    let prefix = [b'p'; 96];
    let id = |i: usize| [&prefix[..], format!("{i:04}").as_bytes(), &vec![b's'; i % 300]].concat();
    for i in 0..3_000 {
        (0..times(i)).for_each(|_| send(&sentinel, &id(i), "/"));
    }
    let report = everyone(&sentinel);
    assert_eq!((report.mode, report.totals.tenants), (Mode::Exact, 3_000));
    let long = |i: &usize| id(*i).len() > 128;
    let truncated: usize = (0..3_000).filter(long).map(times).sum();
    assert_eq!(report.stats.adjusted.tenant_truncated, truncated as u64);
    for i in (0..3_000).step_by(97) {
        let shown = if long(&i) { shortened(&id(i)) } else { id(i) };
        let row = sentinel.tenant(&id(i), None).unwrap().row;
        assert_eq!((row.tenant_id.as_bytes(), row.requests), (&shown[..], times(i) as u64), "{i}");
    }
}

/// Whoever sends what a long id is shortened to is that tenant: the one id that two spellings have. Nobody else's changes.
#[test]
fn the_short_form_of_an_id_is_the_same_tenant() {
    let sentinel = sentinel(10);
    let long = vec![b'x'; 200];
    let short = shortened(&long);
    let mut beside = short.clone();
    *beside.last_mut().unwrap() ^= 1;
    for (id, times) in [(&long, 5), (&short, 2), (&beside, 1)] {
        (0..times).for_each(|_| send(&sentinel, id, "/"));
    }
    assert_eq!(short.len(), 128);
    assert_eq!([&long, &short, &beside].map(|id| sentinel.tenant(id, None).unwrap().row.requests), [7, 7, 1]);
    let report = everyone(&sentinel);
    assert_eq!((report.totals.tenants, report.stats.adjusted.tenant_truncated), (2, 5));
}

#[test]
fn ids_of_any_bytes_and_any_length() {
    let sentinel = sentinel(10);
    let all: Vec<u8> = (0..=255).collect();
    let mut ids: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    ids.extend((0..=255).map(|byte| vec![byte; 128]));
    ids.extend([Vec::new(), all[..128].to_vec(), all[128..].to_vec(), all.clone()]);
    // A megabyte each, the same but for one byte.
    ids.extend((0..8).map(|i| {
        let mut id = vec![b'm'; 1 << 20];
        id[(1 << 17) * (i + 1) - 1] = b'n';
        id
    }));
    let mut most = 0;
    for (at, id) in ids.iter().enumerate() {
        (0..times(at)).for_each(|_| send(&sentinel, id, "/"));
        most += times(at) as u64;
    }
    let report = everyone(&sentinel);
    assert_eq!((report.mode, report.totals.tenants, report.totals.requests), (Mode::Exact, ids.len() as u64, most));
    let names: BTreeSet<&str> = report.tenants.iter().map(|row| row.tenant_id.as_str()).collect();
    assert_eq!(names.len(), ids.len());
    for (at, id) in ids.iter().enumerate() {
        assert_eq!(sentinel.tenant(id, None).unwrap().row.requests, times(at) as u64, "{at}");
    }
    let kept: usize = sentinel.blocks().iter().map(|block| block.encode().len()).sum();
    assert!(kept < 1 << 17, "{kept} bytes for {} ids of at most 128 bytes", ids.len());
}

#[test]
fn a_flood_of_paths_shares_other() {
    let sentinel = sentinel(20);
    let paths: Vec<String> = (0..IDS).map(|i| format!("/raw/{i}")).collect();
    paths.iter().for_each(|path| send(&sentinel, b"acme", path));
    // A day later nothing is forgotten, and names of a megabyte are names like others.
    let check = |day: i64, tenant: &[u8]| {
        let found = sentinel.tenant(tenant, None).unwrap();
        let requests = |name: &str| found.endpoints.iter().find(|cell| cell.endpoint == name).map(|cell| cell.requests);
        assert_eq!(found.endpoints.len(), 21, "day {day}");
        assert!(paths[..20].iter().all(|path| requests(path) == Some(1)), "day {day}");
        assert_eq!(found.endpoints.iter().map(|cell| cell.requests).sum::<u64>(), IDS as u64, "day {day}");
        assert_eq!(requests("other"), Some(IDS as u64 - 20), "day {day}");
    };
    check(0, b"acme");
    assert_eq!(sentinel.stats().adjusted.endpoint_other, IDS as u64 - 20);
    sentinel.tick(START + 86_400_000);
    paths.iter().rev().for_each(|path| send(&sentinel, b"beta", path));
    check(1, b"beta");
    send(&sentinel, b"gamma", &"/long".repeat(1 << 18));
    assert_eq!(sentinel.tenant(b"gamma", None).unwrap().endpoints[0].endpoint, "other");
    assert_eq!(sentinel.stats().adjusted.endpoint_other, 2 * (IDS as u64 - 20) + 1);
}

#[test]
fn a_flood_of_paths_on_many_threads_keeps_the_limit() {
    let sentinel = sentinel(20);
    thread::scope(|scope| {
        for thread in 0..8 {
            let sentinel = &sentinel;
            scope.spawn(move || {
                (0..IDS / 8).for_each(|i| send(sentinel, b"acme", &format!("/raw/{thread}/{i}")));
            });
        }
    });
    let found = sentinel.tenant(b"acme", None).unwrap();
    let other: u64 = found.endpoints.iter().filter(|cell| cell.endpoint == "other").map(|cell| cell.requests).sum();
    assert_eq!((found.endpoints.len(), found.row.requests), (21, IDS as u64));
    assert_eq!((other, sentinel.stats().adjusted.endpoint_other), (IDS as u64 - 20, IDS as u64 - 20));
}

/// Other processes have other routes: more together than a block may name.
#[test]
fn endpoints_of_many_processes_are_conserved() {
    let here = sentinel(4_000);
    for source in 0..3 {
        let there = sentinel(4_000);
        for i in 0..4_000 {
            (0..2).for_each(|_| send(&there, format!("t{}", i / 20).as_bytes(), &format!("/{source}/{i}")));
        }
        for block in there.blocks() {
            here.merge(Block::decode(&block.encode()).unwrap()).unwrap();
        }
    }
    let report = everyone(&here);
    assert_eq!((report.totals.requests, report.totals.tenants), (3 * 8_000, 200));
    for i in 0..200 {
        let found = here.tenant(format!("t{i}").as_bytes(), None).unwrap();
        assert_eq!(found.row.requests, 120);
        assert_eq!(found.endpoints.iter().map(|cell| cell.requests).sum::<u64>(), 120, "t{i}");
    }
}

/// Found by fuzzing `merge`: a stranger's block may say that all its requests took less time than one tenant's.
#[test]
fn shares_of_the_time_are_at_most_one() {
    let row = ("acme", [1, 0, 0], [0; 3], vec![], vec![]);
    let wire = Wire { source: 7, latency_sum_us: 1, rows: vec![row], ..Wire::EMPTY };
    let sentinel = sentinel(10);
    let Ok(block) = Block::decode(&wire.bytes()) else { return };
    sentinel.merge(block).unwrap();
    let share = everyone(&sentinel).tenants[0].load_share;
    assert!(share.is_none_or(|share| share <= 1.0), "{share:?}");
}
