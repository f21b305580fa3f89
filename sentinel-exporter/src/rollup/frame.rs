//! The form of the files. All functions are pure, and total over any bytes.
//!
//! A block carries its own magic, version and checksum. Everything else (requests in flight, the leader's baseline) is framed here:
//! `"SNTX"`, a version, the kind, the length as eight bytes little-endian, the bytes, and the CRC-32 of all before it, little-endian.

use super::Reason;

const MAGIC: [u8; 4] = *b"SNTX";
const FRAME_VERSION: u8 = 1;
/// Bytes of magic, version, kind and length.
const HEAD_BYTES: usize = 4 + 1 + 1 + 8;
const CHECKSUM_BYTES: usize = 4;

/// First bytes of `sentinel_core::Block::encode`; a unit test compares.
const BLOCK_MAGIC: [u8; 4] = *b"SNTB";
const BLOCK_VERSION: u8 = 1;

/// Content of a framed file.
///
/// ```
/// use sentinel_exporter::rollup::{Kind, Reason, frame, unframe};
///
/// let bytes = frame(Kind::Live, b"two requests");
/// assert_eq!(unframe(Kind::Live, &bytes), Ok(&b"two requests"[..]));
/// assert_eq!(unframe(Kind::Baseline, &bytes), Err(Reason::Mismatched));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// Requests that a process has in flight.
    Live = 1,
    /// The baseline that the leader process has written down.
    Baseline = 2,
}

/// Frames bytes for a file; see [`Kind`].
///
/// ```
/// # use sentinel_exporter::rollup::{Kind, frame};
/// assert_eq!(frame(Kind::Live, b"").len(), 18);
/// ```
pub fn frame(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + bytes.len() + CHECKSUM_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[FRAME_VERSION, kind as u8]);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
    let checksum = crc32fast::hash(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// Returns the bytes in a frame.
///
/// # Errors
/// The [`Reason`] for which any other bytes are skipped.
///
/// ```
/// # use sentinel_exporter::rollup::{Kind, Reason, frame, unframe};
/// let bytes = frame(Kind::Live, b"two requests");
/// assert_eq!(unframe(Kind::Live, &bytes[..20]), Err(Reason::Truncated));
/// ```
pub fn unframe(kind: Kind, bytes: &[u8]) -> Result<&[u8], Reason> {
    let (start, version) = first::<4>(bytes).zip(bytes.get(4)).ok_or(Reason::Truncated)?;
    if start != MAGIC {
        return Err(Reason::Torn);
    }
    if *version != FRAME_VERSION {
        return Err(Reason::Version);
    }
    let head = bytes.get(..HEAD_BYTES).ok_or(Reason::Truncated)?;
    let length = head.get(6..).and_then(first::<8>).map(u64::from_le_bytes).ok_or(Reason::Truncated)?;
    let whole = usize::try_from(length).ok().and_then(|length| length.checked_add(HEAD_BYTES + CHECKSUM_BYTES));
    match whole {
        Some(whole) if bytes.len() == whole => {}
        Some(whole) if bytes.len() > whole => return Err(Reason::Torn),
        _ => return Err(Reason::Truncated),
    }
    let body = checked(bytes)?;
    if body.get(5) != Some(&(kind as u8)) {
        return Err(Reason::Mismatched);
    }
    body.get(HEAD_BYTES..).ok_or(Reason::Truncated)
}

/// Checks that bytes are a whole block of this version, of the source and slot in its file name.
///
/// [`Block::decode`](sentinel_core::Block::decode) checks the rest when the block is merged.
///
/// # Errors
/// The [`Reason`] for which it is skipped.
///
/// ```
/// use sentinel_core::{Clock, Event, Sentinel};
/// use sentinel_exporter::rollup::{Reason, check_block};
///
/// let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
/// sentinel.record(Event::default());
/// let mut bytes = sentinel.blocks()[0].encode();
/// assert_eq!(check_block(&bytes, sentinel.source(), 0, 10_000), Ok(()));
/// assert_eq!(check_block(&bytes, sentinel.source(), 10_000, 20_000), Err(Reason::Mismatched));
/// bytes[20] ^= 1;
/// assert_eq!(check_block(&bytes, sentinel.source(), 0, 10_000), Err(Reason::Torn));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
pub fn check_block(bytes: &[u8], source: u64, from_ms: i64, to_ms: i64) -> Result<(), Reason> {
    let (start, version) = first::<4>(bytes).zip(bytes.get(4)).ok_or(Reason::Truncated)?;
    if start != BLOCK_MAGIC {
        return Err(Reason::Torn);
    }
    if *version != BLOCK_VERSION {
        return Err(Reason::Version);
    }
    let body = checked(bytes)?;
    let says = body.get(5..).and_then(|rest| {
        let (source, rest) = (first::<8>(rest)?, rest.get(8..)?);
        let (from, rest) = number(rest)?;
        let (long, _) = number(rest)?;
        // Signed numbers are zig-zag encoded.
        let from_ms = (from >> 1).cast_signed() ^ -(from & 1).cast_signed();
        Some((u64::from_le_bytes(source), from_ms, from_ms.checked_add_unsigned(long)?))
    });
    if says == Some((source, from_ms, to_ms)) { Ok(()) } else { Err(Reason::Mismatched) }
}

/// All but the checksum at the end, when that is right.
fn checked(bytes: &[u8]) -> Result<&[u8], Reason> {
    let (body, found) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Reason::Truncated)?;
    if u32::from_le_bytes(*found) == crc32fast::hash(body) { Ok(body) } else { Err(Reason::Torn) }
}

fn first<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk().copied()
}

/// An unsigned LEB128 number, and the bytes after it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * i as u32)?;
        if *byte < 0x80 {
            return Some((value, bytes.get(i + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sentinel_core::{Clock, Event, Sentinel};

    fn block(at: i64) -> (u64, Vec<u8>) {
        let sentinel = Sentinel::builder().clock(Clock::manual(at)).build().unwrap();
        sentinel.record(Event { tenant: b"acme", endpoint: "/", status: 500, ..Event::default() });
        (sentinel.source(), sentinel.blocks()[0].encode())
    }

    #[test]
    fn a_block_of_the_core_is_one() {
        for at in [0, 1_700_000_000_000, 1_000, 9_999] {
            let (source, bytes) = block(at);
            let from = at.div_euclid(10_000) * 10_000;
            assert_eq!(check_block(&bytes, source, from, from + 10_000), Ok(()));
            for (source, from, to) in
                [(source ^ 1, from, from + 10_000), (source, from + 1, from + 10_000), (source, from, from + 9_999)]
            {
                assert_eq!(check_block(&bytes, source, from, to), Err(Reason::Mismatched));
            }
        }
    }

    #[test]
    fn another_version_says_so_before_its_checksum_does() {
        let (source, mut bytes) = block(0);
        bytes[4] = 9;
        assert_eq!(check_block(&bytes, source, 0, 10_000), Err(Reason::Version));
        let mut live = frame(Kind::Live, b"x");
        live[4] = 9;
        assert_eq!(unframe(Kind::Live, &live), Err(Reason::Version));
    }

    proptest! {
        #[test]
        fn what_is_framed_comes_back_and_nothing_else_does(bytes: Vec<u8>, at: usize, bit in 0_u8..8, cut: usize) {
            let framed = frame(Kind::Baseline, &bytes);
            prop_assert_eq!(unframe(Kind::Baseline, &framed), Ok(&bytes[..]));
            let mut flipped = framed.clone();
            let at = at % flipped.len();
            flipped[at] ^= 1 << bit;
            prop_assert!(unframe(Kind::Baseline, &flipped).is_err());
            prop_assert_eq!(unframe(Kind::Baseline, &framed[..cut % framed.len()]), Err(Reason::Truncated));
            prop_assert!(unframe(Kind::Baseline, &[&framed[..], &[0]].concat()).is_err());
        }

        #[test]
        fn a_flipped_bit_or_a_cut_of_a_block_is_noticed(at: usize, bit in 0_u8..8, cut: usize) {
            let (source, bytes) = block(0);
            let mut flipped = bytes.clone();
            let at = at % flipped.len();
            flipped[at] ^= 1 << bit;
            prop_assert!(check_block(&flipped, source, 0, 10_000).is_err());
            prop_assert!(check_block(&bytes[..cut % bytes.len()], source, 0, 10_000).is_err());
        }

        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>) {
            prop_assert!(unframe(Kind::Live, &bytes).is_err());
            prop_assert!(check_block(&bytes, 0, 0, 1).is_err());
        }
    }
}
