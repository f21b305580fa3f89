//! Faults on the way to another machine, by kind: never with the address, a header or a word of the other side.

use std::error::Error;
use std::io;
use thiserror::Error;

/// People see the text, so each text is written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Fault {
    #[error("the host name is not known")]
    Dns,
    #[error("the host name was not found in time")]
    DnsTimeout,
    #[error("the connection was refused")]
    ConnectRefused,
    #[error("no connection in time")]
    ConnectTimeout,
    #[error("the host cannot be reached")]
    Unreachable,
    /// This machine has no file descriptors, ports or memory left.
    #[error("this process has no room for another connection")]
    NoRoom,
    #[error("the certificate has expired")]
    Expired,
    #[error("the certificate is not valid yet")]
    NotYetValid,
    #[error("the certificate is for another name")]
    OtherName,
    #[error("the certificate's issuer is not trusted")]
    Issuer,
    #[error("the certificate is not valid")]
    Certificate,
    #[error("TLS failed")]
    Tls,
    #[error("STARTTLS is not offered")]
    NoStartTls,
    #[error("the connection was reset")]
    Reset,
    #[error("the connection was closed before the answer was complete")]
    Closed,
    #[error("no answer in time")]
    TimedOut,
    #[error("the answer cannot be understood")]
    BadAnswer,
    #[error("the answer is too large")]
    TooLarge,
}

impl From<&io::Error> for Fault {
    fn from(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(fault) = inner.and_then(|inner| inner.downcast_ref::<Self>()) {
            return *fault;
        }
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return tls.into();
        }
        if is_ours(error) {
            return Self::NoRoom;
        }
        match error.kind() {
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::ConnectionRefused => Self::ConnectRefused,
            io::ErrorKind::UnexpectedEof => Self::Closed,
            io::ErrorKind::InvalidData => Self::BadAnswer,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Self::Unreachable,
            _ => Self::Reset,
        }
    }
}

/// Whether the system had no resources left.
pub(crate) fn is_ours(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        let ours = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EADDRNOTAVAIL];
        error.raw_os_error().is_some_and(|code| ours.contains(&code))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

impl From<&rustls::Error> for Fault {
    fn from(error: &rustls::Error) -> Self {
        use rustls::CertificateError as Bad;
        match error {
            rustls::Error::InvalidCertificate(bad) => match bad {
                Bad::Expired | Bad::ExpiredContext { .. } => Self::Expired,
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => Self::NotYetValid,
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Self::OtherName,
                Bad::UnknownIssuer => Self::Issuer,
                _ => Self::Certificate,
            },
            _ => Self::Tls,
        }
    }
}

impl From<hyper::Error> for Fault {
    fn from(error: hyper::Error) -> Self {
        if let Some(io) = source(&error) {
            return io.into();
        }
        if error.is_parse_too_large() {
            Self::TooLarge
        } else if error.is_parse() {
            Self::BadAnswer
        } else {
            Self::Closed
        }
    }
}

/// The system's error that caused another one.
pub(crate) fn source<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        next = error.source();
    }
    None
}
