//! The status of gRPC: always HTTP 200, with the result as `grpc-status` in the trailers, or in the head when there is no body.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// Whether an answer is one of gRPC, by its content type.
pub(crate) fn is(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|media| media.as_bytes().starts_with(b"application/grpc"))
}

/// The HTTP status for `grpc-status`, as gRPC's own gateways map it, except that CANCELLED is 499: the client went away. `None` without
/// such a header.
pub(crate) fn status(headers: &HeaderMap) -> Option<u16> {
    let code: u16 = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    Some(match code {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    })
}
