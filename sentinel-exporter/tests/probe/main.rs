//! Probes against targets that are well, ill and evil, all of them on this host.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod answers;
#[path = "../common/certificates.rs"]
#[allow(dead_code)] // the sinks need more of it
mod certificates;
mod deadline;
mod guard;
mod names;
#[cfg(target_os = "linux")]
mod rate;
mod redirects;
#[cfg(target_os = "linux")]
mod room;
mod secrets;
#[path = "../common/server.rs"]
#[allow(dead_code)]
mod server;
mod spellings;
mod tls;

use sentinel_core::uptime::{Cause, Check, Checks, Outcome, Target};
use sentinel_exporter::probe::{Allow, ProbeOptions, Probed, Prober};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// The deadline of a probe here.
const TIMEOUT: Duration = Duration::from_millis(1_500);
/// A probe that takes so long has no end: a busy machine adds seconds to a deadline, and not a minute.
const NO_END: Duration = Duration::from_mins(1);
const AT_MS: i64 = 1_700_000_000_000;

fn prober(allow: &[&str]) -> Prober {
    Prober::new(&ProbeOptions { allow: Allow::new(allow).unwrap(), ..ProbeOptions::default() }).unwrap()
}

fn check(url: &str) -> Check {
    Check { timeout: Some(TIMEOUT), ..Check::new("shop", Target::new(url).unwrap()) }
}

/// As the exporter does it: on a runtime of one thread.
fn probe(prober: &Prober, check: &Check) -> Probed {
    Checks::new(vec![check.clone()]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let probed = runtime.block_on(prober.probe(check, AT_MS));
    let took = began.elapsed();
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    assert!(took < NO_END, "{took:?}: {probed:?}");
    holds_together(&probed, check, took);
    probed
}

/// Checks the properties of any probe.
fn holds_together(probed: &Probed, check: &Check, took: Duration) {
    let Probed { result, phases, .. } = probed;
    assert_eq!((result.at_ms, result.interval_ms), (AT_MS, check.interval_ms()));
    assert_eq!(result.outcome == Outcome::Up, result.cause.is_none());
    let total = phases.total_us.unwrap();
    assert!(u128::from(total) <= took.as_micros());
    let parts = [phases.dns_us, phases.connect_us, phases.tls_us, phases.first_byte_us];
    assert!(parts.iter().flatten().sum::<u32>() <= total, "{phases:?}");
    assert!(result.latency_us.is_none_or(|us| us <= total), "{probed:?}");
    let answered = matches!(result.cause, None | Some(Cause::Status | Cause::Body | Cause::Json | Cause::Latency));
    assert_eq!(result.latency_us.is_some(), answered, "{probed:?}");
}

/// With this host allowed.
fn local(check: &Check) -> Probed {
    probe(&prober(&["loopback"]), check)
}

fn cause(url: &str) -> Option<Cause> {
    local(&check(url)).result.cause
}

/// Listens where nobody must come: whoever connects is seen, at once, without being let in.
struct Trap(TcpListener);

impl Trap {
    fn new() -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0).into())
    }

    fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Requests since the last call.
    fn caught(&self) -> usize {
        std::iter::from_fn(|| self.0.accept().ok()).count()
    }
}

/// Listeners at one port of two addresses of this host.
fn twice(first: Ipv4Addr, second: Ipv4Addr) -> (TcpListener, Trap) {
    for _ in 0..100 {
        let listener = TcpListener::bind((first, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        if let Ok(other) = TcpListener::bind((IpAddr::V4(second), port)) {
            other.set_nonblocking(true).unwrap();
            return (listener, Trap(other));
        }
    }
    panic!("no port is free at both")
}
