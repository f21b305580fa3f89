//! The contenders: the sentinel, the crates that people use today, and a solution that one writes in an afternoon.

pub(crate) mod afternoon;
pub(crate) mod client;
pub(crate) mod facade;
pub(crate) mod otel;
pub(crate) mod prometheus;
pub(crate) mod sentinel;

use crate::Failure;
use crate::stream::Sample;

/// Bounds of the peers' histograms, seconds: the defaults of Prometheus.
pub(crate) const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Something that counts requests.
pub(crate) trait Contender: Sync {
    /// Counts one request.
    fn record(&self, sample: &Sample);

    /// The stream's time is `now_ms`; called ten times a second of it, or once a slot where threads share the stream.
    fn advance(&self, _now_ms: i64) {}

    /// Work that is left for later and that somebody does once a slot.
    fn upkeep(&self) {}

    /// Work that is still left after the last request.
    fn finish(&self, _now_ms: i64) {}

    /// Was everything counted? Not timed.
    fn check(&self, events: u64) -> Result<(), Failure>;
}

fn all_counted(counted: u64, events: u64) -> Result<(), Failure> {
    if counted == events { Ok(()) } else { Err(format!("{events} requests were given, {counted} were counted").into()) }
}

/// Adds up the counters of an exposition as it is written: its text would take gigabytes.
#[derive(Default)]
pub(crate) struct Adding {
    line: Vec<u8>,
    sum: u64,
}

impl Adding {
    fn end_of_line(&mut self) {
        if self.line.starts_with(b"requests_total{") {
            let value = self.line.rsplit(|byte| *byte == b' ').next().and_then(|v| std::str::from_utf8(v).ok());
            self.sum += value.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
        }
        self.line.clear();
    }

    fn total(mut self) -> u64 {
        self.end_of_line();
        self.sum
    }

    fn add(&mut self, text: &[u8]) {
        for &byte in text {
            if byte == b'\n' {
                self.end_of_line();
            } else {
                self.line.push(byte);
            }
        }
    }
}

impl std::io::Write for Adding {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.add(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Write for Adding {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn counters_of_an_exposition_add_up() {
        let mut adding = Adding::default();
        let text = "# TYPE requests_total counter\nrequests_total{tenant=\"a\"} 5\nother{} 9\nrequests_total{} 7";
        text.as_bytes().chunks(3).for_each(|part| adding.write_all(part).unwrap());
        assert_eq!(adding.total(), 12);
    }
}
