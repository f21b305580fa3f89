//! A sink of one's own: it prints what it is told, when it is told, and passes it on.

use sentinel_core::alert::Notice;
use sentinel_exporter::sink::{Sending, Sink};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// A message, and when it came.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) at: Duration,
    /// A line for each alert that it is about.
    pub(crate) titles: Vec<String>,
}

/// The sink.
#[derive(Debug)]
pub(crate) struct Told {
    start: Instant,
    heard: Sender<Heard>,
}

impl Told {
    pub(crate) fn new(start: Instant, heard: Sender<Heard>) -> Self {
        Self { start, heard }
    }
}

#[allow(clippy::unnecessary_literal_bound)] // as the trait has it
impl Sink for Told {
    fn name(&self) -> &str {
        "stdout"
    }

    fn kind(&self) -> &'static str {
        "print"
    }

    fn send<'a>(&'a self, notice: &'a Notice) -> Sending<'a> {
        Box::pin(async move {
            let at = self.start.elapsed();
            // In one piece: others print as well.
            let text = notice.message().text().trim_end().replace('\n', "\n         ");
            println!("{:>5.1} s  {text}", at.as_secs_f64());
            let titles = notice.listed.iter().map(|one| one.alert.message().title).collect();
            // Nobody listens any more at the end: it is printed all the same.
            let _ = self.heard.send(Heard { at, titles });
            Ok(())
        })
    }
}
