//! What survives the process: a check's history and state as bytes. Any bytes give them back or an error.

use super::engine::Uptime;
use super::history::{Bucket, HOUR, History, ResultCounts};
use super::monitor::{Monitor, hash};
use super::network::{HOSTS, WITNESSES};
use super::result::{Cause, CheckResult, MAX_INTERVAL_MS, Outcome, Packed, outcome_of};
use super::state::{FLAPS, State, Status};
use super::{KEPT_HOURS, KEPT_RESULTS};
use crate::util::error::DecodeError;
use crate::util::wire::{MAX_COUNT, Reader, Writer, invalid};
use std::collections::{BTreeSet, VecDeque};

const CHECK: [u8; 4] = *b"SNTU";
const SHARED: [u8; 4] = *b"SNTW";
const STATE: [u8; 4] = *b"SNTV";
const VERSION: u8 = 1;

impl Uptime {
    /// The bytes of a check's history and state, for [`Uptime::restore`]; `None` if there is none of that name.
    ///
    /// ```
    /// use sentinel_core::uptime::{Check, CheckResult, Checks, Target, Uptime};
    ///
    /// let checks = Checks::new(vec![Check::new("db", Target::new("tcp://db:5432")?)])?;
    /// let (mut one, mut two) = (Uptime::default(), Uptime::default());
    /// one.configure(checks.clone(), 0);
    /// one.record("db", 5_000, CheckResult::up(5_000, 60_000), None);
    /// two.configure(checks, 50_000);
    /// two.restore("db", &one.encode("db").unwrap())?;
    /// assert_eq!(one.history("db"), two.history("db"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode(&self, name: &str) -> Option<Vec<u8>> {
        let Monitor { check, state, history, missed, .. } = self.monitors.get(name)?;
        let mut out = Writer::new(CHECK, VERSION, 64 + 4 * history.hours.len() + 12 * history.results.len());
        out.0.extend_from_slice(&identity(check).to_le_bytes());
        out.number(*missed);
        out.history(history);
        out.state(state);
        Some(out.finish())
    }

    /// Takes back what [`Uptime::encode`] gave: a history goes on, and the time in between is unknown. A check that is another target now, or
    /// paused, keeps the history alone. False if there is no check of that name.
    ///
    /// # Errors
    /// A [`DecodeError`] for bytes that are nothing of the kind; nothing is changed then.
    ///
    /// ```
    /// use sentinel_core::{DecodeError, uptime::Uptime};
    /// assert!(matches!(Uptime::default().restore("db", b"SNTA"), Err(DecodeError::Magic { .. })));
    /// ```
    pub fn restore(&mut self, name: &str, bytes: &[u8]) -> Result<bool, DecodeError> {
        let mut input = Reader::open(bytes, CHECK, VERSION)?;
        let (same, missed) = (u64::from_le_bytes(input.array()?), input.number()?);
        let (history, state) = (input.history()?, input.state()?);
        input.end()?;
        let Some(monitor) = self.monitors.get_mut(name) else { return Ok(false) };
        (monitor.history, monitor.missed) = (history, missed);
        if same == identity(&monitor.check) && !monitor.check.paused {
            monitor.state = state;
        }
        Ok(true)
    }

    /// The bytes of a check's state alone, for [`Uptime::restore_state`]; `None` if there is none of that name. A log writes it down with
    /// every [`Change`](super::Change).
    ///
    /// ```
    /// assert!(sentinel_core::uptime::Uptime::default().encode_state("db").is_none());
    /// ```
    pub fn encode_state(&self, name: &str) -> Option<Vec<u8>> {
        let Monitor { check, state, .. } = self.monitors.get(name)?;
        let mut out = Writer::new(STATE, VERSION, 64);
        out.0.extend_from_slice(&identity(check).to_le_bytes());
        out.state(state);
        Some(out.finish())
    }

    /// Takes back what [`Uptime::encode_state`] gave. False if there is no check of that name, or it is another target now, or paused.
    ///
    /// # Errors
    /// A [`DecodeError`] for bytes that are nothing of the kind; nothing is changed then.
    ///
    /// ```
    /// use sentinel_core::uptime::{Cause, Check, CheckResult, Checks, Status, Target, Uptime};
    ///
    /// let checks = Checks::new(vec![Check::new("db", Target::new("tcp://db:5432")?)])?;
    /// let (mut one, mut two) = (Uptime::default(), Uptime::default());
    /// one.configure(checks.clone(), 0);
    /// two.configure(checks, 0);
    /// [0, 10_000, 20_000].map(|at| one.record("db", at, CheckResult::down(at, 60_000, Cause::Connect), None));
    /// two.restore_state("db", &one.encode_state("db").unwrap())?;
    /// assert_eq!(two.standing("db", 20_000).unwrap().confirmed, Status::Down);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore_state(&mut self, name: &str, bytes: &[u8]) -> Result<bool, DecodeError> {
        let mut input = Reader::open(bytes, STATE, VERSION)?;
        let (same, state) = (u64::from_le_bytes(input.array()?), input.state()?);
        input.end()?;
        let Some(monitor) = self.monitors.get_mut(name) else { return Ok(false) };
        let holds = same == identity(&monitor.check) && !monitor.check.paused;
        if holds {
            monitor.state = state;
        }
        Ok(holds)
    }

    /// The bytes of what is known of all checks together (this side's own network, the clock), for [`Uptime::restore_shared`].
    ///
    /// ```
    /// use sentinel_core::uptime::Uptime;
    /// assert!(Uptime::default().restore_shared(&Uptime::default().encode_shared()).is_ok());
    /// ```
    pub fn encode_shared(&self) -> Vec<u8> {
        let mut out = Writer::new(SHARED, VERSION, 16);
        out.perhaps_ms(self.network.down_since_ms);
        out.perhaps_ms(self.now_ms);
        out.finish()
    }

    /// Takes back what [`Uptime::encode_shared`] gave, after the checks: whoever resumes in an outage does not tell of it again, and who
    /// resumes with a clock that was set back knows it.
    ///
    /// # Errors
    /// A [`DecodeError`] for bytes that are nothing of the kind.
    ///
    /// ```
    /// assert!(sentinel_core::uptime::Uptime::default().restore_shared(b"").is_err());
    /// ```
    pub fn restore_shared(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut input = Reader::open(bytes, SHARED, VERSION)?;
        let (since, latest) = (input.perhaps_ms()?, input.perhaps_ms()?);
        input.end()?;
        self.network.down_since_ms = since;
        self.now_ms = self.now_ms.max(latest);
        self.network.back.clear();
        for monitor in self.monitors.values_mut() {
            let lost = monitor.state.last.is_some_and(|last| last.cause == Some(Cause::OwnNetwork));
            monitor.disowned = since.is_some() && lost;
        }
        // Other checks than those who knew of the outage, and too few to know that it is over.
        let lost: BTreeSet<u64> =
            self.monitors.values().filter(|monitor| monitor.disowned).map(|monitor| monitor.host).collect();
        if lost.len() < HOSTS && self.monitors.len() <= WITNESSES {
            self.network.down_since_ms = None;
        }
        Ok(())
    }
}

/// Which target this is; not which secrets it is asked with.
fn identity(check: &super::check::Check) -> u64 {
    let target = &check.target;
    hash(&format!("{target} {} {} {}", check.method.name(), target.port(), target.path()))
}

impl Writer {
    fn perhaps_ms(&mut self, ms: Option<i64>) {
        self.number(u64::from(ms.is_some()));
        if let Some(ms) = ms {
            self.signed(ms);
        }
    }

    fn history(&mut self, history: &History) {
        let History { since_ms, folded_ms, first_hour, hours, results, counts } = history;
        let ResultCounts { offered, doubled, late, future } = *counts;
        for moment in [since_ms, folded_ms, first_hour] {
            self.signed(*moment);
        }
        self.numbers([offered, doubled, late, future]);
        self.number(hours.len() as u64);
        let mut at = 0;
        while let Some(bucket) = hours.get(at) {
            let run = hours.iter().skip(at).take_while(|other| *other == bucket).count();
            let Bucket { up_ms, down_ms, maintenance_ms } = *bucket;
            self.numbers([run as u64, u64::from(up_ms), u64::from(down_ms), u64::from(maintenance_ms)]);
            at += run;
        }
        self.number(results.len() as u64);
        let mut before = (*folded_ms, 0);
        for result in results.iter().map(Packed::get) {
            self.result(&result, &mut before);
        }
    }

    /// What differs from the result before: its moment, and its interval where that is another one.
    fn result(&mut self, result: &CheckResult, before: &mut (i64, u32)) {
        let CheckResult { at_ms, outcome, cause, interval_ms, latency_us, status } = *result;
        let other = interval_ms != before.1;
        let flags = [other, latency_us.is_some(), status.is_some()];
        let bits = flags.iter().enumerate().fold(0, |bits, (at, flag)| bits | (u64::from(*flag) << (at + 2)));
        self.numbers([outcome as u64 | bits, at_ms.wrapping_sub(before.0) as u64]);
        if outcome != Outcome::Up {
            self.number(u64::from(Cause::tag(cause)));
        }
        if other {
            self.number(u64::from(interval_ms));
        }
        latency_us.into_iter().for_each(|us| self.number(u64::from(us)));
        status.into_iter().for_each(|status| self.number(u64::from(status)));
        *before = (at_ms, interval_ms);
    }

    fn state(&mut self, state: &State) {
        let State { status, since_ms, cause, streak, streak_ms, last, confirm_ms, held, turns, flapping, .. } = state;
        self.numbers([*status as u64, u64::from(Cause::tag(*cause)), u64::from(*streak)]);
        self.signed(*since_ms);
        self.signed(*streak_ms);
        self.numbers([u64::from(*held), u64::from(*flapping), u64::from(state.expiring)]);
        self.perhaps_ms(*confirm_ms);
        self.perhaps_ms(state.expires_ms);
        self.number(turns.len() as u64);
        turns.iter().for_each(|turn| self.signed(*turn));
        self.number(u64::from(last.is_some()));
        if let Some(last) = last {
            self.0.extend_from_slice(&last.to_bytes());
        }
    }
}

impl Reader<'_> {
    fn bit(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        Ok(self.at_most(field, 1, "0 or 1")? == 1)
    }

    /// A moment that can be computed with.
    fn instant(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        let ms = self.signed()?;
        if ms.unsigned_abs() <= MAX_COUNT { Ok(ms) } else { Err(invalid(field, ms as u64, "±2^53")) }
    }

    fn perhaps_ms(&mut self) -> Result<Option<i64>, DecodeError> {
        if self.bit("moment")? { self.instant("moment").map(Some) } else { Ok(None) }
    }

    fn history(&mut self) -> Result<History, DecodeError> {
        let (since_ms, folded_ms) = (self.instant("since_ms")?, self.instant("folded_ms")?);
        let first_hour = self.instant("first_hour")?;
        let (offered, doubled, late, future) = (self.number()?, self.number()?, self.number()?, self.number()?);
        let count = self.at_most("hours", KEPT_HOURS as u64 + 1, "90 days")? as usize;
        let ends = first_hour.saturating_add(count as i64);
        if since_ms > folded_ms || (count > 0 && ends > folded_ms.div_euclid(HOUR) + 1) {
            return Err(invalid("folded_ms", folded_ms as u64, "the end of what is added up"));
        }
        let mut hours = VecDeque::with_capacity(count);
        while hours.len() < count {
            let run = self.at_most("run", (count - hours.len()) as u64, "as many as there are hours")? as usize;
            let mut part = || Ok(self.at_most("hour", HOUR as u64, "an hour")? as u32);
            let (up_ms, down_ms, maintenance_ms) = (part()?, part()?, part()?);
            let known = u64::from(up_ms) + u64::from(down_ms) + u64::from(maintenance_ms);
            if run == 0 || known > HOUR as u64 {
                return Err(invalid("hour", known, "parts of an hour"));
            }
            hours.extend(std::iter::repeat_n(Bucket { up_ms, down_ms, maintenance_ms }, run));
        }
        let count = self.items("results", 2)?;
        if count > KEPT_RESULTS {
            return Err(invalid("results", count as u64, "as many as are kept"));
        }
        let mut results = VecDeque::with_capacity(count);
        let mut before = (folded_ms, 0);
        for at in 0..count {
            let result = self.result(&mut before, at == 0)?;
            results.push_back(Packed::new(result));
        }
        let counts = ResultCounts { offered, doubled, late, future };
        Ok(History { since_ms, folded_ms, first_hour, hours, results, counts })
    }

    fn result(&mut self, before: &mut (i64, u32), first: bool) -> Result<CheckResult, DecodeError> {
        let bits = self.at_most("result", 31, "5 bits")?;
        let (outcome, later) = (outcome_of(bits & 3)?, self.count("at_ms")?);
        let cause = if outcome == Outcome::Up { None } else { Cause::of_tag(self.number()?)? };
        let at_ms = before.0 + later as i64;
        let has = |bit: u64| bits & (1 << bit) != 0;
        let interval_ms = if has(2) {
            self.at_most("interval_ms", u64::from(MAX_INTERVAL_MS), "at most a day")? as u32
        } else {
            before.1
        };
        let latency_us = if has(3) { Some(self.small("latency_us")?) } else { None };
        let status = if has(4) { Some(self.at_most("status", 999, "1 to 999")? as u16) } else { None };
        let result = CheckResult { at_ms, outcome, cause, interval_ms, latency_us, status };
        if result != result.bounded() || (later == 0 && !first) {
            return Err(invalid("result", bits, "values in range, in rising order"));
        }
        *before = (at_ms, interval_ms);
        Ok(result)
    }

    fn state(&mut self) -> Result<State, DecodeError> {
        let status = match self.number()? {
            0 => Status::Unknown,
            1 => Status::Up,
            2 => Status::Down,
            other => return Err(invalid("status", other, "0 to 2")),
        };
        let (cause, streak) = (Cause::of_tag(self.number()?)?, self.small("streak")?);
        let (since_ms, streak_ms) = (self.instant("since_ms")?, self.instant("streak_ms")?);
        let (held, flapping, expiring) = (self.bit("held")?, self.bit("flapping")?, self.bit("expiring")?);
        let (confirm_ms, expires_ms) = (self.perhaps_ms()?, self.perhaps_ms()?);
        let count = self.at_most("turns", FLAPS as u64, "as many as are kept")?;
        let turns = (0..count).map(|_| self.instant("turn")).collect::<Result<_, _>>()?;
        let last = if self.bit("last")? { Some(CheckResult::from_bytes(&self.array()?)?) } else { None };
        Ok(State {
            status,
            since_ms,
            cause,
            streak,
            streak_ms,
            last,
            confirm_ms,
            held,
            turns,
            flapping,
            expires_ms,
            expiring,
        })
    }
}
