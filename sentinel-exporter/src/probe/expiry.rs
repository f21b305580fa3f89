//! The date when a certificate expires. Only that field is read here, and only for a reminder; `rustls` decides whether a
//! certificate is believed, and does not give the date of one that it accepts.

use sentinel_core::civil::CivilDate;

/// The end of a certificate's validity, Unix ms; `None` if the bytes are no certificate.
pub(super) fn expires_ms(certificate: &[u8]) -> Option<i64> {
    let (inner, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(inner, SEQUENCE)?;
    // The version, which a very old certificate does not have.
    if let Some((_, after)) = element(rest, VERSION_TAG) {
        rest = after;
    }
    for kind in [INTEGER, SEQUENCE, SEQUENCE] {
        // Serial number, signature, issuer.
        rest = element(rest, kind)?.1;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, after) = element(validity, UTC_TIME).or_else(|| element(validity, GENERALIZED_TIME))?;
    let seconds = if let Some((text, _)) = element(after, UTC_TIME) {
        let year = i64::from(digits(text.get(..2)?)?);
        unix(year + if year < 50 { 2_000 } else { 1_900 }, &text[2..])
    } else {
        let (text, _) = element(after, GENERALIZED_TIME)?;
        unix(i64::from(digits(text.get(..4)?)?), &text[4..])
    };
    Some(seconds? * 1_000)
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION_TAG: u8 = 0xa0;

/// Content of the first element, which must have this tag, and the bytes that follow the element.
fn element(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if found == kind { rest.split_at_checked(length) } else { None }
}

fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

/// Unix seconds of a year and the rest of a moment, as `0102030405Z`.
fn unix(year: i64, rest: &[u8]) -> Option<i64> {
    let [fields @ .., b'Z'] = rest else { return None };
    if fields.len() != 10 {
        return None;
    }
    let field = |at: usize, range: std::ops::RangeInclusive<u32>| {
        digits(&fields[at..at + 2]).filter(|value| range.contains(value)).map(i64::from)
    };
    let (month, day) = (field(0, 1..=12)?, field(2, 1..=31)?);
    let (hour, minute, second) = (field(4, 0..=23)?, field(6, 0..=59)?, field(8, 0..=59)?);
    let days = CivilDate { year, month, day }.days_since_1970();
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use std::time::Duration;

    proptest! {
        #[test]
        fn it_is_what_was_written(year in 1950..9_999_i32, month in 1..=12_u8, day in 1..=28_u8, second in 0..86_400_u64) {
            let mut params = CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
            params.not_after = date_time_ymd(year, month, day) + Duration::from_secs(second);
            let expires_ms = params.not_after.unix_timestamp() * 1_000;
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            prop_assert_eq!(super::expires_ms(certificate.der()), Some(expires_ms));
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            super::expires_ms(&bytes);
        }
    }

    #[test]
    fn every_day_of_four_centuries_has_a_place() {
        let first = date_time_ymd(1970, 1, 1);
        for day in 0..146_097_i64 {
            let date = first + Duration::from_secs(day as u64 * 86_400);
            let rest = format!("{:02}{:02}000000Z", u8::from(date.month()), date.day());
            assert_eq!(unix(i64::from(date.year()), rest.as_bytes()), Some(day * 86_400), "{date}");
        }
    }

    #[test]
    fn what_is_cut_off_or_altered_is_survived() {
        let params = CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
        let whole = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        assert_eq!(expires_ms(&whole[..whole.len() - 1]), None);
        for at in 0..whole.len().min(300) {
            assert!(expires_ms(&whole[..at]).is_none());
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut altered = whole.clone();
                altered[at] = byte;
                expires_ms(&altered);
            }
        }
    }
}
