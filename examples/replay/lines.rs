//! From bytes to requests: opens the input, cuts it into bounded lines, reads one request from each.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;
use sentinel_core::Latency;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

/// A longer line is skipped without being stored: one line may not decide how much memory is needed.
const LONGEST_LINE: usize = 64 * 1024;
const BUFFER: usize = 128 * 1024;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The end of the year 9999: what is later is not in milliseconds, and one such line would carry the clock away.
pub(crate) const LATEST_MS: i64 = 253_402_300_799_999;

/// Opens a file, or standard input for `-`; gzip is told by its first bytes.
pub(crate) fn open(path: &Path, progress: &ProgressBar) -> io::Result<Box<dyn BufRead>> {
    let mut source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(progress.wrap_read(io::stdin()))
    } else {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if metadata.is_file() {
            progress.set_length(metadata.len());
        }
        Box::new(progress.wrap_read(file))
    };
    let mut head = Vec::with_capacity(GZIP.len());
    source.by_ref().take(GZIP.len() as u64).read_to_end(&mut head)?;
    let gzip = head == GZIP;
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(head).chain(source));
    Ok(if gzip { Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(whole))) } else { Box::new(whole) })
}

/// Lines of bounded length, in one buffer that is used again.
pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    number: u64,
}

pub(crate) enum Line<'a> {
    /// A line without its line feed.
    Text(&'a [u8]),
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), number: 0 }
    }

    /// The number of the line that was read last, or in which reading failed.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line; what stands before an error in the middle of a line is not a line.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.number += 1;
        self.buffer.clear();
        let most = LONGEST_LINE + 1; // with its line feed
        self.input.by_ref().take(most as u64).read_until(b'\n', &mut self.buffer)?;
        if self.buffer.is_empty() {
            self.number -= 1;
            return Ok(None);
        }
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        } else if self.buffer.len() == most {
            self.input.skip_until(b'\n')?;
            return Ok(Some(Line::TooLong));
        }
        let text = self.buffer.as_slice();
        Ok(Some(Line::Text(match text.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if self.number == 1 => rest,
            _ => text,
        })))
    }
}

/// One line as the Sentinel takes it.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Empty when the line names none: the core calls that `unattributed`.
    pub(crate) tenant: Cow<'a, str>,
    pub(crate) endpoint: Cow<'a, str>,
    /// 0, which the core drops and counts, for a number that no status has room for.
    pub(crate) status: u16,
    pub(crate) latency: Latency,
    pub(crate) timestamp: i64,
}

/// Reads a line; `Ok(None)` for a blank one, else the reason why it is malformed.
pub(crate) fn parse(line: &[u8]) -> Result<Option<Request<'_>>, String> {
    let text =
        std::str::from_utf8(line).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to() + 1))?.trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    // serde would also take an array of the fields in their order.
    if !text.starts_with('{') {
        return Err("not a JSON object".to_owned());
    }
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|e| json_reason(&e))?;
    let tenant = match fields.tenant_id {
        Scalar::Absent => Cow::Borrowed(""),
        Scalar::Text(text) => text,
        Scalar::Whole(id) => Cow::Owned(id.to_string()),
        Scalar::Fraction(_) => return Err("tenant_id is neither a text nor a whole number".to_owned()),
    };
    let endpoint = match fields.endpoint {
        Scalar::Absent => Cow::Borrowed(""),
        Scalar::Text(text) => text,
        _ => return Err("endpoint is not a text".to_owned()),
    };
    let status = fields.status_code.whole("status_code")?;
    let latency = match fields.latency_ms {
        Scalar::Absent => Latency::UNKNOWN,
        Scalar::Whole(ms) => Latency::from_millis(ms as f64),
        Scalar::Fraction(ms) => Latency::from_millis(ms),
        Scalar::Text(_) => return Err("latency_ms is not a number".to_owned()),
    };
    let timestamp = i64::try_from(fields.timestamp.whole("timestamp")?)
        .ok()
        .filter(|ms| (0..=LATEST_MS).contains(ms))
        .ok_or("timestamp is not in Unix milliseconds")?;
    Ok(Some(Request { tenant, endpoint, status: u16::try_from(status).unwrap_or(0), latency, timestamp }))
}

/// The message of `serde_json`, without the line number (each text is one line) and cut to the width of a terminal.
fn json_reason(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(reason, _)| reason);
    let mut reason: String = said.chars().take(160).collect();
    if reason.len() < said.len() {
        reason.push('…');
    }
    format!("{reason} (column {})", error.column())
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    tenant_id: Scalar<'a>,
    #[serde(borrow, default)]
    endpoint: Scalar<'a>,
    #[serde(borrow, default)]
    status_code: Scalar<'a>,
    #[serde(borrow, default)]
    latency_ms: Scalar<'a>,
    #[serde(borrow, default)]
    timestamp: Scalar<'a>,
}

/// A value of a field, borrowed from the line where it has no escapes.
#[derive(Default)]
enum Scalar<'a> {
    /// Missing or null.
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Whole(i128),
    Fraction(f64),
}

impl Scalar<'_> {
    fn whole(&self, field: &str) -> Result<i128, String> {
        match *self {
            Self::Whole(n) => Ok(n),
            // A cast saturates: what is far too large stays so.
            Self::Fraction(n) if n.fract() == 0.0 => Ok(n as i128),
            Self::Absent => Err(format!("{field} is missing")),
            _ => Err(format!("{field} is not a whole number")),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Absent)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Whole(n.into()))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Whole(n.into()))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Fraction(n))
    }
}
