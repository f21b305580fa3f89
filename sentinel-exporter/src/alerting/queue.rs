//! The notices for one sink: in order, one at a time, each tried repeatedly until it expires, and each accounted for.
//!
//! Pure: the queue says which notice may be sent now, and takes the result.

use crate::sink::Failed;
use sentinel_core::alert::{Notice, SinkReport, SinkState};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Most notices that wait, and their bytes.
const MAX_WAITING: usize = 64;
const MAX_WAITING_BYTES: usize = 1 << 20;
/// Age in ms at which a notice is dropped.
const EXPIRES_AFTER_MS: i64 = 24 * 3_600_000;
/// Upper bound of the first pause, which is random; it doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_mins(5);
/// Longest pause that a receiver may ask for.
const MAX_ASKED_PAUSE: Duration = Duration::from_hours(1);
/// Attempts in a row that fail before a later message gets its turn.
const ATTEMPTS_BEFORE_NEXT: u32 = 6;
/// Bytes of an error that is kept.
const MAX_ERROR_BYTES: usize = 200;

/// One moment by two clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Time since the exporter's thread started, which only goes forward: pauses are counted in it.
    pub(crate) elapsed: Duration,
    /// Unix time in ms, as notices have it.
    pub(crate) unix_ms: i64,
}

impl Moment {
    pub(crate) fn new(elapsed: Duration, unix_ms: i64) -> Self {
        Self { elapsed, unix_ms }
    }
}

/// Reason why a notice was never delivered.
#[derive(Debug, Clone, Copy)]
enum LossReason {
    /// A later notice tells both.
    Combined,
    Expired,
    Overflow,
    Refused,
    /// The journal's bytes could not be read.
    Damaged,
}

impl LossReason {
    fn name(self) -> &'static str {
        match self {
            Self::Combined => "combined",
            Self::Expired => "expired",
            Self::Overflow => "overflow",
            Self::Refused => "refused",
            Self::Damaged => "damaged",
        }
    }
}

/// The queue of one sink.
#[derive(Debug)]
pub(crate) struct Queue {
    name: String,
    kind: String,
    pace: Duration,
    waiting: VecDeque<WaitingNotice>,
    /// Ticket of the attempt under way, which is of the first notice.
    sending: Option<u64>,
    /// Attempts in a row that failed.
    failed: u32,
    not_before: Duration,
    account: QueueAccount,
}

#[derive(Debug, Clone)]
struct WaitingNotice {
    notice: Arc<Notice>,
    bytes: usize,
}

impl WaitingNotice {
    fn new(notice: Notice) -> Self {
        let bytes = notice.encode().len();
        Self { notice: Arc::new(notice), bytes }
    }
}

/// Counts of the queue, as reported and kept over restarts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct QueueAccount {
    offered: u64,
    delivered: u64,
    dropped: BTreeMap<String, u64>,
    delivered_ms: Option<i64>,
    last_error: Option<String>,
    disabled: bool,
    retrying: bool,
}

impl QueueAccount {
    fn lose(&mut self, why: LossReason) {
        let count = self.dropped.entry(why.name().into()).or_default();
        *count = count.saturating_add(1);
    }
}

impl Queue {
    pub(crate) fn new(name: &str, kind: &str, pace: Duration) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            pace,
            waiting: VecDeque::new(),
            sending: None,
            failed: 0,
            not_before: Duration::ZERO,
            account: QueueAccount::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Takes a changed sink. One that has refused a notice is tried again.
    pub(crate) fn configure(&mut self, kind: &str, pace: Duration) {
        (self.kind, self.pace) = (kind.into(), pace);
        (self.failed, self.not_before, self.account.disabled) = (0, Duration::ZERO, false);
        // The attempt under way may go to the wrong place: the notice is sent again, under the same id.
        self.sending = None;
    }

    /// Adds a notice.
    pub(crate) fn offer(&mut self, mut notice: Notice) {
        self.account.offered = self.account.offered.saturating_add(1);
        let (first, account) = (usize::from(self.sending.is_some()), &mut self.account);
        let mut number = 0;
        self.waiting.retain_mut(|waiting| {
            number += 1;
            if number <= first {
                return true;
            }
            let mut rest = Notice::clone(&waiting.notice);
            let left = rest.combine(&mut notice);
            if left && rest != *waiting.notice {
                *waiting = WaitingNotice::new(rest);
            } else if !left {
                account.lose(LossReason::Combined);
            }
            left
        });
        self.waiting.push_back(WaitingNotice::new(notice));
        self.bound();
    }

    /// Drops the oldest notices beyond the bounds; not the one under way, and not the last one.
    fn bound(&mut self) {
        let first = usize::from(self.sending.is_some());
        let bytes = |waiting: &VecDeque<WaitingNotice>| waiting.iter().map(|waiting| waiting.bytes).sum::<usize>();
        while self.waiting.len() > first + 1
            && (self.waiting.len() > MAX_WAITING || bytes(&self.waiting) > MAX_WAITING_BYTES)
        {
            self.waiting.remove(first);
            self.account.lose(LossReason::Overflow);
        }
    }

    /// The notice to send now; it is under way until [`Queue::done`].
    pub(crate) fn next(&mut self, ticket: u64, now: Moment) -> Option<Arc<Notice>> {
        if self.sending.is_some() {
            return None;
        }
        while self
            .waiting
            .front()
            .is_some_and(|first| now.unix_ms.saturating_sub(first.notice.at_ms) > EXPIRES_AFTER_MS)
        {
            self.waiting.pop_front();
            self.account.lose(LossReason::Expired);
        }
        if self.account.disabled || now.elapsed < self.not_before {
            return None;
        }
        // The receiver may refuse this very notice: the others get their turn.
        if self.failed >= ATTEMPTS_BEFORE_NEXT {
            self.waiting.rotate_left(usize::from(self.waiting.len() > 1));
        }
        let first = self.waiting.front()?;
        self.sending = Some(ticket);
        Some(Arc::clone(&first.notice))
    }

    /// Whether this attempt is the one under way.
    pub(crate) fn is_sending(&self, ticket: u64) -> bool {
        self.sending == Some(ticket)
    }

    /// When a notice may be sent next; `None` when something else has to happen first.
    pub(crate) fn wakes(&self) -> Option<Duration> {
        (self.sending.is_none() && !self.account.disabled && !self.waiting.is_empty()).then_some(self.not_before)
    }

    /// Takes the result of the attempt. `random` is 0 to 1.
    pub(crate) fn done(&mut self, result: Result<(), &Failed>, now: Moment, random: f64) {
        if self.sending.take().is_none() {
            return;
        }
        let account = &mut self.account;
        let Err(failed) = result else {
            self.waiting.pop_front();
            account.delivered = account.delivered.saturating_add(1);
            account.delivered_ms = Some(now.unix_ms);
            (account.last_error, account.retrying, account.disabled) = (None, false, false);
            // Notices that were passed over come next, in order.
            self.waiting.make_contiguous().sort_by_key(|waiting| waiting.notice.at_ms);
            (self.failed, self.not_before) = (0, now.elapsed + self.pace);
            return;
        };
        let why = failed.to_string();
        account.last_error = Some(why[..why.floor_char_boundary(MAX_ERROR_BYTES)].into());
        if let Failed::Later { after, .. } = failed {
            // Full jitter: many that fail together do not come back together.
            let limit = MAX_PAUSE.min(FIRST_PAUSE.saturating_mul(1 << self.failed.min(20)));
            let asked = after.unwrap_or_default().min(MAX_ASKED_PAUSE);
            self.not_before = now.elapsed + limit.mul_f64(random.clamp(0.0, 1.0)).max(asked).max(self.pace);
            self.failed = self.failed.saturating_add(1);
            account.retrying = true;
        } else {
            // The receiver may refuse every notice: the others wait until the configuration changes.
            self.waiting.pop_front();
            account.lose(LossReason::Refused);
            (account.disabled, account.retrying) = (true, false);
        }
    }

    pub(crate) fn report(&self) -> SinkReport {
        let QueueAccount { offered, delivered, dropped, delivered_ms, last_error, disabled, retrying } =
            self.account.clone();
        let mut report = SinkReport::new(&self.name, &self.kind);
        report.state = match (disabled, retrying) {
            (true, _) => SinkState::Disabled,
            (_, true) => SinkState::Retrying,
            _ => SinkState::Ok,
        };
        (report.offered, report.delivered, report.dropped) = (offered, delivered, dropped);
        report.pending = self.waiting.len() as u64;
        (report.delivered_ms, report.last_error) = (delivered_ms, last_error);
        report
    }

    /// Bytes for the next leader. The notice under way is among them: it is sent twice rather than never.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let head = serde_json::to_vec(&QueueHead { kind: self.kind.clone(), account: self.account.clone() });
        let mut out = Vec::new();
        for part in std::iter::once(head.unwrap_or_default()).chain(self.waiting.iter().map(|one| one.notice.encode()))
        {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(&part);
        }
        out
    }

    /// Goes on with the bytes of the last leader. A sink that has refused a notice is tried again: it may have been mended.
    pub(crate) fn resume(&mut self, bytes: &[u8]) {
        let mut parts = parts(bytes);
        let head: Option<QueueHead> = parts.next().and_then(|head| serde_json::from_slice(head).ok());
        self.account = head.unwrap_or_default().account;
        self.account.disabled = false;
        for part in parts {
            match Notice::decode(part) {
                Ok(notice) => self.waiting.push_back(WaitingNotice::new(notice)),
                Err(_) => self.account.lose(LossReason::Damaged),
            }
        }
        self.bound();
        let QueueAccount { offered, delivered, dropped, .. } = &mut self.account;
        *offered = (*offered).max(*delivered + dropped.values().sum::<u64>() + self.waiting.len() as u64);
    }

    /// Whether all notices in these bytes have expired.
    pub(crate) fn is_over(bytes: &[u8], now_ms: i64) -> bool {
        let waiting = parts(bytes).skip(1).filter_map(|part| Notice::decode(part).ok());
        waiting.into_iter().all(|notice| now_ms.saturating_sub(notice.at_ms) > EXPIRES_AFTER_MS)
    }

    /// The report from bytes that another process has written.
    pub(crate) fn read(name: &str, bytes: &[u8]) -> SinkReport {
        let head: Option<QueueHead> = parts(bytes).next().and_then(|head| serde_json::from_slice(head).ok());
        let QueueHead { kind, account } = head.unwrap_or_default();
        let mut report = Self { account, ..Self::new(name, &kind, Duration::ZERO) }.report();
        report.pending = parts(bytes).count().saturating_sub(1) as u64;
        report
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct QueueHead {
    kind: String,
    account: QueueAccount,
}

/// Parts that were written with their lengths.
pub(super) fn parts(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_at_checked(4)?;
        let (part, rest) = rest.split_at_checked(u32::from_le_bytes(length.try_into().ok()?) as usize)?;
        bytes = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sentinel_core::Kind;
    use sentinel_core::alert::{Accused, Alerts, Facts, Grouping, Rules, State, Verdicts};

    const SECOND: Duration = Duration::from_secs(1);

    fn later(after: Option<Duration>) -> Failed {
        Failed::Later { why: "503".into(), after }
    }

    fn refused() -> Failed {
        Failed::Refused { why: "404".into() }
    }

    fn test(at_ms: i64) -> Notice {
        Notice::test("shop", at_ms)
    }

    fn queue() -> Queue {
        Queue::new("ops", "slack", SECOND)
    }

    fn account(queue: &Queue) -> (u64, u64, u64, u64) {
        let report = queue.report();
        (report.offered, report.delivered, report.dropped.values().sum(), report.pending)
    }

    /// One that fires, and the one after it, which says that this is over.
    fn fired_and_over() -> (Notice, Notice) {
        let grouping = Grouping { first: Duration::ZERO, then: Duration::ZERO, ..Grouping::default() };
        let verdict = Verdicts { keep_firing_for: Duration::ZERO, ..Verdicts::default() };
        let alerts = Alerts::new("shop", Rules { verdict, grouping, ..Rules::default() }).unwrap();
        let facts = Facts::new(0, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
        let (state, fired) = alerts.step(State::default(), 0, Some(&facts));
        let over = alerts.step(state, 60_000, Some(&Facts::new(60_000, 600_000))).1;
        (fired.notice.unwrap(), over.notice.unwrap())
    }

    #[test]
    fn one_at_a_time_in_order_and_not_faster_than_its_pace() {
        let mut queue = queue();
        (1..=3).for_each(|at| queue.offer(test(at)));
        assert_eq!(queue.next(1, Moment::new(Duration::ZERO, 3)).unwrap().at_ms, 1);
        assert!(queue.next(1, Moment::new(Duration::ZERO, 3)).is_none() && queue.wakes().is_none());
        queue.done(Ok(()), Moment::new(Duration::ZERO, 3), 0.0);
        assert_eq!(queue.wakes(), Some(SECOND));
        assert!(queue.next(1, Moment::new(SECOND / 2, 3)).is_none());
        assert_eq!(queue.next(1, Moment::new(SECOND, 3)).unwrap().at_ms, 2);
        assert_eq!(account(&queue), (3, 1, 0, 2));
    }

    #[test]
    fn pauses_grow_and_are_random_and_what_is_asked_for_is_kept() {
        let mut queue = Queue::new("ops", "webhook", Duration::ZERO);
        queue.offer(test(0));
        let mut at = Duration::ZERO;
        for (random, pause) in [(1.0, 1), (1.0, 2), (0.5, 2), (1.0, 8), (0.0, 0), (1.0, 32)] {
            assert!(queue.next(1, Moment::new(at, 0)).is_some());
            queue.done(Err(&later(None)), Moment::new(at, 0), random);
            assert_eq!(queue.wakes(), Some(at + pause * SECOND));
            at += pause * SECOND;
        }
        for _ in 0..30 {
            assert!(queue.next(1, Moment::new(at, 0)).is_some());
            queue.done(Err(&later(None)), Moment::new(at, 0), 1.0);
            at = queue.wakes().unwrap();
        }
        assert!(queue.next(1, Moment::new(at, 0)).is_some());
        queue.done(Err(&later(None)), Moment::new(at, 0), 1.0);
        assert_eq!(queue.wakes(), Some(at + MAX_PAUSE));
        at += MAX_PAUSE;
        for (asked, kept) in [(30 * SECOND, 30 * SECOND), (48 * MAX_ASKED_PAUSE, MAX_ASKED_PAUSE)] {
            assert!(queue.next(1, Moment::new(at, 0)).is_some());
            queue.done(Err(&later(Some(asked))), Moment::new(at, 0), 0.0);
            assert_eq!(queue.wakes(), Some(at + kept));
            assert!(queue.next(1, Moment::new(at + kept.mul_f64(0.9), 0)).is_none());
            at += kept;
        }
        assert_eq!((queue.report().state, queue.report().last_error.as_deref()), (SinkState::Retrying, Some("503")));
        assert!(queue.next(1, Moment::new(at, 0)).is_some());
        queue.done(Ok(()), Moment::new(at, 5), 1.0);
        let report = queue.report();
        assert_eq!((report.state, report.last_error, report.delivered_ms), (SinkState::Ok, None, Some(5)));
    }

    #[test]
    fn who_refuses_gets_nothing_more_until_somebody_has_looked() {
        let mut queue = queue();
        (1..=3).for_each(|at| queue.offer(test(at)));
        assert!(queue.next(1, Moment::new(Duration::ZERO, 0)).is_some());
        queue.done(Err(&refused()), Moment::new(Duration::ZERO, 0), 0.0);
        assert!(queue.next(1, Moment::new(100 * SECOND, 0)).is_none() && queue.wakes().is_none());
        let report = queue.report();
        assert_eq!((report.state, report.last_error.as_deref(), report.pending), (SinkState::Disabled, Some("404"), 2));
        assert_eq!(report.dropped["refused"], 1);
        let bytes = queue.encode();
        assert_eq!(Queue::read("ops", &bytes), queue.report());
        // Another configuration, or another leader.
        queue.configure("slack", SECOND);
        assert_eq!(queue.next(1, Moment::new(Duration::ZERO, 0)).unwrap().at_ms, 2);
        let mut next = super::tests::queue();
        next.resume(&bytes);
        assert_eq!(next.next(1, Moment::new(Duration::ZERO, 0)).unwrap().at_ms, 2);
    }

    /// A message that is never taken does not keep the others waiting.
    #[test]
    fn one_that_is_never_taken_lets_the_others_pass() {
        let mut queue = Queue::new("ops", "email", Duration::ZERO);
        (1..=3).for_each(|at| queue.offer(test(at)));
        let (mut at, mut told, mut tried) = (Duration::ZERO, Vec::new(), 0);
        for _ in 0..40 {
            let Some(notice) = queue.next(1, Moment::new(at, 3)) else { break };
            tried += 1;
            let poison = later(None);
            let result = if notice.at_ms == 1 { Err(&poison) } else { Ok(()) };
            told.extend(result.is_ok().then_some(notice.at_ms));
            queue.done(result, Moment::new(at, 3), 1.0);
            at = queue.wakes().unwrap_or(at);
        }
        assert_eq!((told, tried), (vec![2, 3], 40));
        assert_eq!((account(&queue), queue.waiting[0].notice.at_ms), ((3, 2, 0, 1), 1));
    }

    /// Notices that were passed over are told first when the sink takes something, in the order in which they happened.
    #[test]
    fn what_was_left_behind_is_next() {
        let mut queue = Queue::new("ops", "email", Duration::ZERO);
        (1..=4).for_each(|at| queue.offer(test(at)));
        let (mut at, mut told) = (Duration::ZERO, Vec::new());
        for _ in 0..40 {
            let Some(notice) = queue.next(1, Moment::new(at, 4)) else { break };
            let poison = later(None);
            let taken = notice.at_ms == 3 || !told.is_empty();
            told.extend(taken.then_some(notice.at_ms));
            queue.done(if taken { Ok(()) } else { Err(&poison) }, Moment::new(at, 4), 1.0);
            at = queue.wakes().unwrap_or(at);
        }
        assert_eq!(told, [3, 1, 2, 4]);
    }

    #[test]
    fn what_fired_and_is_over_before_it_was_told_is_told_once() {
        let (fired, over) = fired_and_over();
        let mut queue = queue();
        queue.offer(fired.clone());
        assert!(queue.next(1, Moment::new(Duration::ZERO, 0)).is_some());
        queue.done(Err(&later(None)), Moment::new(Duration::ZERO, 0), 1.0);
        queue.offer(over.clone());
        let told = queue.next(1, Moment::new(SECOND, 60_000)).unwrap();
        assert!(told.message().title.starts_with("✅ Sentinel: fired and resolved within"), "{}", told.message().title);
        assert_eq!((told.id, &queue.report().dropped["combined"]), (over.id, &1));
        queue.done(Ok(()), Moment::new(SECOND, 60_000), 0.0);
        assert_eq!(account(&queue), (2, 1, 1, 0));
        // The one on its way may arrive: it is told, and then that it is over.
        let mut queue = super::tests::queue();
        queue.offer(fired.clone());
        assert!(queue.next(1, Moment::new(Duration::ZERO, 0)).is_some());
        queue.offer(over.clone());
        queue.done(Ok(()), Moment::new(Duration::ZERO, 0), 0.0);
        let told = queue.next(1, Moment::new(SECOND, 60_000)).unwrap();
        assert_eq!(*told, over);
    }

    #[test]
    fn what_nobody_wants_to_know_any_more_is_dropped() {
        let mut queue = queue();
        queue.offer(test(0));
        queue.offer(test(EXPIRES_AFTER_MS));
        assert_eq!(queue.next(1, Moment::new(Duration::ZERO, EXPIRES_AFTER_MS + 1)).unwrap().at_ms, EXPIRES_AFTER_MS);
        assert_eq!(queue.report().dropped["expired"], 1);
        assert_eq!(account(&queue), (2, 0, 1, 1));
    }

    /// All sinks dead for an hour, and a notice a second: what waits stays within its bounds, and so does what is written down.
    #[test]
    fn it_is_bounded() {
        let mut queue = queue();
        let mut at = Duration::ZERO;
        for number in 0..3_600 {
            queue.offer(test(number));
            if queue.next(1, Moment::new(at, number)).is_some() {
                queue.done(Err(&later(None)), Moment::new(at, number), 1.0);
            }
            at += SECOND;
            let bytes: usize = queue.waiting.iter().map(|waiting| waiting.bytes).sum();
            assert!(queue.waiting.len() <= MAX_WAITING && bytes <= MAX_WAITING_BYTES);
        }
        assert_eq!(account(&queue), (3_600, 0, 3_600 - MAX_WAITING as u64, MAX_WAITING as u64));
        assert_eq!(queue.report().dropped["overflow"], 3_600 - MAX_WAITING as u64);
        // The last ones are there, in order.
        assert_eq!(queue.waiting.front().unwrap().notice.at_ms, 3_600 - MAX_WAITING as i64);
    }

    #[derive(Debug, Clone)]
    enum Act {
        Offer(bool),
        Next,
        Done(u8),
        Restart,
        Wait(u32),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            any::<bool>().prop_map(Act::Offer),
            Just(Act::Next),
            (0..3_u8).prop_map(Act::Done),
            Just(Act::Restart),
            (0..400_000_u32).prop_map(Act::Wait),
        ]
    }

    proptest! {
        /// Whatever happens: each is accounted for once, and what is read back by another process is what this one says.
        #[test]
        fn nothing_is_lost_or_counted_twice(acts in proptest::collection::vec(act(), 1..200), random in 0.0..1.0_f64) {
            let (fired, over) = fired_and_over();
            let (mut queue, mut at, mut now_ms) = (queue(), Duration::ZERO, 0);
            let mut offers = 0;
            for act in acts {
                match act {
                    Act::Offer(fires) => {
                        offers += 1;
                        queue.offer(if fires { fired.clone() } else { over.clone() });
                    }
                    Act::Next => drop(queue.next(1, Moment::new(at, now_ms))),
                    Act::Done(0) => queue.done(Ok(()), Moment::new(at, now_ms), random),
                    Act::Done(1) => queue.done(Err(&later(None)), Moment::new(at, now_ms), random),
                    Act::Done(_) => queue.done(Err(&refused()), Moment::new(at, now_ms), random),
                    Act::Restart => {
                        let bytes = queue.encode();
                        let waiting: Vec<_> = queue.waiting.iter().map(|one| Arc::clone(&one.notice)).collect();
                        queue = super::tests::queue();
                        queue.resume(&bytes);
                        let read: Vec<_> = queue.waiting.iter().map(|one| Arc::clone(&one.notice)).collect();
                        prop_assert_eq!(waiting, read);
                    }
                    Act::Wait(ms) => {
                        at += Duration::from_millis(ms.into());
                        now_ms += i64::from(ms);
                    }
                }
                let (offered, delivered, dropped, pending) = account(&queue);
                prop_assert_eq!((offered, delivered + dropped + pending), (offers, offers));
                prop_assert_eq!(pending as usize, queue.waiting.len());
                prop_assert_eq!(Queue::read("ops", &queue.encode()), queue.report());
                if let Some(wakes) = queue.wakes() {
                    prop_assert!(wakes <= at + MAX_ASKED_PAUSE);
                }
            }
        }

        #[test]
        fn any_bytes_are_resumed(bytes: Vec<u8>) {
            let mut queue = queue();
            queue.resume(&bytes);
            let (offered, delivered, dropped, pending) = account(&queue);
            prop_assert_eq!(offered, delivered + dropped + pending);
            let _ = Queue::read("ops", &bytes);
        }
    }
}
