//! Restored state equals the state that was written; any other bytes are an error.

use crate::windows::outcomes;
use crate::{Line, START, World, check, checks, result};
use proptest::collection::vec;
use proptest::prelude::*;
use sentinel_core::DecodeError;
use sentinel_core::uptime::{Cause, Check, CheckResult, Outcome, Status, Target, Uptime};

/// CRC-32 as the format has it, written a second time.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &crc32(body).to_le_bytes()].concat()
}

fn stream() -> impl Strategy<Value = Vec<(i64, CheckResult, Option<i64>)>> {
    let gap = prop_oneof![20 => 1_i64..90_000, 1 => 0_i64..900_000_000, 1 => -100_000_i64..0];
    let one = (
        gap,
        outcomes(),
        1_u32..86_400_000,
        prop::option::of(any::<u32>()),
        prop::option::of(any::<u16>()),
        prop::option::of(0_i64..99),
    );
    vec(one, 0..1_300).prop_map(|all| {
        let mut at = START;
        let mut take = |(gap, outcome, interval_ms, latency_us, status, days): (i64, _, u32, _, _, Option<i64>)| {
            at += gap;
            let found = CheckResult { latency_us, status, ..result(at, interval_ms, outcome) };
            (at, found, days.map(|days| at + days * 86_400_000))
        };
        all.into_iter().map(&mut take).collect()
    })
}

fn ready() -> Uptime {
    let mut uptime = Uptime::default();
    uptime.configure(checks([check("shop")]), START);
    uptime
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whoever resumes goes on where it stopped, and says the same of everything that follows.
    #[test]
    fn whoever_resumes_goes_on(stream in stream(), stop: prop::sample::Index) {
        let (mut whole, mut resumed) = (ready(), ready());
        let stop = stop.index(stream.len() + 1);
        for (at, found, expires) in &stream[..stop] {
            whole.record("shop", *at, *found, *expires);
        }
        let bytes = whole.encode("shop").unwrap();
        prop_assert_eq!(resumed.restore("shop", &bytes), Ok(true));
        prop_assert_eq!(resumed.encode("shop").unwrap(), bytes);
        prop_assert_eq!(resumed.restore_shared(&whole.encode_shared()), Ok(()));
        let known = |uptime: &Uptime, at| { let mut standing = uptime.standing("shop", at).unwrap(); standing.missed = 0; standing };
        for (at, found, expires) in &stream[stop..] {
            let (one, two) = (whole.record("shop", *at, *found, *expires), resumed.record("shop", *at, *found, *expires));
            prop_assert_eq!(one, two);
            prop_assert_eq!(known(&whole, *at), known(&resumed, *at));
        }
        prop_assert_eq!(whole.history("shop"), resumed.history("shop"));
    }

    /// At most twenty bytes a result, raw and encoded, whatever it is.
    #[test]
    fn twenty_bytes_a_result(stream in stream()) {
        let (mut uptime, mut bounded) = (ready(), 0);
        for (at, found, _) in stream.iter().take(1_000) {
            let bytes = found.to_bytes();
            let read = CheckResult::from_bytes(&bytes).unwrap();
            prop_assert_eq!(read.to_bytes(), bytes);
            prop_assert_eq!((read.at_ms, read.outcome, read.interval_ms), (found.at_ms, found.outcome, found.interval_ms));
            uptime.record("shop", *at, *found, None);
            bounded += 1;
        }
        let few = ready().encode("shop").unwrap().len();
        prop_assert!(uptime.encode("shop").unwrap().len() <= few + 64 + 20 * bounded);
    }

    #[test]
    fn any_bytes_are_a_check_or_an_error(bytes in vec(any::<u8>(), 0..300), twenty: [u8; 20]) {
        let mut uptime = ready();
        let _ = (uptime.restore("shop", &bytes), uptime.restore_shared(&bytes));
        if let Ok(found) = CheckResult::from_bytes(&twenty) {
            prop_assert_eq!(found.to_bytes(), twenty);
        }
        let framed = sealed(&[&ready().encode("shop").unwrap()[..13], &bytes].concat());
        if uptime.restore("shop", &framed) == Ok(true) {
            let again = uptime.encode("shop").unwrap();
            prop_assert_eq!(uptime.restore("shop", &again), Ok(true));
        }
    }

    /// A wrong byte under a checksum that fits: refused, or something that works.
    #[test]
    fn a_wrong_byte_is_refused_or_harmless(stream in stream(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut uptime = ready();
        for (at, found, expires) in &stream {
            uptime.record("shop", *at, *found, *expires);
        }
        let mut bytes = uptime.encode("shop").unwrap();
        let len = bytes.len();
        prop_assert!(ready().restore("shop", &bytes[..cut.index(len)]).is_err());
        bytes.truncate(len - 4);
        let place = 5 + at.index(bytes.len() - 5);
        bytes[place] = byte;
        let mut other = ready();
        if other.restore("shop", &sealed(&bytes)).is_ok() {
            for (at, found, expires) in stream.iter().take(50) {
                other.record("shop", *at, *found, *expires);
            }
            let report = other.report(START);
            prop_assert!(report.checks[0].windows.iter().all(|window| crate::adds_up(&window.availability)), "{report:?}");
            let again = other.encode("shop").unwrap();
            prop_assert_eq!(other.restore("shop", &again), Ok(true));
        }
    }
}

/// A common history takes less than half of the limit: 1,000 results with latency and status, about a minute apart.
#[test]
fn a_common_result_takes_less_than_ten_bytes() {
    let mut uptime = ready();
    let empty = uptime.encode("shop").unwrap().len();
    for at in 0..1_000_i64 {
        let began = START + at * 60_000 + at * 7_919 % 200;
        let latency_us = Some((20_000 + at * 104_729 % 300_000) as u32);
        uptime.record(
            "shop",
            began,
            CheckResult { latency_us, status: Some(200), ..CheckResult::up(began, 60_000) },
            None,
        );
    }
    let bytes = uptime.encode("shop").unwrap().len() - empty;
    assert!(bytes < 10 * 1_000, "{bytes}");
}

#[test]
fn what_is_not_a_check_says_why() {
    let bytes = ready().encode("shop").unwrap();
    let mut uptime = ready();
    let mut with = |at: usize, byte: u8| {
        let mut other = bytes.clone();
        other[at] ^= byte;
        uptime.restore("shop", &other).unwrap_err()
    };
    assert!(matches!(with(0, 1), DecodeError::Magic { .. }));
    assert!(matches!(with(4, 1), DecodeError::Version { .. }));
    assert!(matches!(with(9, 1), DecodeError::Checksum { .. }));
    assert!(matches!(uptime.restore("shop", &bytes[..3]), Err(DecodeError::Truncated { .. })));
    assert_eq!(uptime.restore("nobody", &bytes), Ok(false));
    let longer = sealed(&[&bytes[..bytes.len() - 4], &[0]].concat());
    assert!(matches!(uptime.restore("shop", &longer), Err(DecodeError::Invalid { field: "length", .. })));
}

/// Killed at any point: a snapshot and the log of what was stored after it give the availability of everything that was stored.
#[test]
fn a_snapshot_and_a_log_are_the_whole() {
    let ten = || checks((0..10).map(|at| check(&format!("t{at}"))));
    let mut whole = World::new(ten());
    let dead = |at: i64| (1_200_000..1_500_000).contains(&at);
    for snapshot in [0, 700_000, 1_300_000, 1_600_000] {
        let mut world = World::new(ten());
        world.run(
            snapshot,
            100,
            |name, at| if dead(at) || name == "t3" && at > 600_000 { Outcome::Down } else { Outcome::Up },
        );
        let mut resumed = World::new(ten()).uptime;
        for name in world.uptime.names() {
            resumed.restore(name, &world.uptime.encode(name).unwrap()).unwrap();
        }
        resumed.restore_shared(&world.uptime.encode_shared()).unwrap();
        whole = world;
        whole.log.clear();
        whole.run(
            2_000_000,
            100,
            |name, at| if dead(at) || name == "t3" && at > 600_000 { Outcome::Down } else { Outcome::Up },
        );
        for line in &whole.log {
            match line {
                Line::Stored(name, found) => assert!(resumed.replay(name, *found)),
                Line::Disowned(since) => resumed.disown(*since),
            }
        }
        for name in whole.uptime.names() {
            assert_eq!(
                resumed.history(name).unwrap().results().collect::<Vec<_>>(),
                whole.uptime.history(name).unwrap().results().collect::<Vec<_>>(),
                "{name}"
            );
            assert_eq!(resumed.availability(name, START, whole.now), whole.uptime.availability(name, START, whole.now));
        }
    }
    // A target that was down is called down by the next failure, and no other target is.
    assert_eq!(whole.uptime.standing("t3", whole.now).unwrap().confirmed, Status::Down);
}

/// A history is kept for another target too, its state is not; nothing of the state for one that is paused.
#[test]
fn a_state_is_that_of_its_target() {
    let mut world = World::new(checks([check("shop")]));
    world.run(300_000, 100, |_, _| Outcome::Down);
    let bytes = world.uptime.encode("shop").unwrap();
    let now = world.now;
    let confirmed = |check: Check| {
        let mut uptime = Uptime::default();
        uptime.configure(checks([check]), now);
        uptime.restore("shop", &bytes).unwrap();
        let down = uptime.availability("shop", START, now).unwrap().down_ms;
        (uptime.standing("shop", now).unwrap().confirmed, down > 0)
    };
    assert_eq!(confirmed(check("shop")), (Status::Down, true));
    let other = Target::new("https://shop.example/other").unwrap();
    assert_eq!(confirmed(Check { target: other, ..check("shop") }), (Status::Unknown, true));
    assert_eq!(confirmed(Check { paused: true, ..check("shop") }), (Status::Unknown, true));
}

/// Resumed in an outage of this side's network: it is not told again, and it ends as it would have.
#[test]
fn a_dead_network_is_resumed() {
    let many = || checks((0..10).map(|at| check(&format!("t{at}"))));
    let mut world = World::new(many());
    world.run(600_000, 100, |_, at| if at > 300_000 { Outcome::Down } else { Outcome::Up });
    assert_eq!(world.told(), [(String::new(), "network_down")]);
    let mut resumed = World::new(many());
    for name in world.uptime.names() {
        resumed.uptime.restore(name, &world.uptime.encode(name).unwrap()).unwrap();
    }
    resumed.uptime.restore_shared(&world.uptime.encode_shared()).unwrap();
    assert_eq!(resumed.uptime.network(), world.uptime.network());
    resumed.now = world.now;
    resumed.run(900_000, 100, |_, at| if at < 720_000 { Outcome::Down } else { Outcome::Up });
    assert_eq!(resumed.told(), [(String::new(), "network_up")]);
    let lost = resumed.uptime.history("t1").unwrap().results().filter(|result| result.cause == Some(Cause::OwnNetwork));
    assert!(lost.count() > 3);
}
