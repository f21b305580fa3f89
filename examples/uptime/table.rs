//! The status of each check second by second, and its standing at the end.

use sentinel_core::uptime::{CheckStanding, Status, UptimeReport};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// The longest bar: of more seconds, several share a place, and the worst of them has it.
const WIDTH: usize = 60;

/// Observations of all checks.
#[derive(Debug)]
pub(crate) struct Seen {
    start_ms: i64,
    /// Statuses of each check, with their times since the start.
    looks: BTreeMap<String, Vec<(Duration, Status)>>,
    seconds: usize,
    pub(crate) last: Option<UptimeReport>,
}

impl Seen {
    pub(crate) fn new(start_ms: i64) -> Self {
        Self { start_ms, looks: BTreeMap::new(), seconds: 0, last: None }
    }

    /// Seconds that were looked at.
    pub(crate) fn seconds(&self) -> usize {
        self.seconds
    }

    /// Looks, at the beginning of a second and at the end. Who leads is not known in the first moments: then nothing is known of anybody.
    pub(crate) fn look<E>(&mut self, at: Duration, report: Result<Option<UptimeReport>, E>) {
        self.seconds = at.as_secs() as usize + 1;
        let Ok(Some(report)) = report else { return };
        for check in &report.checks {
            self.looks.entry(check.name.clone()).or_default().push((at, check.status));
        }
        self.last = Some(report);
    }

    /// Statuses of a check in `[from, to)`.
    pub(crate) fn within(&self, check: &str, from: Duration, to: Duration) -> impl Iterator<Item = Status> {
        let looks = self.looks.get(check).into_iter().flatten();
        looks.filter(move |(at, _)| (from..to).contains(at)).map(|(_, status)| *status)
    }

    pub(crate) fn table(&self) -> String {
        let mut out = format!(
            "{:<9} {:<12} {:>7} {:>9} {:>6} {:>6} {:>9}  bar\n",
            "name", "status", "since", "uptime", "up", "down", "unknown"
        );
        let Some(report) = &self.last else { return out + "nothing is known\n" };
        for check in &report.checks {
            self.row(&mut out, check, report.as_of);
        }
        out += "\n█ up   ▁ down   · unknown; since is on the clock above\n";
        if let Some(coverage) = report.checks.first().and_then(|check| check.windows.first()?.coverage) {
            let percent = coverage * 100.0;
            _ = writeln!(out, "uptime is of the last 24 h, as far as they are known: a coverage of {percent:.2}%");
        }
        out
    }

    fn row(&self, out: &mut String, check: &CheckStanding, as_of: i64) {
        let Some(window) = check.windows.first() else { return };
        let (up, down) = (window.availability.up_ms, window.availability.down_ms);
        // Before it came to be everything is unknown as well, which says nothing of this run.
        let unknown = as_of.abs_diff(check.created_ms).saturating_sub(up + down);
        let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1_000.0);
        let status = if check.flapping { format!("{}, flaps", check.status) } else { check.status.to_string() };
        _ = writeln!(
            out,
            "{:<9} {status:<12} {:>7} {:>9} {:>6} {:>6} {:>9}  {}",
            check.name,
            seconds(check.since_ms.saturating_sub(self.start_ms).max(0) as u64),
            window.uptime_text,
            seconds(up),
            seconds(down),
            seconds(unknown),
            self.bar(&check.name),
        );
    }

    /// Which status each second had.
    fn bar(&self, check: &str) -> String {
        let each = self.seconds.div_ceil(WIDTH).max(1);
        let second = |second: usize| Duration::from_secs(second as u64);
        let place = |from: usize| {
            let all: Vec<Status> = self.within(check, second(from), second(from + each)).collect();
            match all {
                _ if all.contains(&Status::Down) => '▁',
                _ if all.is_empty() || all.contains(&Status::Unknown) => '·',
                _ => '█',
            }
        };
        (0..self.seconds).step_by(each).map(place).collect()
    }
}
