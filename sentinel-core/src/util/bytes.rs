//! Short strings of bytes, compared and mixed by words: a call of `memcmp` takes longer than the comparison itself.

/// Whether both have the same bytes.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // Up to 32 bytes are two words, of 8 or 16 bytes, which may overlap.
    match (ends(a, u64::from_ne_bytes), ends(b, u64::from_ne_bytes)) {
        (Some(a_ends), Some(b_ends)) if a.len() <= 16 => a_ends == b_ends,
        (Some(_), Some(_)) => {
            ends(a, u128::from_ne_bytes) == ends(b, u128::from_ne_bytes) && (a.len() <= 32 || rest_is_same(a, b))
        }
        _ => a.iter().zip(b).all(|(a, b)| a == b),
    }
}

/// The first and the last word; they may overlap. `None` when the bytes are shorter than a word.
#[inline]
fn ends<T, const N: usize>(bytes: &[u8], word: impl Fn([u8; N]) -> T) -> Option<(T, T)> {
    Some((word(*bytes.first_chunk()?), word(*bytes.last_chunk()?)))
}

/// Compares long strings; the ends are known to be equal.
#[inline(never)]
fn rest_is_same(a: &[u8], b: &[u8]) -> bool {
    a == b
}

/// A number to pick a place by, which nearly always differs when lengths, first words or last words differ.
#[inline]
pub(crate) fn mix(bytes: &[u8]) -> u64 {
    let (first, last) = match (bytes.split_first_chunk::<8>(), bytes.split_last_chunk::<8>()) {
        (Some((first, _)), Some((_, last))) => (word(*first), word(*last)),
        _ => (bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)), 0),
    };
    (first ^ last.rotate_left(23) ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline]
fn word(bytes: [u8; 8]) -> u64 {
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_are_compared_like_bytes(a in prop::collection::vec(0..2_u8, 0..40), b in prop::collection::vec(0..2_u8, 0..40)) {
            prop_assert_eq!(same(&a, &b), a == b);
            prop_assert!(same(&a, &a.clone()) && mix(&a) == mix(&a.clone()));
        }

        /// One byte anywhere makes the difference.
        #[test]
        fn every_byte_counts(a in prop::collection::vec(any::<u8>(), 1..140), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut b = a.clone();
            b[at.index(a.len())] ^= 1 << bit;
            prop_assert!(!same(&a, &b));
        }
    }
}
