//! The expected availability, computed from the requests that the servers have seen and without the prober: a result holds until the
//! next one, for two intervals at most, and all other time is unknown.

use crate::targets::Target;
use sentinel_core::uptime::UptimeReport;
use std::fmt::Write as _;

/// Interval between the probes of a target, ms.
const INTERVAL_MS: i64 = 1_000;
/// A server sees a request a little after the probe began, and late when the machine is busy: once for each change from up to down and back.
const LATE_MS: u64 = 300;
const DAY_MS: f64 = 86_400_000.0;

/// A request: when it came (Unix ms), and whether it was answered well.
pub(crate) type Request = (i64, bool);

/// Milliseconds up and down until `now_ms`.
pub(crate) fn sum(requests: &[Request], now_ms: i64) -> (u64, u64) {
    let (mut up, mut down) = (0, 0);
    for (at, (from_ms, well)) in requests.iter().enumerate() {
        let next_ms = requests.get(at + 1).map_or(now_ms, |next| next.0);
        let held = next_ms.min(from_ms + 2 * INTERVAL_MS).min(now_ms).saturating_sub(*from_ms).max(0) as u64;
        *(if *well { &mut up } else { &mut down }) += held;
    }
    (up, down)
}

/// A line a check, and what is reported otherwise than it is by hand.
pub(crate) fn compared(targets: &[Target], report: &UptimeReport) -> (String, Vec<String>) {
    let (mut lines, mut wrong) = (String::new(), Vec::new());
    for check in &report.checks {
        let Some((target, window)) = targets.iter().find(|one| one.name == check.name).zip(check.windows.first())
        else {
            continue;
        };
        let requests = target.requests();
        let (up, down) = sum(&requests, report.as_of);
        let (uptime, coverage) = (up as f64 / (up + down).max(1) as f64, (up + down) as f64 / DAY_MS);
        let said = &window.availability;
        let seconds = |ms: u64| format!("{:.2} s", ms as f64 / 1e3);
        _ = writeln!(
            lines,
            "{:<9} {:>3} requests: up {:>8} (reported {:>8}), down {:>7} ({:>7}), uptime {:.1}% ({:.1}%), coverage {:.4}% ({:.4}%)",
            check.name,
            requests.len(),
            seconds(up),
            seconds(said.up_ms),
            seconds(down),
            seconds(said.down_ms),
            uptime * 100.0,
            window.uptime.unwrap_or(f64::NAN) * 100.0,
            coverage * 100.0,
            window.coverage.unwrap_or(f64::NAN) * 100.0,
        );
        // Both ends of a time when it was down are seen late, and so is the first request of all.
        let changes = requests.windows(2).filter(|pair| pair[0].1 != pair[1].1).count() as u64;
        let most = LATE_MS * (changes + 1);
        let known = (window.coverage.unwrap_or(0.0) * DAY_MS).round() as u64;
        for (what, by_hand, reported) in
            [("up", up, said.up_ms), ("down", down, said.down_ms), ("known", up + down, known)]
        {
            if by_hand.abs_diff(reported) > most {
                wrong
                    .push(format!("{} is {what} for {by_hand} ms by hand, and {reported} ms are reported", check.name));
            }
        }
    }
    (lines, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_holds_until_the_next_one_and_for_two_intervals() {
        let requests = [(0, true), (1_000, true), (2_000, false), (2_100, false), (3_000, true), (9_000, true)];
        // Up 0 to 2 s, down 2 to 3 s, up 3 to 5 s (then nobody knows), and from 9 s on.
        assert_eq!(sum(&requests, 9_500), (2_000 + 2_000 + 500, 1_000));
        assert_eq!(sum(&requests[..3], 2_000), (2_000, 0));
        assert_eq!(sum(&[], 5), (0, 0));
    }
}
