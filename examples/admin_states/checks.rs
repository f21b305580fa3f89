//! Uptime checks in every state that they can be in, by the real engine: ninety days of made results, the same each time.

use sentinel_core::ConfigError;
use sentinel_core::uptime::{
    Cause, Check, CheckResult, Checks, Confirm, MAX_CHECKS, Maintenance, Target, Uptime, UptimeReport,
};
use std::time::Duration;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const INTERVAL_MS: u32 = 600_000;

/// Result of a probe, by its age.
type Finds = fn(i64) -> Found;

/// Result of one probe.
enum Found {
    Up,
    Down(Cause),
    /// Nobody probed.
    Nothing,
}

/// A check, how long ago it came to be, what is found, and in how many days its certificate expires.
struct Story(Check, i64, Finds, Option<i64>);

fn check(name: &str, target: &str) -> Result<Check, ConfigError> {
    let confirm = Confirm { failures: 1, successes: 1, ..Confirm::default() };
    let interval = Duration::from_millis(u64::from(INTERVAL_MS));
    Ok(Check { confirm, interval, ..Check::new(name, Target::new(target)?) })
}

/// Up, but for some hours on a few days, and a gap.
fn ordinary(ago: i64) -> Found {
    match (ago / DAY, ago % DAY) {
        (3, 0..2_400_000) | (31, 0..20_000_000) => Found::Down(Cause::Timeout),
        (32, _) => Found::Down(Cause::Connect),
        (50..54, _) => Found::Nothing,
        _ => Found::Up,
    }
}

/// Every state at once, and a name that is markup.
fn all(now: i64) -> Result<Vec<Story>, ConfigError> {
    let week = Maintenance::once(now - 12 * DAY, now - 9 * DAY);
    let tonight = Maintenance::once(now - HOUR, now + 2 * HOUR);
    let up: Finds = |_| Found::Up;
    Ok(vec![
        Story(
            Check { maintenance: vec![week], ..check("shop", "https://shop.example/health?key=canary")? },
            90 * DAY,
            ordinary,
            Some(40 * DAY),
        ),
        Story(
            check("payments", "https://payments.example:8443/")?,
            90 * DAY,
            |ago| if ago < 3 * HOUR { Found::Down(Cause::Timeout) } else { ordinary(ago) },
            None,
        ),
        Story(
            check("<img src=x onerror=alert(1)>", "tcp://db.internal:5432")?,
            20 * DAY,
            |ago| if ago < 25 * MINUTE { Found::Down(Cause::Connect) } else { Found::Up },
            None,
        ),
        Story(
            check("search", "http://search.example/")?,
            60 * DAY,
            |ago| if ago < 2 * HOUR && ago / (10 * MINUTE) % 2 == 0 { Found::Down(Cause::Status) } else { Found::Up },
            None,
        ),
        Story(check("mail", "tls://mail.example")?, 45 * DAY, up, Some(5 * DAY + 7 * HOUR)),
        Story(check("new", "https://new.example/")?, 0, |_| Found::Nothing, None),
        Story(
            check("silent", "https://silent.example/")?,
            90 * DAY,
            |ago| if ago < 3 * DAY { Found::Nothing } else { Found::Up },
            None,
        ),
        Story(Check { paused: true, ..check("legacy", "https://legacy.example/")? }, 90 * DAY, up, None),
        Story(
            Check { maintenance: vec![tonight], ..check("reports", "https://reports.example/")? },
            30 * DAY,
            up,
            None,
        ),
        Story(
            check(
                "a-name-that-has-no-place-to-break-0123456789abcdef0123456789",
                "https://a-host-that-is-as-long-as-hosts-can-be-0123456789abcdef.example/",
            )?,
            DAY / 2,
            up,
            None,
        ),
    ])
}

/// Plays the stories up to `now`. Paused checks are paused at the end, so that their history is kept.
fn told(stories: &[Story], now: i64) -> Result<UptimeReport, ConfigError> {
    let mut uptime = Uptime::default();
    let begin = now - 90 * DAY;
    let mut created = usize::MAX;
    let steps =
        (0..89 * 144 + 138).map(|at| begin + at * 10 * MINUTE).chain((0..=12).map(|at| now - HOUR + at * 5 * MINUTE));
    for at in steps {
        let there: Vec<&Story> = stories.iter().filter(|story| now - at <= story.1).collect();
        if there.len() != created {
            created = there.len();
            let running = there.iter().map(|story| Check { paused: false, ..story.0.clone() });
            uptime.configure(Checks::new(running.collect())?, at);
        }
        for Story(check, _, finds, expires_ms) in there {
            let result = match finds(now - at) {
                Found::Up => CheckResult { latency_us: Some(83_000), ..CheckResult::up(at, INTERVAL_MS) },
                Found::Down(Cause::Status) => {
                    CheckResult { status: Some(503), ..CheckResult::down(at, INTERVAL_MS, Cause::Status) }
                }
                Found::Down(cause) => CheckResult::down(at, INTERVAL_MS, cause),
                Found::Nothing => continue,
            };
            uptime.record(&check.name, at, result, expires_ms.map(|left| now + left));
        }
    }
    uptime.configure(Checks::new(stories.iter().map(|story| story.0.clone()).collect())?, now);
    Ok(filled(uptime.report(now)))
}

/// As if this process probed.
fn filled(mut report: UptimeReport) -> UptimeReport {
    (report.service, report.leader) = ("shop".into(), true);
    report
}

/// Uptime report of this mount; `None` when no checks are configured.
pub(crate) fn report(path: &str, now: i64) -> Result<Option<UptimeReport>, ConfigError> {
    Ok(match path {
        "/one" => Some(told(&all(now)?, now)?),
        "/hostile" => Some(dead_network(now)?),
        "/quiet" => Some(filled(Uptime::default().report(now))),
        "/everyone" => {
            let mut report = many(now)?;
            report.note =
                Some("no probe has ended for 3 minutes; all processes of the service need the same checks".into());
            Some(report)
        }
        _ => None,
    })
}

/// All checks fail at once: it is this side.
fn dead_network(now: i64) -> Result<UptimeReport, ConfigError> {
    let hosts = ["a", "b", "c", "d", "e"];
    let dies = |ago: i64| if ago < 30 * MINUTE { Found::Down(Cause::Timeout) } else { Found::Up };
    let stories: Result<Vec<Story>, ConfigError> = hosts
        .iter()
        .map(|host| Ok(Story(check(host, &format!("https://{host}.example/"))?, 2 * DAY, dies, None)))
        .collect();
    told(&stories?, now)
}

/// As many as there may be, each probed once; every thousandth is down.
fn many(now: i64) -> Result<UptimeReport, ConfigError> {
    let name = |at: usize| format!("check-{at:05}");
    let checks: Result<Vec<Check>, ConfigError> =
        (0..MAX_CHECKS).map(|at| check(&name(at), &format!("https://{at}.example/"))).collect();
    let mut uptime = Uptime::default();
    uptime.configure(Checks::new(checks?)?, now - 20 * MINUTE);
    for at in (0..MAX_CHECKS).rev() {
        let (when, interval_ms) = (now - 15 * MINUTE, INTERVAL_MS);
        let result = if at % 1_000 == 7 {
            CheckResult::down(when, interval_ms, Cause::Dns)
        } else {
            CheckResult::up(when, interval_ms)
        };
        uptime.record(&name(at), when, result, None);
    }
    Ok(filled(uptime.report(now)))
}
