//! Any bytes as what uptime checks have left behind: a check's history and state, what is known of all, a result. Refused, or something
//! that can be gone on with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentinel_core::uptime::{Cause, Check, CheckResult, Checks, Target, Uptime};
use sentinel_fuzz::sealed;
use std::sync::LazyLock;

const NOW: i64 = 1_700_000_000_000;

static CHECKS: LazyLock<Checks> = LazyLock::new(|| {
    let check = |name: &str| Check::new(name, Target::new(&format!("https://{name}.example/")).expect("a URL"));
    Checks::new(vec![check("a"), check("b")]).expect("two checks")
});

fn judge(bytes: &[u8]) {
    let mut uptime = Uptime::default();
    let _ = uptime.configure(CHECKS.clone(), NOW);
    let known = uptime.restore("a", bytes).is_ok() | uptime.restore_shared(bytes).is_ok();
    if let Some(Ok(result)) = bytes.first_chunk().map(CheckResult::from_bytes) {
        assert_eq!(CheckResult::from_bytes(&result.to_bytes()), Ok(result));
        let _ = uptime.replay("b", result);
    } else if !known {
        return;
    }
    let encoded = uptime.encode("a").expect("a check");
    let mut again = Uptime::default();
    let _ = again.configure(CHECKS.clone(), NOW);
    again.restore("a", &encoded).expect("what was written is read");
    assert_eq!(again.encode("a").as_ref(), Some(&encoded));
    for (at, result) in [(1, CheckResult::up(NOW + 1, 60_000)), (9_000, CheckResult::down(NOW + 9_000, 60_000, Cause::Dns))] {
        let _ = uptime.begin("a", NOW + at);
        let _ = uptime.record("a", NOW + at, result, Some(NOW));
    }
    for window in uptime.report(NOW + 10_000).checks.iter().flat_map(|check| &check.windows) {
        let sum = &window.availability;
        assert_eq!(sum.up_ms + sum.down_ms + sum.maintenance_ms + sum.unknown_ms, sum.window_ms(), "the parts are the window");
    }
}

fuzz_target!(|bytes: &[u8]| {
    judge(bytes);
    // With the checksum put right, and behind the heads that the fuzzer need not find.
    for head in [b"SNTU\x01", b"SNTW\x01"] {
        judge(&sealed(&[&head[..], bytes].concat()));
    }
});
