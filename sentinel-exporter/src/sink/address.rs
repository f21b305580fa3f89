//! The address that a message goes to by HTTP. An address may be a password, so nothing in this file shows one.

use crate::values::Secret;
use hyper::Uri;
use hyper::http::uri::Scheme;
use sentinel_core::ConfigError;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The parts of an `http` or `https` URL.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) tls: bool,
    /// Host, without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Host and port as in the `Host` header.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: Uri,
}

impl Address {
    /// Reads a URL; `plain` says whether `http` may go to other hosts than this one.
    pub(crate) fn parse(field: &str, url: &Secret, plain: bool) -> Result<Self, ConfigError> {
        let allowed = if plain {
            "a URL that begins with https:// or http://, without a user"
        } else {
            "a URL that begins with https:// (http:// only for this host), without a user"
        };
        Self::of(url.reveal(), plain).ok_or_else(|| ConfigError::hidden(field, allowed))
    }

    fn of(url: &str, plain: bool) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let tls = *uri.scheme()? == Scheme::HTTPS;
        if !tls && *uri.scheme()? != Scheme::HTTP {
            return None;
        }
        let authority = uri.authority()?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if authority.as_str().contains('@') || host.is_empty() || !(tls || plain || is_loopback(host)) {
            return None;
        }
        // The library reads a port that is no number as no port.
        let port = match authority.as_str().strip_prefix(authority.host())? {
            "" if tls => 443,
            "" => 80,
            port => port.strip_prefix(':')?.parse().ok().filter(|port| *port > 0)?,
        };
        let path = match uri.path_and_query().map_or("", |path| path.as_str()) {
            path if path.starts_with('/') => path.parse(),
            query => format!("/{query}").parse(),
        };
        let path = path.ok()?;
        Some(Self { tls, host: host.into(), port, authority: authority.as_str().into(), path })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

/// Whether a host is this one: `localhost` or a loopback address. No resolver is asked.
pub(crate) fn is_loopback(host: &str) -> bool {
    let mapped = |ip: Ipv6Addr| ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback());
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || mapped(ip),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Option<(bool, String, u16, String)> {
        let Address { tls, host, port, path, .. } = Address::parse("url", &Secret::new(url), true).ok()?;
        Some((tls, host, port, path.to_string()))
    }

    #[test]
    fn it_is_taken_apart() {
        let is = |tls, host: &str, port, path: &str| Some((tls, host.to_owned(), port, path.to_owned()));
        assert_eq!(
            of("https://hooks.slack.com/services/T/B/x?y=1#z"),
            is(true, "hooks.slack.com", 443, "/services/T/B/x?y=1")
        );
        assert_eq!(of("HTTP://shop.internal:8080"), is(false, "shop.internal", 8080, "/"));
        assert_eq!(of("https://[::1]:444?q"), is(true, "::1", 444, "/?q"));
    }

    #[test]
    fn nothing_else_is_and_no_error_shows_it() {
        for url in [
            "",
            "canary",
            "ftp://canary/",
            "file:///canary",
            "https://user:canary@host/",
            "https://host:canary/",
            "https://host:0/canary",
            "https://:443/canary",
            "//host/canary",
            "https:///canary",
            "https://ho st/canary",
            "https://host:99999/canary",
            "https://host/ca\r\nnary",
        ] {
            let error = Address::parse("url", &Secret::new(url), true).unwrap_err();
            assert_eq!((error.field.as_str(), error.value.as_str()), ("url", "a value that is not shown"), "{url}");
            assert!(!error.to_string().contains("canary"));
        }
    }

    #[test]
    fn a_password_goes_in_the_clear_to_this_host_alone() {
        let parse = |url: &str| Address::parse("url", &Secret::new(url), false).is_ok();
        for url in ["https://hooks.slack.com/x", "http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]/x"] {
            assert!(parse(url), "{url}");
        }
        for url in ["http://hooks.slack.com/x", "http://127.0.0.1.evil/x", "http://10.0.0.1/x"] {
            assert!(!parse(url), "{url}");
        }
    }
}
