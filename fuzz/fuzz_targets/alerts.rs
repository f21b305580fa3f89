//! Any bytes as what alerts have left behind: a state, a notice, an alert. Refused, or something that can be told and gone on with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentinel_core::alert::{Alert, Alerts, AlertsReport, Facts, Notice, Rules, State};
use sentinel_fuzz::sealed;
use std::sync::LazyLock;

static ALERTS: LazyLock<Alerts> = LazyLock::new(|| Alerts::new("shop", Rules::default()).expect("the default rules"));

fn judge(bytes: &[u8]) {
    if let Ok(state) = State::decode(bytes) {
        assert_eq!(State::decode(&state.encode()), Ok(state.clone()));
        let report = AlertsReport::new("shop", &state);
        serde_json::to_string(&report).expect("it can be shown");
        let (next, outcome) = ALERTS.step(state, 1_700_000_000_000, Some(&Facts::new(1_700_000_000_000, 600_000)));
        assert_eq!(State::decode(&next.encode()), Ok(next));
        outcome.notice.iter().for_each(tell);
    }
    if let Ok(notice) = Notice::decode(bytes) {
        assert_eq!(Notice::decode(&notice.encode()), Ok(notice.clone()));
        tell(&notice);
        let (mut first, mut second) = (notice.clone(), notice);
        let _ = first.combine(&mut second);
    }
    if let Ok(alert) = Alert::decode(bytes) {
        assert_eq!(Alert::decode(&alert.encode()).as_ref(), Ok(&alert));
        assert!(!alert.message().title.contains('\n'), "one line");
    }
}

fn tell(notice: &Notice) {
    let message = notice.message();
    assert!(!message.title.contains('\n') && message.lines.iter().all(|line| !line.contains('\n')), "line by line");
    serde_json::to_string(notice).expect("it can be sent");
}

fuzz_target!(|bytes: &[u8]| {
    judge(bytes);
    // With the checksum put right, and behind the heads that the fuzzer need not find.
    if let Some(end) = bytes.len().checked_sub(4) {
        judge(&sealed(&bytes[..end]));
    }
    for head in [b"SNTA\x01", b"SNTN\x01", b"SNTE\x01"] {
        judge(&sealed(&[&head[..], bytes].concat()));
    }
});
