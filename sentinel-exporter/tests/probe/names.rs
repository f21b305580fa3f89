//! Names whose addresses change, or are many: what was judged is what is dialled.

use super::server::Server;
use super::{Trap, check, probe, twice};
use sentinel_core::uptime::{Cause, Check};
use sentinel_exporter::probe::{Allow, ProbeOptions, Prober, Resolve, Resolving};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Allowed, as a public address would be.
const GOOD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The target of a probe.
const EVIL: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Says one thing after the other, then nothing more, and what it was asked for.
struct Stub {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Stub {
    fn new(answers: &[&[Ipv4Addr]]) -> Arc<Self> {
        let answers = answers.iter().map(|all| all.iter().map(|one| IpAddr::V4(*one)).collect()).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::default() })
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn prober(self: &Arc<Self>) -> Prober {
        let options = ProbeOptions { allow: Allow::new([GOOD.to_string()]).unwrap(), ..ProbeOptions::default() };
        Prober::resolving(&options, Arc::clone(self) as Arc<dyn Resolve>).unwrap()
    }
}

impl Resolve for Stub {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(host.to_owned());
            self.answers.lock().unwrap().pop_front().ok_or_else(|| io::Error::other("unknown"))
        })
    }
}

/// A server at the good address that answers so, and a trap at the evil one, at the same port.
fn server(answer: &'static str) -> (Server, Trap) {
    let (listener, trap) = twice(GOOD, EVIL);
    let server = Server::at(
        listener,
        |stream, play| play(&mut { stream }),
        move |_, wire| drop(wire.write_all(answer.as_bytes())),
    );
    (server, trap)
}

const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn shop(server: &Server) -> Check {
    check(&format!("http://shop.example:{}/", server.address.port()))
}

#[test]
fn the_address_that_was_judged_is_dialled() {
    let (server, trap) = server(FINE);
    let stub = Stub::new(&[&[GOOD], &[EVIL], &[EVIL], &[EVIL]]);
    assert_eq!(probe(&stub.prober(), &shop(&server)).result.cause, None);
    assert_eq!((server.seen().len(), trap.caught(), stub.asked()), (1, 0, 1));
    // It is asked anew each time: the next probe sees what has changed.
    assert_eq!(probe(&stub.prober(), &shop(&server)).result.cause, Some(Cause::Blocked));
    assert_eq!((server.seen().len(), trap.caught(), stub.asked()), (1, 0, 2));
}

#[test]
fn one_evil_address_is_enough() {
    for answer in [&[GOOD, EVIL][..], &[EVIL, GOOD], &[GOOD, GOOD, GOOD, GOOD, GOOD, GOOD, EVIL], &[EVIL]] {
        let (server, trap) = server(FINE);
        let stub = Stub::new(&[answer]);
        assert_eq!(probe(&stub.prober(), &shop(&server)).result.cause, Some(Cause::Blocked));
        assert_eq!((server.seen().len(), trap.caught(), stub.asked()), (0, 0, 1));
    }
}

#[test]
fn a_redirect_is_resolved_and_judged_anew() {
    for to in ["/again", "http://shop.example:{}/", "http://other.example:{}/"] {
        let (listener, trap) = twice(GOOD, EVIL);
        let port = listener.local_addr().unwrap().port();
        let head =
            format!("HTTP/1.1 302 x\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", to.replace("{}", &port.to_string()));
        let server = Server::at(
            listener,
            |stream, play| play(&mut { stream }),
            move |_, wire| drop(wire.write_all(head.as_bytes())),
        );
        let stub = Stub::new(&[&[GOOD], &[EVIL]]);
        let probed = probe(&stub.prober(), &shop(&server));
        assert_eq!((probed.result.cause, probed.result.status), (Some(Cause::Blocked), None), "{to}");
        assert_eq!((server.seen().len(), trap.caught(), stub.asked()), (1, 0, 2));
    }
}

#[test]
fn there_is_no_address() {
    let (server, trap) = server(FINE);
    for stub in [Stub::new(&[]), Stub::new(&[&[]])] {
        let probed = probe(&stub.prober(), &shop(&server));
        assert_eq!((probed.result.cause, trap.caught()), (Some(Cause::Dns), 0));
        assert!(probed.phases.dns_us.is_some() && probed.phases.connect_us.is_none());
    }
    // The second where a resolver does not answer.
    let cause = super::cause("http://nobody.invalid/").unwrap();
    assert!([Cause::Dns, Cause::Timeout].contains(&cause), "{cause}");
}

#[test]
fn an_address_that_is_deaf_leaves_time_for_the_next() {
    let (server, _trap) = server(FINE);
    // Nobody listens at the first one.
    let deaf = Ipv4Addr::new(127, 0, 0, 3);
    let stub = Stub::new(&[&[deaf, GOOD]]);
    let options = ProbeOptions { allow: Allow::new(["127.0.0.2", "127.0.0.3"]).unwrap(), ..ProbeOptions::default() };
    let prober = Prober::resolving(&options, stub).unwrap();
    assert_eq!(probe(&prober, &shop(&server)).result.cause, None);
}

/// Never answers.
struct Silent;

impl Resolve for Silent {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn a_resolver_that_does_not_answer_has_the_deadline() {
    let prober = Prober::resolving(&ProbeOptions::default(), Arc::new(Silent)).unwrap();
    let check = Check { timeout: Some(Duration::from_millis(100)), ..check("https://shop.example/") };
    let began = Instant::now();
    let probed = probe(&prober, &check);
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!((probed.result.cause, probed.phases.dns_us), (Some(Cause::Timeout), None));
}
