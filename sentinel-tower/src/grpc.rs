//! gRPC says how it went in `grpc-status`, in the trailers or, where there is no body, in the head; its HTTP status is 200 always.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// Whether an answer is one of gRPC.
pub(crate) fn is(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|media| media.as_bytes().starts_with(b"application/grpc"))
}

/// The HTTP status that a gRPC status stands for, as gRPC's own gateways have it; CANCELLED is the client going away.
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
