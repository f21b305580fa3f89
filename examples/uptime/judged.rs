//! Has what should have happened happened, and nothing else?

use crate::script::Script;
use crate::table::Seen;
use crate::told::Heard;
use sentinel_core::uptime::Status;
use std::time::Duration;

/// Messages about the targets; each one is sent at least once.
const TOLD: [&str; 5] = [
    "Target shop is down: status 503",
    "Target shop is up again after ",
    "Target search is down: no answer in time",
    "Target search is up again after ",
    // That it is down may be too short to be told before that.
    FLAPS,
];
const FLAPS: &str = "Target payments goes up and down";
const STEADY: [&str; 3] = ["login", "docs", "mail"];
/// Until all have been probed and alerts have been judged.
const KNOWN_AFTER: Duration = Duration::from_secs(3);

/// All that is not as it should be.
pub(crate) fn wrong(heard: &[Heard], seen: &Seen, script: &Script) -> Vec<String> {
    let dead = script.dead();
    let (before, rest): (Vec<&Heard>, Vec<&Heard>) = heard.iter().partition(|one| one.at < dead.start);
    let (during, after): (Vec<&Heard>, Vec<&Heard>) = rest.into_iter().partition(|one| one.at < dead.end);
    let mut wrong = of_targets(&titles(&before));
    for (when, heard, about) in [
        ("while the network was dead", during, "Most targets fail at once"),
        ("when it was there again", after, "The network of this host is back after "),
    ] {
        let titles = titles(&heard);
        if heard.len() != 1 || titles.len() != 1 || !titles[0].contains(about) {
            wrong.push(format!("{when}, one message: \"{about}…\"; there were {titles:?}"));
        }
    }
    wrong.extend(of_standings(seen, script));
    wrong
}

fn titles<'a>(heard: &[&'a Heard]) -> Vec<&'a str> {
    heard.iter().flat_map(|one| one.titles.iter().map(String::as_str)).collect()
}

fn of_targets(titles: &[&str]) -> Vec<String> {
    let never = TOLD.iter().filter(|told| !titles.iter().any(|title| title.contains(*told)));
    let mut wrong: Vec<String> = never.map(|told| format!("never told: \"{told}\"")).collect();
    for name in ["shop", "search"] {
        let about = titles.iter().filter(|title| title.contains(&format!("Target {name} "))).count();
        if about > 2 {
            wrong.push(format!("{about} messages about {name}: two were to be told"));
        }
    }
    let after = titles.iter().skip_while(|title| !title.contains(FLAPS)).skip(1);
    let again = after.filter(|title| title.contains("Target payments ")).map(|title| format!("no news: \"{title}\""));
    let accused = |title: &&&str| STEADY.iter().any(|name| title.contains(&format!("Target {name} ")));
    let false_ones = titles.iter().filter(accused).map(|title| format!("not true: \"{title}\""));
    wrong.extend(again.chain(false_ones));
    wrong
}

fn of_standings(seen: &Seen, script: &Script) -> Vec<String> {
    let Some(report) = &seen.last else { return vec!["nothing was ever known of the checks".into()] };
    let (dead, mut wrong) = (script.dead(), Vec::new());
    for check in &report.checks {
        let name = &check.name;
        let mut known = seen.within(name, dead.start + KNOWN_AFTER, dead.end).peekable();
        if known.peek().is_none() || known.any(|status| status != Status::Unknown) {
            wrong.push(format!("{name} was to be unknown while the network was dead"));
        }
        if check.status != Status::Up {
            wrong.push(format!("{name} was to be up at the end, and is {}", check.status));
        }
        let down_ms = check.windows.first().map_or(0, |window| window.availability.down_ms);
        if STEADY.contains(&name.as_str()) == (down_ms > 0) {
            wrong.push(format!("{name} was down for {down_ms} ms"));
        }
        if check.flapping != (name == "payments") {
            wrong.push(format!("{name}: flapping is {}", check.flapping));
        }
    }
    wrong
}
