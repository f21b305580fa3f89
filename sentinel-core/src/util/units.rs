//! Numbers as people write and read them: durations, sizes, percentages, counts.

use super::error::ConfigError;
use std::time::Duration;

/// A duration as people write it: `10m`, `90s`, `250ms`, `1h`, or plain seconds.
///
/// # Errors
/// A [`ConfigError`] for anything else.
///
/// ```
/// use sentinel_core::parse_duration;
/// use std::time::Duration;
///
/// assert_eq!(parse_duration("10m")?, Duration::from_secs(600));
/// assert_eq!(parse_duration("0.5")?, Duration::from_millis(500));
/// assert!(parse_duration("soon").is_err());
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, ConfigError> {
    let units = [("ms", 0.001), ("us", 1e-6), ("h", 3_600.0), ("m", 60.0), ("s", 1.0), ("", 1.0)];
    let seconds = scaled(text, &units).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    // Whole microseconds: 0.001 · 250 is not 0.25 in binary.
    let rounded =
        seconds.and_then(|duration| Duration::try_from_secs_f64((duration.as_secs_f64() * 1e6).round() / 1e6).ok());
    rounded
        .ok_or_else(|| ConfigError::new("duration", format!("{text:?}"), "seconds, or a number with us, ms, s, m or h"))
}

/// A size as people write it: `64MiB`, `512KiB`, `1GiB`, `8MB`, or plain bytes.
///
/// # Errors
/// A [`ConfigError`] for anything else.
///
/// ```
/// use sentinel_core::parse_size;
///
/// assert_eq!(parse_size("64MiB")?, 64 << 20);
/// assert_eq!(parse_size("65536")?, 65_536);
/// assert!(parse_size("-1").is_err());
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
pub fn parse_size(text: &str) -> Result<usize, ConfigError> {
    let (ki, k) = (1_024.0_f64, 1_000.0_f64);
    let units = [
        ("KiB", ki),
        ("MiB", ki * ki),
        ("GiB", ki * ki * ki),
        ("kB", k),
        ("KB", k),
        ("MB", k * k),
        ("GB", k * k * k),
        ("B", 1.0),
        ("", 1.0),
    ];
    let bytes = scaled(text, &units).filter(|bytes| *bytes < 2.0_f64.powi(53));
    bytes.map(|bytes| bytes as usize).ok_or_else(|| {
        ConfigError::new("size", format!("{text:?}"), "bytes, or a number with KiB, MiB, GiB, kB, MB or GB")
    })
}

/// The number in `text`, at least 0, times the factor of the first unit that `text` ends with.
fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let (number, scale) = units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    let number = number.trim_end();
    let plain =
        number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let value = number.parse::<f64>().ok().filter(|_| plain)?;
    Some(value * scale)
}

/// A share (0 to 1) as `68%`: one decimal below 10 % unless it is whole, two below 0.1 %; 0 % and 100 % only for exactly 0 and 1.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let decimals = match percent {
        p if p == 0.0 || p >= 100.0 => 0,
        p if p < 0.005 => return "<0.01%".into(),
        p if p >= 99.95 => return ">99.9%".into(),
        p if p < 0.1 => 2,
        p if p < 10.0 && (p - p.round()).abs() >= 0.05 || p >= 99.5 => 1,
        _ => 0,
    };
    format!("{percent:.decimals$}%")
}

/// The share of `part` in `whole` as [`percent`] writes it; `0%` of 0.
pub(crate) fn percent_of(part: u64, whole: u64) -> String {
    if whole == 0 { "0%".into() } else { percent(part as f64 / whole as f64) }
}

/// A count with its digits grouped: `12,345`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A length of time in ms in the largest unit that divides it: `30 seconds`, `2 minutes`, `1 hour`.
pub(crate) fn span(ms: u64) -> String {
    let (count, unit) = match ms {
        ms if ms % 3_600_000 == 0 && ms > 0 => (ms / 3_600_000, "hour"),
        ms if ms % 60_000 == 0 && ms > 0 => (ms / 60_000, "minute"),
        ms => (ms / 1_000, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let shown = [0.0, 0.000_02, 0.000_4, 0.002, 0.003, 0.05, 0.051, 0.68, 0.995, 0.999, 0.999_8, 1.0].map(percent);
        assert_eq!(
            shown,
            ["0%", "<0.01%", "0.04%", "0.2%", "0.3%", "5%", "5.1%", "68%", "99.5%", "99.9%", ">99.9%", "100%"]
        );
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [10_000, 60_000, 120_000, 90_000, 3_600_000].map(span),
            ["10 seconds", "1 minute", "2 minutes", "90 seconds", "1 hour"]
        );
    }

    #[test]
    fn durations_and_sizes() {
        for (text, ms) in
            [("10m", 600_000), ("90s", 90_000), ("250ms", 250), ("1h", 3_600_000), ("600", 600_000), (" 2 s ", 2_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1", "1d", "1e400", "inf", "nan", "1 2s", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for (text, bytes) in
            [("64MiB", 64 << 20), ("1GiB", 1 << 30), ("8MB", 8_000_000), ("512 KiB", 512 << 10), ("7", 7), ("7B", 7)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1TiB", "1e3", "99999999999999999999"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
