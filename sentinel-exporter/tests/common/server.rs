//! A server on this host that answers as a test says, well or badly, to any number of connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.head.lines().filter_map(|line| line.split_once(": "));
        all.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A connection, encrypted or not.
pub(crate) trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    written: Arc<AtomicUsize>,
}

/// Counts what the other side takes.
struct Counted<'a>(&'a mut dyn Wire, &'a AtomicUsize);

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1.fetch_add(written, Ordering::SeqCst);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Server {
    /// Hands each connection over as it is.
    pub(crate) fn raw(play: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::listening(TcpListener::bind("127.0.0.1:0").unwrap(), play)
    }

    fn listening(listener: TcpListener, play: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let play = Arc::new(play);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, play) = (stream.unwrap(), Arc::clone(&play));
                thread::spawn(move || play(stream));
            }
        });
        Self { address, seen: Arc::default(), written: Arc::default() }
    }

    /// Reads each request and answers it. What goes wrong with the client is what the client has to say.
    pub(crate) fn new(answer: impl Fn(&Request, &mut dyn Wire) + Send + Sync + 'static) -> Self {
        Self::wrapped(|stream, play| play(&mut { stream }), answer)
    }

    /// As `new`, by a connection that `wrap` makes of each.
    pub(crate) fn wrapped(
        wrap: impl Fn(TcpStream, &mut dyn FnMut(&mut dyn Wire)) + Send + Sync + 'static,
        answer: impl Fn(&Request, &mut dyn Wire) + Send + Sync + 'static,
    ) -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").unwrap(), wrap, answer)
    }

    /// As `wrapped`, on a listener of the test's.
    pub(crate) fn at(
        listener: TcpListener,
        wrap: impl Fn(TcpStream, &mut dyn FnMut(&mut dyn Wire)) + Send + Sync + 'static,
        answer: impl Fn(&Request, &mut dyn Wire) + Send + Sync + 'static,
    ) -> Self {
        let (seen, written) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (record, count) = (Arc::clone(&seen), Arc::clone(&written));
        let server = Self::listening(listener, move |stream| {
            wrap(stream, &mut |wire| {
                if let Some(request) = read(wire) {
                    record.lock().unwrap().push(request.clone());
                    answer(&request, &mut Counted(wire, &count));
                }
            });
        });
        Self { seen, written, ..server }
    }

    /// Always the same answer.
    pub(crate) fn saying(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::new(move |_, wire| drop(wire.write_all(answer.as_bytes())))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Bytes that the client has taken, or the system for it.
    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }
}

fn read(wire: &mut dyn Wire) -> Option<Request> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4_096]);
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        match wire.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
        }
    };
    let mut request =
        Request { head: String::from_utf8(bytes[..head].to_vec()).unwrap(), body: bytes[head..].to_vec() };
    let length: usize = request.header("content-length").map_or(Ok(0), str::parse).ok()?;
    while request.body.len() < length {
        match wire.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(length) => request.body.extend_from_slice(&chunk[..length]),
        }
    }
    Some(request)
}

/// Says nothing more until the client goes.
pub(crate) fn wait(wire: &mut dyn Wire) {
    let _ = wire.read(&mut [0; 64]);
}

/// A byte now and then, until the client goes.
pub(crate) fn drip(wire: &mut dyn Wire, text: &str) {
    for byte in text.bytes().cycle() {
        if wire.write_all(&[byte]).and_then(|()| wire.flush()).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// As fast as it can, until the client goes, or half a gigabyte is out; says how much went.
pub(crate) fn flood(wire: &mut dyn Wire, text: &str) -> usize {
    let many = text.repeat(65_536 / text.len());
    let mut times = 0;
    while times < 8_192 && wire.write_all(many.as_bytes()).is_ok() {
        times += 1;
    }
    times * many.len()
}
