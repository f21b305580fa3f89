//! The request of a check, as it is sent to one place.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use sentinel_core::uptime::{Check, Method, Target};

/// The request of a check to this target, with the check's own headers only if they are meant for the target. `None` if the
/// request cannot be sent.
///
/// The request has no `Accept-Encoding`: an answer is judged as it comes.
pub(super) fn request(check: &Check, target: &Target, method: Method, own: bool) -> Option<Request<Full<Bytes>>> {
    let mut request = Request::new(Full::default());
    *request.method_mut() = match method {
        Method::Get => hyper::Method::GET,
        Method::Head => hyper::Method::HEAD,
        Method::Options => hyper::Method::OPTIONS,
        Method::Post => hyper::Method::POST,
    };
    *request.uri_mut() = path(target.path())?;
    let map = request.headers_mut();
    map.insert(HOST, HeaderValue::from_str(&authority(target)).ok()?);
    map.insert(USER_AGENT, HeaderValue::from_static(concat!("tenant-sentinel/", env!("CARGO_PKG_VERSION"))));
    map.insert(ACCEPT, HeaderValue::from_static("*/*"));
    if own {
        add(map, check)?;
    }
    map.insert(CONNECTION, HeaderValue::from_static("close"));
    if method == Method::Post {
        map.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Some(request)
}

fn add(map: &mut HeaderMap, check: &Check) -> Option<()> {
    for (name, value) in &check.headers {
        let mut value = HeaderValue::from_str(value.reveal()).ok()?;
        value.set_sensitive(true);
        map.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
    }
    Some(())
}

/// Host as in the `Host` header: with the port if that is not the scheme's.
fn authority(target: &Target) -> String {
    let host = if target.host().contains(':') { format!("[{}]", target.host()) } else { target.host().to_owned() };
    let usual = if target.is_encrypted() { 443 } else { 80 };
    if target.port() == usual { host } else { format!("{host}:{}", target.port()) }
}

/// A path for a request line: bytes that a URL may hold and a request may not are percent-encoded, as browsers do.
fn path(path: &str) -> Option<Uri> {
    let odd = |byte| b"\"<>`^\\{|}".contains(&byte);
    if path.bytes().any(odd) { encoded(path.bytes(), odd).parse().ok() } else { path.parse().ok() }
}

/// Text with some of its bytes percent-encoded: all that are not ASCII must be.
pub(super) fn encoded(bytes: impl Iterator<Item = u8>, odd: impl Fn(u8) -> bool) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let mut out = String::new();
    for byte in bytes {
        if odd(byte) {
            out.extend(['%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        } else {
            out.push(char::from(byte));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_a_url_can_be_sent() {
        for byte in (b'!'..=b'~').filter(|byte| *byte != b'#') {
            for url in [format!("http://a/x{}y", char::from(byte)), format!("http://a/?x{}y", char::from(byte))] {
                let target = Target::new(&url).unwrap();
                assert!(path(target.path()).is_some(), "{url}");
            }
        }
        assert_eq!(path("/a{b}?<c>").unwrap(), "/a%7Bb%7D?%3Cc%3E");
        assert_eq!(path("//b/c").unwrap().path(), "//b/c");
    }

    #[test]
    fn the_port_is_named_where_it_is_not_the_usual_one() {
        for (url, host) in [
            ("http://a.example/", "a.example"),
            ("http://a.example:443/", "a.example:443"),
            ("https://a.example:443/", "a.example"),
            ("https://[::1]:8443/", "[::1]:8443"),
        ] {
            assert_eq!(authority(&Target::new(url).unwrap()), host);
        }
    }
}
