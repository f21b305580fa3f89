//! Tenant ids: any bytes, bounded in length when they arrive, escaped only when they are shown.

use sha2::{Digest, Sha256};
use std::borrow::{Borrow, Cow};
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

/// Longest id that is kept whole, in bytes.
pub(crate) const MAX_ID: usize = 128;
/// Bytes of a longer id that are kept in front of its hash: [`MAX_ID`] less the 32 hexadecimal digits of the hash.
const ID_PREFIX: usize = 96;
/// Id of the row of requests whose tenant is unknown; no tenant can have the empty id.
pub(crate) const UNATTRIBUTED: &[u8] = b"";
/// Name of that row for people. A tenant with this very id is shown with a backslash in front.
pub(crate) const UNATTRIBUTED_NAME: &str = "unattributed";

/// The id as the table keeps it, and whether it had to be shortened.
///
/// A long id becomes its first 96 bytes and 128 bits of the SHA-256 of the whole in hex, so that two long ids never merge.
/// (The short form is an id of 128 bytes itself: a request that carries it counts for the same tenant.)
#[inline]
pub(crate) fn bounded(id: &[u8]) -> (Cow<'_, [u8]>, bool) {
    if id.len() <= MAX_ID { (Cow::Borrowed(id), false) } else { (Cow::Owned(shortened(id, ID_PREFIX)), true) }
}

/// The first `prefix` bytes of `text` and 32 hex digits of the hash of all of it.
pub(crate) fn shortened(text: &[u8], prefix: usize) -> Vec<u8> {
    let mut out = text[..prefix].to_vec();
    for byte in &Sha256::digest(text)[..16] {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    out
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// 64 bits of the SHA-256 of an id, which stand for it in small sets of distinct ids. Every process computes the same.
pub(crate) fn fingerprint(id: &[u8]) -> u64 {
    let digest = Sha256::digest(id);
    digest.iter().take(8).fold(0, |bits, &byte| bits << 8 | u64::from(byte))
}

/// An id, shared by the blocks that contain it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TenantId(Arc<[u8]>);

impl TenantId {
    pub(crate) fn new(id: &[u8]) -> Self {
        Self(id.into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for TenantId {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", shown(&self.0))
    }
}

/// The text that stands for an id in everything people see: bytes that are not UTF-8 as `\xNN`, control and direction-changing
/// characters as `\u{NNNN}`, a backslash as two. No two ids look the same.
pub(crate) fn shown(id: &[u8]) -> String {
    if id == UNATTRIBUTED {
        return UNATTRIBUTED_NAME.into();
    }
    let text = escaped(id);
    if id == UNATTRIBUTED_NAME.as_bytes() { format!("\\{text}") } else { text }
}

/// Any bytes, escaped by the rules of [`shown`].
pub(crate) fn escaped(id: &[u8]) -> String {
    let mut out = String::with_capacity(id.len());
    for chunk in id.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' {
                out.push_str("\\\\");
            } else if is_deceiving(c) {
                out.extend(c.escape_unicode());
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// A text that contains escaped parts: escapes the characters that could still deceive, and leaves backslashes alone.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceiving(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// The id for which [`shown`] gives this text; `None` when there is none.
pub(crate) fn id_shown_as(text: &[u8]) -> Option<Vec<u8>> {
    if text == UNATTRIBUTED_NAME.as_bytes() {
        return Some(UNATTRIBUTED.to_vec());
    }
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    if text.strip_prefix(b"\\") == Some(UNATTRIBUTED_NAME.as_bytes()) {
        rest = UNATTRIBUTED_NAME.as_bytes();
    }
    let hex = |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            out.push(first);
            continue;
        }
        let (&kind, after) = rest.split_first()?;
        rest = after;
        match kind {
            b'\\' => out.push(b'\\'),
            b'x' => {
                let (digits, after) = rest.split_at_checked(2)?;
                out.push(hex(digits)? as u8);
                rest = after;
            }
            b'u' => {
                let end = rest.iter().position(|&byte| byte == b'}')?;
                let c = char::from_u32(hex(rest[..end].strip_prefix(b"{")?)?)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[end + 1..];
            }
            _ => return None,
        }
    }
    (shown(&out).as_bytes() == text).then_some(out)
}

/// Characters that could break a line, hide, or change the order of the text around them.
fn is_deceiving(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_ids_stay_apart() {
        let (a, b) = ([b'a'; 1_000], [&[b'a'; 999][..], b"b"].concat());
        let ((a, cut_a), (b, cut_b)) = (bounded(&a), bounded(&b));
        assert!(cut_a && cut_b && a != b);
        assert_eq!((a.len(), &a[..ID_PREFIX]), (MAX_ID, &[b'a'; ID_PREFIX][..]));
        assert_eq!(bounded(&[b'x'; MAX_ID]), (Cow::Borrowed(&[b'x'; MAX_ID][..]), false));
        assert_eq!(bounded(b""), (Cow::Borrowed(UNATTRIBUTED), false));
    }

    proptest! {
        #[test]
        fn what_is_shown_leads_back(id in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "\\PC*".prop_map(String::into_bytes),
            Just(b"unattributed".to_vec()), Just(b"\\unattributed".to_vec()), Just(b"".to_vec()), Just("\u{202e}\u{0}\\x41\\u{41}".into()),
        ]) {
            prop_assert_eq!(id_shown_as(shown(&id).as_bytes()), Some(id));
        }

        #[test]
        fn nothing_else_does(text in prop_oneof!["\\PC*", "[\\\\xu{}0-9a-f]*"]) {
            if let Some(id) = id_shown_as(text.as_bytes()) {
                prop_assert_eq!(shown(&id), text);
            }
        }
    }

    #[test]
    fn what_is_shown_cannot_deceive() {
        assert_eq!(shown(b"acme"), "acme");
        assert_eq!((shown(b"").as_str(), shown(b"unattributed").as_str()), ("unattributed", "\\unattributed"));
        assert_eq!(shown("caf\u{e9} \u{1f680}".as_bytes()), "caf\u{e9} \u{1f680}");
        assert_eq!(shown(b"a\nb\x1b[31m\x00\xff"), "a\\u{a}b\\u{1b}[31m\\u{0}\\xff");
        assert_ne!(shown(b"a\x07"), shown(br"a\u{7}"));
        assert_eq!(shown("\u{202e}evil\u{200b}".as_bytes()), "\\u{202e}evil\\u{200b}");
    }
}
