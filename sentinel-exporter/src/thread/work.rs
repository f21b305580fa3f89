//! The loop of the exporter's thread: it ticks the core, publishes, collects and leads, apart from any request.
//!
//! The thread has a runtime of its own that no other thread enters. A forked child loses the runtime together with the thread.

#[cfg(unix)]
use super::alert_duties::AlertDuties;
use super::failures::{Failure, Failures};
#[cfg(unix)]
use super::leader_duties::{DutyEvent, LeaderDuties};
use super::mailbox::{Mailbox, Phase};
use super::view::View;
use crate::config::{Config, Reload, Watch};
#[cfg(unix)]
use crate::host_dir::Leader;
#[cfg(unix)]
use crate::sink::flusher::Flusher;
#[cfg(unix)]
use crate::uptime::CheckPlan;
use sentinel_core::{Block, Published, Sentinel};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// Interval of the ticks of the core, and of the attempts to lead.
const TICK_EVERY: Duration = Duration::from_secs(1);
/// Interval at which the leader process writes its baseline down for processes that start later.
const HAND_ON_BASELINE_EVERY: Duration = Duration::from_mins(1);
/// Time between the end of a slot and its flush, in ms: requests that end late are counted by then.
const FLUSH_DELAY_MS: i64 = 2_000;
/// Time for messages that are under way when the thread ends.
#[cfg(unix)]
const MAX_LAST_MESSAGES_WAIT: Duration = Duration::from_millis(300);
/// Time for which a report on uptime checks is kept after it was made: longer than any caller waits for it.
#[cfg(unix)]
const KEEP_UPTIME_REPORT_FOR: Duration = Duration::from_secs(2);
/// Panics in a row after which the thread ends.
const MAX_PANICS: u32 = 3;

/// State of the thread, made on the thread itself.
pub(crate) struct Work {
    pub(crate) sentinel: Sentinel,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) config: Config,
    watch: Option<Watch>,
    /// Options as the file has them, without those that code has put over them.
    file: Config,
    pub(crate) view: Option<View>,
    #[cfg(unix)]
    pub(crate) leader: Option<Leader>,
    /// Alerts and uptime checks; `None` where the processes of the service cannot meet.
    #[cfg(unix)]
    pub(crate) duties: Option<LeaderDuties>,
    #[cfg(unix)]
    flusher: Option<Flusher>,
    /// Changes of blocks that were seen for flushing, and the start of the last slot flushed, Unix ms: each slot is flushed once.
    to_flush: Published,
    flushed_ms: i64,
    /// Slots that are not flushed yet, by their start in Unix ms.
    ending: BTreeMap<i64, Block>,
    published: Option<Instant>,
    collected: Option<Instant>,
    judged: Option<Instant>,
    published_ms: Option<i64>,
    collected_ms: Option<i64>,
    /// Errors of the last attempt to publish and to collect; `None` after a success.
    unpublished: Option<String>,
    uncollected: Option<String>,
    handed_on: Instant,
    /// When the last report on uptime checks was made for a caller.
    #[cfg(unix)]
    uptime_told: Option<Instant>,
    failures: Failures,
}

impl Work {
    pub(crate) fn new(sentinel: Sentinel, mailbox: Arc<Mailbox>, config: Config) -> Self {
        Self {
            sentinel,
            mailbox,
            #[cfg(unix)]
            flusher: config.flush.clone().map(Flusher::new),
            config,
            watch: None,
            file: Config::default(),
            view: None,
            #[cfg(unix)]
            leader: None,
            #[cfg(unix)]
            duties: None,
            to_flush: Published::default(),
            flushed_ms: i64::MIN,
            ending: BTreeMap::new(),
            published: None,
            collected: None,
            judged: None,
            published_ms: None,
            collected_ms: None,
            unpublished: None,
            uncollected: None,
            handed_on: Instant::now(),
            #[cfg(unix)]
            uptime_told: None,
            failures: Failures::default(),
        }
    }

    /// Follows a file from its present content on: that was read before.
    pub(crate) fn watch(&mut self, watch: Option<Watch>) {
        self.watch = watch;
        if let Some(watch) = &mut self.watch {
            let _ = watch.poll();
            self.file = watch.config().clone();
        }
    }

    /// Gives `duties` the alerts and uptime checks that the configuration asks for.
    #[cfg(unix)]
    pub(crate) fn configure_duties(&mut self, duties: &mut LeaderDuties) {
        let now_ms = self.sentinel.now_ms();
        configure_alerts(&mut duties.alerts, &self.config, now_ms, &mut self.failures);
        // Alerts go on where checks cannot be used, and the other way round.
        match CheckPlan::of(&self.config) {
            Ok(checks) => duties.probes.configure(checks, now_ms, &mut self.failures),
            Err(error) => self.failures.error(Failure::Config, &error),
        }
    }

    /// The thread's body.
    pub(crate) fn run(mut self) {
        let mailbox = Arc::clone(&self.mailbox);
        let _closed = CloseOnDrop(&mailbox);
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                mailbox.state().failures.error(Failure::Panic, &error);
                return;
            }
        };
        runtime.block_on(async {
            let mut ticks = interval(TICK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut panics = 0;
            loop {
                let woken = tokio::select! {
                    _ = ticks.tick() => WakeReason::Tick,
                    () = mailbox.wake.notified() => WakeReason::Asked,
                    event = self.next_duty_event() => event,
                };
                let last = mailbox.state().phase != Phase::Running;
                let turn = catch_unwind(AssertUnwindSafe(|| self.turn(woken, last)));
                panics = if turn.is_ok() { 0 } else { panics + 1 };
                if turn.is_err() {
                    self.failures.count(Failure::Panic);
                }
                self.tell();
                if last || panics >= MAX_PANICS {
                    self.end().await;
                    return;
                }
            }
        });
        // A name look-up that never ends must not be waited for.
        runtime.shutdown_background();
    }

    /// The next event of a message or a probe; never, where this process has no duties.
    async fn next_duty_event(&mut self) -> WakeReason {
        #[cfg(unix)]
        if let Some(duties) = &mut self.duties {
            return WakeReason::Duty(duties.next_event(self.sentinel.now_ms()).await);
        }
        std::future::pending().await
    }

    /// Waits for messages under way, then leaves the lead to another process.
    async fn end(&mut self) {
        #[cfg(unix)]
        if let Some(duties) = &mut self.duties {
            let now_ms = || self.sentinel.now_ms();
            duties.alerts.finish(MAX_LAST_MESSAGES_WAIT, now_ms, &mut self.failures).await;
            duties.step_down();
        }
        self.close();
        self.tell();
    }

    fn turn(&mut self, woken: WakeReason, last: bool) {
        #[cfg(unix)]
        let now_ms = self.sentinel.now_ms();
        let is_tick = matches!(woken, WakeReason::Tick);
        let looks = is_tick || last || matches!(woken, WakeReason::Asked);
        #[cfg(unix)]
        if let Some(duties) = &mut self.duties {
            duties.probes.turn_began();
            match woken {
                WakeReason::Duty(DutyEvent::AttemptEnded(ended)) => {
                    duties.alerts.attempt_ended(&ended, now_ms, &mut self.failures);
                }
                WakeReason::Duty(DutyEvent::ProbeEnded(ended)) => {
                    duties.probes.probe_ended(ended, now_ms, &mut self.failures);
                }
                WakeReason::Duty(DutyEvent::TimeCame) | WakeReason::Tick | WakeReason::Asked => {}
            }
            self.mailbox.tests().iter().for_each(|test| duties.alerts.send_test(test, now_ms));
        }
        if looks {
            self.look(is_tick, last);
        }
        #[cfg(unix)]
        if let Some(duties) = self.duties.as_mut().filter(|_| !last) {
            let now_ms = self.sentinel.now_ms();
            duties.probes.probe_due(now_ms);
            duties.alerts.send_due(now_ms);
        }
        #[cfg(unix)]
        if let Some(duties) = &mut self.duties {
            duties.probes.turn_ended();
        }
    }

    /// Publishes and collects, when it is time for it or a caller asks.
    fn look(&mut self, is_tick: bool, last: bool) {
        let question = self.mailbox.question();
        self.mailbox.state().last_turn = Some(Instant::now());
        if is_tick {
            // When the clock was set back, slots after the new time are flushed again.
            self.flushed_ms = self.flushed_ms.min(self.sentinel.now_ms());
            self.sentinel.tick(self.sentinel.now_ms());
            self.reload();
            self.lead();
        }
        let wanted = question.is_some() || last;
        let every =
            |then: Option<Instant>, period: Duration| then.is_none_or(|then| then.elapsed() + TICK_EVERY / 4 >= period);
        if wanted || every(self.published, self.config.every) {
            self.publish();
        }
        // The leader process collects all the time. Any other process collects slot by slot, and when it is asked.
        let leads = self.mailbox.state().leader;
        #[cfg(unix)]
        let alerts = self.duties.as_ref().is_some_and(|duties| duties.alerts.leads());
        #[cfg(not(unix))]
        let alerts = false;
        let period = if leads || alerts { self.config.every } else { self.sentinel.slot() };
        if question.is_some() || !last && every(self.collected, period) {
            self.collect();
        }
        // Judging has an interval of its own, so that frequent questions do not delay it.
        if is_tick && alerts && !last && every(self.judged, self.config.every) {
            self.judged = Some(Instant::now());
            self.judge();
        }
        #[cfg(unix)]
        if self.mailbox.take_alerts_request()
            && let Some(duties) = &mut self.duties
        {
            duties.alerts.read_from_leader();
            // The report is made before the lock is taken, so that no caller waits for it.
            let report = duties.alerts.report();
            self.mailbox.state().alerts = report;
        }
        #[cfg(unix)]
        if self.mailbox.take_uptime_request()
            && let Some(duties) = &mut self.duties
        {
            let now_ms = self.sentinel.now_ms();
            duties.probes.read_from_leader(now_ms);
            let report = duties.probes.report(now_ms).map(|report| report.map(Arc::new));
            self.mailbox.state().uptime = report;
            self.uptime_told = Some(Instant::now());
        }
        // Callers have the report by now, and a report on many checks is large.
        #[cfg(unix)]
        if self.uptime_told.is_some_and(|told| told.elapsed() > KEEP_UPTIME_REPORT_FOR) {
            self.uptime_told = None;
            self.mailbox.state().uptime = None;
        }
        self.tell();
        if let Some(question) = question {
            self.mailbox.answer(question);
        }
        if leads
            && self.handed_on.elapsed() >= HAND_ON_BASELINE_EVERY
            && let Some(view) = &mut self.view
        {
            self.handed_on = Instant::now();
            view.hand_on(&mut self.failures);
        }
        self.flush(last);
    }

    /// Judges alerts by the view of the whole host.
    fn judge(&mut self) {
        #[cfg(unix)]
        if let (Some(duties), Some(view)) = (&mut self.duties, &self.view) {
            let trouble = self.unpublished.clone().or_else(|| self.uncollected.clone());
            let seen = match trouble {
                Some(why) => Err(why),
                None if self.collected_ms.is_some() => Ok((view.merged(), view.note(&self.sentinel))),
                None => return,
            };
            duties.judge(&self.sentinel, seen, &mut self.failures);
        }
    }

    fn publish(&mut self) {
        self.published = Some(Instant::now());
        let tenants = self.config.tenants;
        if self.config.flush.is_some() {
            // Flushing goes on also where blocks cannot be published.
            let changed = self.sentinel.rollup(&mut self.to_flush, tenants);
            let new = changed.into_iter().filter(|block| self.flushed_ms < block.from_ms());
            self.ending.extend(new.map(|block| (block.from_ms(), block)));
        }
        let Some(view) = &mut self.view else {
            return;
        };
        match view.publish(&self.sentinel, tenants, &mut self.failures) {
            Ok(()) => {
                self.published_ms = Some(self.sentinel.now_ms());
                self.unpublished = None;
            }
            Err(error) => {
                self.failures.error(Failure::Publish, &error);
                self.unpublished = Some(error.to_string());
            }
        }
    }

    fn collect(&mut self) {
        let Some(view) = &mut self.view else {
            return;
        };
        self.collected = Some(Instant::now());
        match view.collect(&self.sentinel, &mut self.failures) {
            Ok(()) => {
                self.collected_ms = Some(self.sentinel.now_ms());
                self.uncollected = None;
            }
            Err(error) => {
                self.failures.error(Failure::Collect, &error);
                self.uncollected = Some(error.to_string());
            }
        }
    }

    /// Puts the state of the thread into the mailbox. While this process cannot publish or collect, it does not answer for the host:
    /// the other processes would give another answer.
    fn tell(&self) {
        let mut state = self.mailbox.state();
        state.failures = self.failures.clone();
        (state.published_ms, state.collected_ms) = (self.published_ms, self.collected_ms);
        if let Some(view) = &self.view {
            state.sources = view.sources();
            state.note = view.note(&self.sentinel);
            state.view = match (&self.unpublished, &self.uncollected) {
                (Some(why), _) | (None, Some(why)) => Err(why.clone()),
                (None, None) if self.collected_ms.is_some() => Ok(view.merged().clone()),
                (None, None) => return,
            };
        }
    }

    fn lead(&mut self) {
        #[cfg(unix)]
        if let Some(leader) = &mut self.leader {
            self.mailbox.state().leader = leader.lead();
            if let Some(error) = leader.error() {
                self.failures.error(Failure::Lead, error);
            }
            if let Some(duties) = &mut self.duties {
                duties.lead(self.sentinel.now_ms(), &mut self.failures);
            }
        }
    }

    /// Takes over the options that may change while the exporter runs: `every`, `tenants`, `flush`, alerts and uptime checks.
    fn reload(&mut self) {
        let Some(watch) = &mut self.watch else {
            return;
        };
        match watch.poll() {
            Reload::Unchanged => {}
            Reload::Invalid(error) => self.failures.error(Failure::Config, &error),
            Reload::Changed(config) => {
                let before = std::mem::replace(&mut self.file, *config);
                let (file, used) = (&self.file, &mut self.config);
                let fixed = |config: &Config| {
                    (config.service.clone(), config.dir.clone(), config.state_dir.clone(), config.budget)
                };
                if fixed(file) != fixed(&before) {
                    let note = "changes of service, dir, state_dir and budget take effect at the next start";
                    self.failures.error(Failure::Config, &note);
                }
                if file.every != before.every {
                    used.every = file.every;
                }
                if file.tenants != before.tenants {
                    used.tenants = file.tenants;
                }
                if file.flush != before.flush {
                    used.flush.clone_from(&file.flush);
                    #[cfg(unix)]
                    {
                        self.flusher = used.flush.clone().map(Flusher::new);
                    }
                    self.ending.clear();
                }
                #[cfg(unix)]
                if file.alerts != before.alerts
                    && let Some(duties) = &mut self.duties
                {
                    used.alerts.clone_from(&file.alerts);
                    let now_ms = self.sentinel.now_ms();
                    configure_alerts(&mut duties.alerts, used, now_ms, &mut self.failures);
                }
                #[cfg(unix)]
                if file.uptime != before.uptime
                    && let Some(duties) = &mut self.duties
                {
                    // Checks that the environment names stay.
                    let next = Config { uptime: file.uptime.clone(), ..used.clone() };
                    let now_ms = self.sentinel.now_ms();
                    match next.checks_of_env().and_then(|next| Ok((CheckPlan::of(&next)?, next))) {
                        Ok((checks, next)) => {
                            *used = next;
                            duties.probes.configure(checks, now_ms, &mut self.failures);
                        }
                        Err(error) => self.failures.error(Failure::Config, &error),
                    }
                }
            }
        }
    }

    /// Writes the slots that have ended; all of them in the last turn.
    fn flush(&mut self, last: bool) {
        #[cfg(unix)]
        if let Some(flusher) = &mut self.flusher {
            let now = self.sentinel.now_ms();
            while let Some(entry) = self.ending.first_entry()
                && (last || entry.get().to_ms() + FLUSH_DELAY_MS <= now)
            {
                let block = entry.remove();
                self.flushed_ms = block.from_ms();
                let written = match serde_json::to_string(&block) {
                    Ok(line) => flusher.write(&line).map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                if let Err(error) = written {
                    self.failures.error(Failure::Flush, &error);
                }
            }
        }
    }

    fn close(&mut self) {
        if let Some(view) = &mut self.view {
            view.close();
        }
        #[cfg(unix)]
        if let Some(leader) = &mut self.leader {
            leader.close();
        }
        self.mailbox.state().leader = false;
    }
}

#[cfg(unix)]
fn configure_alerts(alerts: &mut AlertDuties, config: &Config, now_ms: i64, failures: &mut Failures) {
    match alerts.plan_of(config) {
        Ok(plan) => alerts.configure(plan, now_ms, failures),
        Err(error) => failures.error(Failure::Config, &error),
    }
}

/// Reason for a turn of the thread.
enum WakeReason {
    /// A second has passed.
    Tick,
    /// A caller has asked.
    Asked,
    /// A message or a probe has ended, or its time has come.
    #[cfg(unix)]
    Duty(DutyEvent),
}

/// Marks the mailbox closed however the thread ends, so that no caller waits for it.
struct CloseOnDrop<'a>(&'a Mailbox);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.closed();
    }
}
