//! The other side: servers on loopback that answer, fail, hang or are gone, as they are told.

use crate::by_hand::Request;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One more than it takes to tell a dead network from a dead target (four others, of at least two hosts), so that one late answer
/// decides nothing.
const NAMES: [&str; 6] = ["shop", "search", "payments", "login", "docs", "mail"];
/// A server does not wait longer for whoever says nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Behaviour of a server at a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Behaviour {
    Answers,
    Fails,
    /// The server accepts the connection and does not answer.
    Hangs,
    /// The server closes the connection.
    IsGone,
}

impl Behaviour {
    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Fails => "answers 503",
            Self::Hangs => "hangs",
            Self::IsGone => "is gone",
        }
    }
}

/// A server.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    behaviour: Arc<AtomicU8>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Target {
    /// From now on it does that. False if it does so already.
    pub(crate) fn begins(&self, behaviour: Behaviour) -> bool {
        self.behaviour.swap(behaviour as u8, Ordering::Relaxed) != behaviour as u8
    }

    /// Requests that the server has seen so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All of them, each on an address of its own.
pub(crate) fn start() -> io::Result<Vec<Target>> {
    NAMES.into_iter().zip(1..).map(|(name, last)| serve(name, last)).collect()
}

fn serve(name: &'static str, last: u8) -> io::Result<Target> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, last], 0)))
        .map_err(|error| io::Error::new(error.kind(), format!("127.0.0.{last}: {error}; --help says more")))?;
    let (address, behaviour) = (listener.local_addr()?, Arc::new(AtomicU8::new(Behaviour::Answers as u8)));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (told, seen) = (Arc::clone(&behaviour), Arc::clone(&requests));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let behaviour = told.load(Ordering::Relaxed);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
            let well = behaviour == Behaviour::Answers as u8;
            seen.lock().unwrap_or_else(PoisonError::into_inner).push((now, well));
            // One that hangs must not keep the others waiting.
            thread::spawn(move || answer(stream, behaviour));
        }
    });
    Ok(Target { name, address, behaviour, requests })
}

fn answer(mut stream: TcpStream, behaviour: u8) -> io::Result<()> {
    if behaviour == Behaviour::IsGone as u8 {
        return Ok(());
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = [0; 1_024];
    while stream.read(&mut request)? > 0 {
        // A probe is one small write; what hangs reads on until the prober has had enough.
        if behaviour != Behaviour::Hangs as u8 {
            let status = if behaviour == Behaviour::Fails as u8 { "503 Service Unavailable" } else { "200 OK" };
            return write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        }
    }
    Ok(())
}
