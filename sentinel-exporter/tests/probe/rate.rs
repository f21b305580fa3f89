//! Probes a second of one thread, and its processor time for each. Ignored: a figure, not a test; `--release --ignored --nocapture rate`.

use super::certificates::Authority;
use super::server::Server;
use super::{AT_MS, check};
use sentinel_core::uptime::Check;
use sentinel_exporter::probe::{Allow, ProbeOptions, Prober};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Processor time of the calling thread.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// As many at a time as that, for a few seconds.
fn measure(what: &str, prober: &Prober, check: &Check, width: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let (began, before) = (Instant::now(), on_processor());
    let until = began + Duration::from_secs(3);
    runtime.block_on(async {
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..width {
            let (prober, check, done) = (prober.clone(), check.clone(), Arc::clone(&done));
            all.spawn(async move {
                while Instant::now() < until {
                    let probed = prober.probe(&check, AT_MS).await;
                    assert_eq!(probed.result.cause, None, "{probed:?}");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while let Some(ended) = all.join_next().await {
            ended.unwrap();
        }
    });
    let (count, took, busy) =
        (done.load(Ordering::Relaxed) as f64, began.elapsed(), on_processor().saturating_sub(before));
    let (rate, each) = (count / took.as_secs_f64(), busy.as_secs_f64() * 1e6 / count);
    let text = format!(
        "{what}, {width} at a time: {rate:.0}/s, {each:.0} µs of the processor each ({:.0}/s of a whole one)\n",
        1e6 / each
    );
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

#[test]
#[ignore = "a figure"]
fn rate() {
    let ca = Authority::new();
    let options = ProbeOptions { allow: Allow::new(["loopback"]).unwrap(), ca_file: Some(ca.file()) };
    let prober = Prober::new(&options).unwrap();
    let fine = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwell";
    // One thread for all: it must not be what is measured.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1_024]);
            let _ = stream.write_all(fine);
        }
    });
    let tls: Server = ca.issue("localhost", 2020, 2099).server(|_, wire| drop(wire.write_all(fine)));
    let body = |check: Check| Check { expect: serde_json::from_str(r#"{"contains": "well"}"#).unwrap(), ..check };
    let http = check(&format!("http://{plain}/"));
    for width in [1, 32] {
        measure("http", &prober, &http, width);
        measure("http with a body", &prober, &body(http.clone()), width);
        measure("http by name", &prober, &check(&format!("http://localhost:{}/", plain.port())), width);
        measure("https", &prober, &check(&format!("https://localhost:{}/", tls.address.port())), width);
    }
}
