//! The target and the method of the request that follows a redirect, decided without a network.

use super::request::encoded;
use sentinel_core::uptime::{Kind, Method, Target};

/// The request that follows a redirect.
#[derive(Debug, PartialEq)]
pub(super) struct NextRequest {
    pub(super) target: Target,
    pub(super) method: Method,
    /// Whether scheme, host or port differ from the last request's.
    pub(super) elsewhere: bool,
}

/// Whether a status with a `Location` is a redirect. 300 and 304 are answers.
pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Follows a `Location` as browsers do. `None` if no probe can go there: another scheme, a user with a password, no URL.
pub(super) fn follow(from: &Target, method: Method, status: u16, location: &[u8]) -> Option<NextRequest> {
    let target = Target::new(&absolute(from, &written(location))?).ok().filter(|target| target.kind() == Kind::Http)?;
    let method = match (status, method) {
        (303, Method::Head) => Method::Head,
        (303, _) | (301 | 302, Method::Post) => Method::Get,
        _ => method,
    };
    let elsewhere =
        (target.is_encrypted(), target.host(), target.port()) != (from.is_encrypted(), from.host(), from.port());
    Some(NextRequest { target, method, elsewhere })
}

/// The text of a header: spaces and what is not ASCII are percent-encoded, the fragment is not sent. `Target` refuses everything else that no URL may have.
fn written(location: &[u8]) -> String {
    let location = location.trim_ascii().split(|byte| *byte == b'#').next().unwrap_or_default();
    encoded(location.iter().copied(), |byte| byte == b' ' || !byte.is_ascii())
}

/// Resolves a reference by RFC 3986, section 5.2.
fn absolute(from: &Target, location: &str) -> Option<String> {
    let scheme = if from.is_encrypted() { "https" } else { "http" };
    let host = if from.host().contains(':') { format!("[{}]", from.host()) } else { from.host().to_owned() };
    let base = format!("{scheme}://{host}:{}", from.port());
    if let Some((given, rest)) = location.split_once(':')
        && !given.is_empty()
        && given.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && given.starts_with(|first: char| first.is_ascii_alphabetic())
    {
        let (authority, path) = parts(rest.strip_prefix("//")?);
        return Some(format!("{}://{authority}{}", given.to_ascii_lowercase(), straight(path)));
    }
    if let Some(rest) = location.strip_prefix("//") {
        let (authority, path) = parts(rest);
        return Some(format!("{scheme}://{authority}{}", straight(path)));
    }
    let (path, query) = from.path().split_at(from.path().find('?').unwrap_or(from.path().len()));
    let path = match location.as_bytes().first() {
        None => return Some(format!("{base}{path}{query}")),
        Some(b'/') => straight(location),
        Some(b'?') => format!("{path}{location}"),
        Some(_) => straight(&format!("{}/{location}", path.rsplit_once('/').map_or("", |(folder, _)| folder))),
    };
    Some(base + &path)
}

/// Host with port, and path with query.
fn parts(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
}

/// The path without `.` and `..`; the query is unchanged.
fn straight(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut all = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(one) = all.next() {
        let last = all.peek().is_none();
        match one {
            "." | ".." => {
                if one == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(one),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(from: &str, location: &str) -> Option<Target> {
        follow(&Target::new(from).unwrap(), Method::Get, 302, location.as_bytes()).map(|next| next.target)
    }

    /// The examples of RFC 3986, section 5.4; `;p` is part of a path.
    #[test]
    fn the_examples_of_the_standard() {
        for (location, url) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("g;x", "http://a/b/c/g;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            (".g", "http://a/b/c/.g"),
            ("g..", "http://a/b/c/g.."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
        ] {
            assert_eq!(to("http://a/b/c/d;p?q", location), Some(Target::new(url).unwrap()), "{location}");
        }
    }

    #[test]
    fn other_forms() {
        for (from, location, url) in [
            ("https://a:8443/x", "/y", "https://a:8443/y"),
            ("https://a/x", "//b:1/y", "https://b:1/y"),
            ("http://[::1]:8080/x", "y", "http://[::1]:8080/y"),
            ("http://a/", "HTTPS://B.example", "https://b.example/"),
            ("http://a/", "http://b?x=1", "http://b/?x=1"),
            ("http://a/", "  /y  ", "http://a/y"),
            ("http://a/", "/caf\u{e9} x", "http://a/caf%C3%A9%20x"),
            ("http://a/", "/x:y", "http://a/x:y"),
            ("http://a/", "x?u=http://b/", "http://a/x?u=http://b/"),
            ("http://a", "x", "http://a/x"),
            ("http://a/?q=/z/", "x", "http://a/x"),
        ] {
            assert_eq!(to(from, location), Some(Target::new(url).unwrap()), "{location}");
        }
        for nowhere in [
            "ftp://a/",
            "file:///x",
            "javascript:alert(1)",
            "tcp://a:1",
            "tls://a",
            "http:a",
            "http:/a",
            "http://",
            "//",
            "http://u:p@b/",
            "http://u@b/",
            "http://a:0/",
            "http://a:70000/",
            "http://[::1/",
            "http://[::g]/",
            "http://%31/",
            "http://a b/",
            "/x\u{1}",
            "/x\ty",
            "gopher://a/",
            "data:,x",
            "//@b/",
        ] {
            assert_eq!(to("http://a/", nowhere), None, "{nowhere}");
        }
        assert_eq!(to("http://a/", &"x".repeat(3_000)), None);
    }

    #[test]
    fn the_method_is_kept_or_not_as_browsers_do() {
        use Method::{Get, Head, Options, Post};
        for (status, of) in [
            (301, [Get, Head, Options, Get]),
            (302, [Get, Head, Options, Get]),
            (303, [Get, Head, Get, Get]),
            (307, [Get, Head, Options, Post]),
            (308, [Get, Head, Options, Post]),
        ] {
            for (method, next) in [Get, Head, Options, Post].into_iter().zip(of) {
                let followed = follow(&Target::new("http://a/").unwrap(), method, status, b"/").unwrap();
                assert_eq!(followed.method, next, "{status} {method:?}");
            }
        }
        assert!((100..600).filter(|status| is_redirect(*status)).eq([301, 302, 303, 307, 308]));
    }

    #[test]
    fn elsewhere_is_another_scheme_host_or_port() {
        let elsewhere = |location: &[u8]| {
            follow(&Target::new("https://a.example/x").unwrap(), Method::Get, 302, location).unwrap().elsewhere
        };
        for here in ["/y", "//a.example/", "https://A.example:443/", "https://a.example?z"] {
            assert!(!elsewhere(here.as_bytes()), "{here}");
        }
        for there in [
            "http://a.example/",
            "http://a.example:443/",
            "https://a.example:444/",
            "//b.example/",
            "//a.example./",
            "https://b.a.example/",
        ] {
            assert!(elsewhere(there.as_bytes()), "{there}");
        }
    }
}
