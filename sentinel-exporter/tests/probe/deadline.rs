//! One deadline over all of it, whoever is slow, and nothing that is left when it has passed.

use super::certificates::Authority;
use super::server::{Request, Server, Wire, drip, flood, wait};
use super::{NO_END, Trap, check, local, prober};
use sentinel_core::uptime::{Cause, Check, Expect};
use sentinel_exporter::probe::Probed;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const BY: Duration = Duration::from_millis(250);

/// The deadline ends it, and not before its time. The servers here never end by themselves, so an end proves the deadline; how much
/// later than that it comes is the machine's affair.
fn in_time(url: &str, json: &str, what: &str) {
    let expect: Expect = serde_json::from_str(json).unwrap();
    let probed: Probed = local(&Check { timeout: Some(BY), expect, ..check(url) });
    assert_eq!(probed.result.cause, Some(Cause::Timeout), "{what}: {url} {json}: {probed:?}");
    assert!(Duration::from_micros(u64::from(probed.phases.total_us.unwrap())) >= BY, "{what}: {probed:?}");
}

#[test]
fn nobody_is_waited_for_longer() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
    in_time(&Server::new(|_, wire| wait(wire)).url("/"), "{}", "silent");
    in_time(
        &Server::new(|_, wire| drip(wire, "HTTP/1.1 200 OK\r\nx-canary: canary\r\n")).url("/"),
        "{}",
        "a head that drips",
    );
    in_time(&Server::new(|_, wire| drip(wire, "\r\n")).url("/"), "{}", "lines that drip");
    let dripping = move |_: &Request, wire: &mut dyn Wire| {
        let _ = wire.write_all(head.as_bytes());
        drip(wire, "x");
    };
    in_time(&Server::new(dripping).url("/"), r#"{"contains": "y"}"#, "a body that drips");
    let half = move |_: &Request, wire: &mut dyn Wire| {
        let _ = wire.write_all(head.as_bytes());
        wait(wire);
    };
    in_time(&Server::new(half).url("/"), r#"{"contains": "y"}"#, "half a body");
}

/// Whoever floods is left at a cap, long before the deadline.
#[test]
fn first_answers_without_an_end_are_read_up_to_a_cap() {
    let server = Server::new(|_, wire| _ = flood(wire, "HTTP/1.1 100 Continue\r\n\r\n"));
    let probed = local(&Check { timeout: Some(NO_END), ..check(&server.url("/")) });
    assert_eq!(probed.result.cause, Some(Cause::Protocol), "{probed:?}");
    // The buffers of the system, on both sides, and no more.
    assert!(server.written() < 16 << 20, "{}", server.written());
}

#[test]
fn nor_in_a_handshake() {
    let silent = Trap::new();
    let dripping = Server::raw(|mut stream| drip(&mut stream, "\x16\x03\x03\x40\x00"));
    for scheme in ["https", "tls"] {
        in_time(&format!("{scheme}://127.0.0.1:{}", silent.port()), "{}", "silent");
        in_time(&format!("{scheme}://{}", dripping.address), "{}", "a handshake that drips");
    }
}

#[test]
fn redirects_have_no_time_of_their_own() {
    let server = Server::new(|_, wire| {
        std::thread::sleep(Duration::from_millis(60));
        let _ = wire.write_all(b"HTTP/1.1 302 x\r\nlocation: /\r\ncontent-length: 0\r\n\r\n");
    });
    in_time(&server.url("/"), "{}", "a loop");
    // Each took 60 ms at least; one more may have been on its way.
    assert!(server.seen().len() <= 6);
}

#[test]
fn what_was_known_before_is_not_lost() {
    let ca = Authority::new();
    let server = ca.issue("127.0.0.1", 2020, 2099).server(|_, wire| {
        let _ = wire.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx");
        let _ = wire.flush();
        wait(wire);
    });
    let expect = serde_json::from_str(r#"{"contains": "y"}"#).unwrap();
    let check = check(&format!("https://{}/", server.address));
    let probed = local(&Check { timeout: Some(BY), expect, verify_tls: false, ..check });
    assert_eq!((probed.result.cause, probed.result.status), (Some(Cause::Timeout), Some(200)));
    assert!(probed.expires_ms.is_some() && probed.phases.tls_us.is_some() && probed.phases.first_byte_us.is_some());
}

/// Connections that are open.
fn counting() -> (Server, Arc<AtomicUsize>) {
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    let server = Server::new(move |_, wire| {
        count.fetch_add(1, Ordering::SeqCst);
        wait(wire);
        count.fetch_sub(1, Ordering::SeqCst);
    });
    (server, open)
}

fn until(open: &AtomicUsize, wanted: usize) {
    let began = Instant::now();
    while open.load(Ordering::SeqCst) != wanted {
        assert!(began.elapsed() < NO_END);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn whoever_drops_it_leaves_nothing_behind() {
    let (server, open) = counting();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let prober = prober(&["loopback"]);
    let check = check(&server.url("/"));
    runtime.block_on(async {
        for _ in 0..10 {
            let gone = tokio::time::timeout(Duration::from_millis(50), prober.probe(&check, 0)).await;
            assert!(gone.is_err());
        }
    });
    // The runtime is not asked again: there is nobody in it who could close a connection.
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    assert!(!server.seen().is_empty());
    until(&open, 0);
}

#[test]
fn many_at_a_time_do_not_wait_for_each_other() {
    let (server, open) = counting();
    let check = Check { timeout: Some(Duration::from_secs(1)), ..check(&server.url("/")) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let prober = prober(&["loopback"]);
    let began = Instant::now();
    runtime.block_on(async {
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (prober, check) = (prober.clone(), check.clone());
            // It can be handed to any runtime.
            all.spawn(async move { prober.probe(&check, 0).await });
        }
        while let Some(probed) = all.join_next().await {
            assert_eq!(probed.unwrap().result.cause, Some(Cause::Timeout));
        }
    });
    // One after the other they would take 100 s.
    assert!(began.elapsed() < NO_END);
    until(&open, 0);
}
