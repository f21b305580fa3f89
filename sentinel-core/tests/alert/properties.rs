//! Properties of any sequence of looks, and of any bytes.

use crate::{START, WINDOW, errors_rule, latency_rule, names, share_rule};
use proptest::collection::vec;
use proptest::prelude::*;
use sentinel_core::alert::{
    Alert, AlertId, Alerts, Facts, Grouping, Key, Notice, Outcome, Phase, Row, Rules, State, Status, Targets,
    Transition, Verdicts,
};
use sentinel_core::{DecodeError, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One step: how the clock moves, and what a look says (`None`: there was none).
#[derive(Debug, Clone)]
struct Step {
    moves_ms: i64,
    look: Option<Look>,
}

#[derive(Debug, Clone)]
struct Look {
    rows: Vec<(u8, u64, u64, Option<f64>)>,
    verdicts: [(Kind, Vec<u8>); 2],
    doubts: [bool; 4],
    as_of_ms: i64,
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::Quiet,
        Kind::OneTenant,
        Kind::FewTenants,
        Kind::OneEndpoint,
        Kind::Everyone,
        Kind::Unclear,
    ])
}

fn look() -> impl Strategy<Value = Look> {
    let row = (0_u8..4, 0_u64..160, 0_u64..200, prop::option::of(0.5_f64..6.0));
    let verdict = || (kinds(), vec(0_u8..4, 0..4));
    let rarely = || prop::bool::weighted(0.1);
    let doubts = (rarely(), rarely(), rarely(), rarely()).prop_map(|(a, b, c, d)| [a, b, c, d]);
    let as_of = prop_oneof![9 => Just(0_i64), 1 => -200_000_i64..200_000];
    (vec(row, 0..4), verdict(), verdict(), doubts, as_of).prop_map(|(rows, errors, latency, doubts, as_of_ms)| Look {
        rows,
        verdicts: [errors, latency],
        doubts,
        as_of_ms,
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let moves = prop_oneof![
        20 => 0_i64..15_000,
        3 => 60_000_i64..600_000,
        1 => -20_000_000_i64..0,
        1 => 600_000_i64..40_000_000,
    ];
    let step = (moves, prop::option::weighted(0.95, look())).prop_map(|(moves_ms, look)| Step { moves_ms, look });
    vec(step, 1..120)
}

fn rules() -> impl Strategy<Value = Rules> {
    (0_u64..40, 0_u64..40, any::<bool>()).prop_map(|(r#for, keep, verdict)| Rules {
        targets: Targets::default(),
        verdict: Verdicts {
            errors: verdict,
            r#for: Duration::from_secs(r#for / 10),
            keep_firing_for: Duration::from_secs(keep),
            ..Verdicts::default()
        },
        tenant_errors: errors_rule(100, r#for, keep).tenant_errors,
        tenant_share: share_rule(0.4, keep, r#for).tenant_share,
        tenant_latency: latency_rule(3.0, 100, r#for, keep).tenant_latency,
        grouping: Grouping { repeat: Duration::from_mins(5), ..Grouping::default() },
    })
}

fn facts(look: &Look, now: i64) -> Facts {
    let mut facts = Facts::new(now.saturating_add(look.as_of_ms), WINDOW);
    for (tenant, errors, requests, deviation) in &look.rows {
        let p95_ms = deviation.map(|deviation| 100.0 * deviation);
        let requests = requests + errors;
        let row = Row { requests, errors: *errors, p95_ms, deviation: *deviation, ..Row::default() };
        facts.row(&[b't', *tenant], row);
    }
    let [cold, partial, incomplete, cold_verdict] = look.doubts;
    (facts.cold, facts.partial, facts.complete) = (cold, partial, !incomplete);
    let accused = |(kind, tenants): &(Kind, Vec<u8>)| {
        let mut accused = names(*kind, &[]);
        accused.tenants = tenants.iter().map(|tenant| vec![b't', *tenant]).collect();
        accused.endpoint = Some("/v1".into());
        accused.cold = cold_verdict;
        accused
    };
    facts.with_verdict(accused(&look.verdicts[0])).with_latency_verdict(accused(&look.verdicts[1]))
}

fn run(alerts: &Alerts, mut state: State, from: i64, steps: &[Step]) -> (State, Vec<Outcome>) {
    let (mut now, mut out) = (from, Vec::new());
    for step in steps {
        now += step.moves_ms;
        let facts = step.look.as_ref().map(|look| facts(look, now));
        let (next, outcome) = alerts.step(state, now, facts.as_ref());
        state = next;
        out.push(outcome);
    }
    (state, out)
}

/// Follows transitions; panics at one that cannot be.
#[derive(Default)]
struct Lives {
    phases: BTreeMap<Key, Phase>,
    firing: BTreeMap<Key, AlertId>,
    seen: BTreeSet<AlertId>,
    told: BTreeMap<AlertId, Status>,
    resolved: usize,
    unlisted: usize,
}

impl Lives {
    fn follow(&mut self, transition: &Transition) {
        let Transition { key, from, to, alert, .. } = transition;
        let stood = self.phases.insert(key.clone(), *to).unwrap_or(Phase::Ok);
        assert_eq!(stood, *from, "{transition:?}");
        assert_ne!(from, to, "{transition:?}");
        let id = alert.as_ref().map(|alert| alert.id);
        if transition.fires() {
            assert_eq!(self.firing.insert(key.clone(), id.unwrap()), None, "fires twice: {transition:?}");
            assert!(self.seen.insert(id.unwrap()), "an id comes twice: {transition:?}");
        } else if transition.resolves() {
            assert_eq!(self.firing.remove(key), id, "resolves what has not fired: {transition:?}");
        } else {
            assert_eq!(self.firing.get(key).copied(), id, "{transition:?}");
        }
    }

    /// Each alert is told at most once that it fires, exactly once that it is over, and in this order; what is not listed is counted.
    fn tell(&mut self, outcome: &Outcome) {
        let Some(notice) = &outcome.notice else { return };
        self.resolved += notice.resolved;
        self.unlisted += notice.more;
        assert!(notice.more == 0 || notice.listed.len() == 20);
        for listed in notice.listed.iter().filter(|_| self.unlisted == 0) {
            let before = self.told.insert(listed.alert.id, listed.status);
            let expected = match listed.status {
                Status::Firing => before.is_none(),
                Status::Still => matches!(before, Some(Status::Firing | Status::Still)),
                _ => before != Some(Status::Resolved) && before.is_some() == listed.alert.told,
            };
            assert!(expected, "{before:?}, then {listed:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_looks_give_lives_that_can_be(rules in rules(), steps in steps()) {
        let alerts = Alerts::new("shop", rules).unwrap();
        let (state, mut outcomes) = run(&alerts, State::default(), START, &steps);
        // Two quiet hours at the end: everything is over and told.
        let quiet = Look {
            rows: Vec::new(),
            verdicts: [(Kind::Quiet, Vec::new()), (Kind::Quiet, Vec::new())],
            doubts: [false; 4],
            as_of_ms: 0,
        };
        let calm = vec![Step { moves_ms: 10_000, look: Some(quiet) }; 720];
        let from = START + steps.iter().map(|step| step.moves_ms).sum::<i64>();
        let (state, more) = run(&alerts, state, from, &calm);
        outcomes.extend(more);
        let mut lives = Lives::default();
        for outcome in &outcomes {
            outcome.transitions.iter().for_each(|transition| lives.follow(transition));
            lives.tell(outcome);
        }
        prop_assert_eq!(state.entries().count(), 0);
        prop_assert!(lives.firing.is_empty());
        prop_assert_eq!(lives.resolved, lives.seen.len(), "each that fired is told to be over");
        if lives.unlisted == 0 {
            prop_assert_eq!(lives.told.len(), lives.seen.len(), "each that fired is told");
            prop_assert!(lives.told.values().all(|status| *status == Status::Resolved));
        }
    }

    #[test]
    fn whoever_resumes_goes_on_where_it_stopped(rules in rules(), steps in steps(), stops in vec(any::<prop::sample::Index>(), 0..4)) {
        let alerts = Alerts::new("shop", rules).unwrap();
        let (whole, wanted) = run(&alerts, State::default(), START, &steps);
        let stops: BTreeSet<usize> = stops.iter().map(|stop| stop.index(steps.len())).collect();
        let (mut state, mut now, mut found) = (State::default(), START, Vec::new());
        for (at, step) in steps.iter().enumerate() {
            if stops.contains(&at) {
                let read = State::decode(&state.encode());
                prop_assert_eq!(read.as_ref(), Ok(&state));
                state = read.unwrap();
            }
            let (next, outcomes) = run(&alerts, state, now, std::slice::from_ref(step));
            state = next;
            now += step.moves_ms;
            found.extend(outcomes);
        }
        prop_assert_eq!(state, whole);
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn notices_and_alerts_are_read_back(rules in rules(), steps in steps(), at: prop::sample::Index, byte: u8) {
        let alerts = Alerts::new("shop", rules).unwrap();
        let (_, outcomes) = run(&alerts, State::default(), START, &steps);
        for outcome in outcomes {
            for alert in outcome.transitions.iter().filter_map(|transition| transition.alert.as_ref()) {
                prop_assert_eq!(&Alert::decode(&alert.encode()).unwrap(), alert);
            }
            if let Some(notice) = outcome.notice {
                let mut bytes = notice.encode();
                prop_assert_eq!(&Notice::decode(&bytes).unwrap(), &notice);
                // Another byte, with a checksum that fits: refused, or another notice that can be told.
                let body = bytes.len() - 4;
                bytes.truncate(body);
                bytes[5 + at.index(body - 5)] = byte;
                bytes.extend_from_slice(&crc32(&bytes).to_le_bytes());
                if let Ok(other) = Notice::decode(&bytes) {
                    prop_assert_eq!(Notice::decode(&other.encode()), Ok(other.clone()));
                    prop_assert!(!other.message().title.is_empty());
                }
            }
        }
    }

    /// Two that nobody was told, in that order: what is told of each alert in the end is the same as by both, and each begins or ends
    /// at most once in what is left.
    #[test]
    fn two_notices_told_as_one_say_the_same(rules in rules(), steps in steps()) {
        let alerts = Alerts::new("shop", rules).unwrap();
        let (_, outcomes) = run(&alerts, State::default(), START, &steps);
        let notices: Vec<Notice> = outcomes.into_iter().filter_map(|outcome| outcome.notice).collect();
        for pair in notices.windows(2) {
            let [first, second] = pair else { continue };
            let (mut left, mut later) = (first.clone(), second.clone());
            let any = left.combine(&mut later);
            prop_assert_eq!(any, !left.listed.is_empty() || left.more > 0);
            let over: BTreeSet<_> = second.listed.iter().filter(|one| one.status == Status::Resolved).map(|one| one.alert.id).collect();
            for one in &first.listed {
                let taken = one.status == Status::Firing && over.contains(&one.alert.id);
                prop_assert_eq!(left.listed.contains(one), !taken);
            }
            prop_assert_eq!(left.firing, first.firing - (first.listed.len() - left.listed.len()));
            for (told, was) in later.listed.iter().zip(&second.listed) {
                let taken = first.listed.iter().any(|one| one.status == Status::Firing && one.alert.id == was.alert.id) && was.status == Status::Resolved;
                prop_assert_eq!(told.alert.told, was.alert.told && !taken);
                prop_assert_eq!(told.alert.id, was.alert.id);
            }
            prop_assert_eq!(later.id, second.id);
        }
    }

    #[test]
    fn any_bytes_are_a_state_or_an_error(bytes in vec(any::<u8>(), 0..400)) {
        let _ = (State::decode(&bytes), Notice::decode(&bytes), Alert::decode(&bytes));
        // Behind the right beginning and the right end.
        let mut framed = [&State::default().encode()[..5], &bytes].concat();
        framed.extend_from_slice(&crc32(&framed).to_le_bytes());
        if let Ok(state) = State::decode(&framed) {
            prop_assert_eq!(State::decode(&state.encode()), Ok(state));
        }
    }

    #[test]
    fn a_state_with_a_wrong_byte_is_refused_or_another_one(rules in rules(), steps in steps(), at: prop::sample::Index, byte: u8) {
        let alerts = Alerts::new("shop", rules).unwrap();
        let (state, _) = run(&alerts, State::default(), START, &steps);
        let mut bytes = state.encode();
        let at = at.index(bytes.len());
        let changed = bytes[at] != byte;
        bytes[at] = byte;
        prop_assert_eq!(State::decode(&bytes).is_err(), changed);
        // The same with a checksum that fits: whatever comes of it works.
        let body = bytes.len() - 4;
        bytes.truncate(body);
        bytes.extend_from_slice(&crc32(&bytes).to_le_bytes());
        if let Ok(state) = State::decode(&bytes) {
            prop_assert_eq!(State::decode(&state.encode()), Ok(state.clone()));
            let (_, outcomes) = run(&alerts, state, START, &steps);
            for notice in outcomes.iter().filter_map(|outcome| outcome.notice.as_ref()) {
                let message = notice.message();
                prop_assert!(!message.title.is_empty() && !message.text().replace('\n', "").contains(char::is_control), "{message:?}");
            }
        }
        for len in 0..body {
            prop_assert!(State::decode(&bytes[..len]).is_err());
        }
    }
}

#[test]
fn what_is_not_a_state_says_why() {
    let bytes = State::default().encode();
    let mut other = bytes.clone();
    other[0] = b'X';
    assert!(matches!(State::decode(&other), Err(DecodeError::Magic { .. })));
    let mut newer = bytes.clone();
    newer[4] += 1;
    assert!(matches!(State::decode(&newer), Err(DecodeError::Version { .. })));
    let mut torn = bytes.clone();
    *torn.last_mut().unwrap() ^= 1;
    assert!(matches!(State::decode(&torn), Err(DecodeError::Checksum { .. })));
    assert!(matches!(State::decode(&bytes[..3]), Err(DecodeError::Truncated { .. })));
}

/// CRC-32 as the format has it, written a second time.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Bytes whose checksum fits and whose content no state can have.
#[test]
fn what_no_state_can_hold_is_refused() {
    let sealed = |mut bytes: Vec<u8>| {
        bytes.extend_from_slice(&crc32(&bytes).to_le_bytes());
        State::decode(&bytes).map_err(|error| match error {
            DecodeError::Invalid { field, .. } => field,
            other => panic!("{other}"),
        })
    };
    let at = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).position(|found| found == part).unwrap();
    let pending = Alerts::new("shop", errors_rule(100, 60, 0)).unwrap();
    let mut facts = Facts::new(START, WINDOW);
    for id in [b"aaaa", b"bbbb"] {
        facts.row(id, Row { requests: 900, errors: 200, ..Row::default() });
    }
    let (state, _) = pending.step(State::default(), START, Some(&facts));
    let mut whole = state.encode();
    whole.truncate(whole.len() - 4);
    assert_eq!(sealed(whole.clone()), Ok(state));
    assert_eq!(sealed([&whole[..], &[0]].concat()), Err("length"));
    for (id, other, error) in [(b"aaaa", b"cccc", "entries"), (b"aaaa", b"bbbb", "entries")] {
        let mut bytes = whole.clone();
        let place = at(&bytes, id);
        bytes[place..place + 4].copy_from_slice(other);
        assert_eq!(sealed(bytes), Err(error));
    }
    // The phase follows the id.
    for (phase, error) in [(0, "phase"), (2, "phase"), (3, "phase"), (4, "phase")] {
        let mut bytes = whole.clone();
        let place = at(&bytes, b"aaaa") + 4;
        assert_eq!(std::mem::replace(&mut bytes[place], phase), 1);
        assert_eq!(sealed(bytes), Err(error));
    }
    let firing = Alerts::new("shop", Rules::default()).unwrap();
    let facts = Facts::new(START, WINDOW).with_verdict(names(Kind::Everyone, &[]));
    let mut bytes = firing.step(State::default(), START, Some(&facts)).0.encode();
    bytes.truncate(bytes.len() - 4);
    for value in [f64::NAN, f64::INFINITY] {
        let place = at(&bytes, &0.68_f64.to_le_bytes());
        let mut wrong = bytes.clone();
        wrong[place..place + 8].copy_from_slice(&value.to_le_bytes());
        assert_eq!(sealed(wrong), Err("number"));
    }
}
