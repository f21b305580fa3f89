//! One address, spelled in every way: it is the address that is judged.

use super::{Trap, check, probe, prober};
use sentinel_core::uptime::{Cause, Target};

/// Each leads here, or nowhere.
const HERE: [&str; 13] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0177.0.0.1",
    "017700000001",
    "0x7f.1",
    "0x7f000001",
    "0X7F.0.0.1",
    "0x7F.0x0.0x0.0x1",
    "localhost",
    "LOCALHOST",
    "LocalHost",
];
const MAYBE: [&str; 7] =
    ["127.0.0.1.", "localhost.", "localhost..", "127.1.", "2130706433.", "ip6-localhost", "localhost.localdomain"];
const NEVER: [&str; 20] = [
    "0.0.0.0",
    "0",
    "0x0",
    "127.255.255.254",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
];

#[test]
fn nobody_comes_here_whatever_it_is_called() {
    let (trap, prober) = (Trap::new(), prober(&[]));
    for scheme in ["http", "https", "tcp", "tls"] {
        for host in HERE.iter().chain(&NEVER) {
            let probed = probe(&prober, &check(&format!("{scheme}://{host}:{}", trap.port())));
            assert_eq!((probed.result.cause, trap.caught()), (Some(Cause::Blocked), 0), "{scheme} {host}");
            assert_eq!(probed.phases.connect_us, None);
        }
        for host in MAYBE {
            let probed = probe(&prober, &check(&format!("{scheme}://{host}:{}", trap.port())));
            let cause = probed.result.cause.unwrap();
            assert!(
                [Cause::Blocked, Cause::Dns, Cause::Timeout].contains(&cause) && trap.caught() == 0,
                "{scheme} {host}: {cause}"
            );
        }
    }
}

#[test]
fn each_of_them_would_have_led_here() {
    let (trap, prober) = (Trap::new(), prober(&["loopback"]));
    for host in HERE {
        let probed = probe(&prober, &check(&format!("tcp://{host}:{}", trap.port())));
        assert_eq!((probed.result.cause, trap.caught()), (None, 1), "{host}");
        // An address needs no look-up; what only looks like one does.
        assert_eq!(probed.phases.dns_us.is_none(), host == "127.0.0.1", "{host}");
    }
}

#[test]
fn another_word_does_not_open_it() {
    let (trap, prober) =
        (Trap::new(), prober(&["private", "10.0.0.0/8", "127.0.0.2", "::1", "::ffff:0:0/96", "64:ff9b::/96"]));
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"] {
        let probed = probe(&prober, &check(&format!("http://{host}:{}/", trap.port())));
        assert_eq!((probed.result.cause, trap.caught()), (Some(Cause::Blocked), 0), "{host}");
    }
}

#[test]
fn what_hides_an_address_is_no_target() {
    for url in [
        "http://%31%32%37.0.0.1/",
        "http://127.0.0.1%00.example/",
        "http://127。0。0。1/",
        "http://x@127.0.0.1/",
        "http://[fe80::1%25eth0]/",
        "http://127.0.0.1\\@x/",
    ] {
        assert!(Target::new(url).is_err(), "{url}");
    }
}
