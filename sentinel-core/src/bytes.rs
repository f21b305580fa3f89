//! Short strings of bytes, compared and mixed by words: a call takes longer than that.

/// Equal bytes.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (Some((first_a, _)), Some((first_b, _))) = (a.split_first_chunk::<8>(), b.split_first_chunk::<8>()) else {
        return a.iter().zip(b).all(|(a, b)| a == b);
    };
    let (Some((_, last_a)), Some((_, last_b))) = (a.split_last_chunk::<8>(), b.split_last_chunk::<8>()) else {
        return false;
    };
    let ends = (word(*first_a) ^ word(*first_b)) | (word(*last_a) ^ word(*last_b));
    ends == 0 && (a.len() <= 16 || a[8..].chunks_exact(8).zip(b[8..].chunks_exact(8)).all(|(a, b)| a == b))
}

/// A number that differs where lengths, beginnings or ends do, as a rule: to pick a place by.
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
