//! The log of probe results: a result is on disk before anybody is told of it. The log is only appended to, in parts, so that a part
//! that has grown can be made anew without a noticeable pause.
//!
//! ```text
//! SNTL 1 0 0 0 │ frame: entry… │ frame …
//! entry: 0 length u8, name           the checks are counted from 0 in each file, as they are named
//!        1 check u32, result (20)    one result, see CheckResult::to_bytes
//!        2 check u32, length u32, …  history and state of a check, in place of what was before
//!        3 moment i64                failures since then were this side's own, of all checks that are named so far
//!        4 length u32, …             what is known of all checks together
//!        5 check u32, length u32, …  state of a check, whenever that has changed
//! ```

use crate::host_dir::append::{self, AppendOnlyFile, FRAME_HEAD_BYTES, FileHeader, OPEN_FLAGS};
use crate::host_dir::writing::refused;
use crate::host_dir::{FileLock, Name, OpenedDir, Place, StoreError};
use rustix::fs::{Mode, OFlags, openat};
use sentinel_core::uptime::{CheckResult, Uptime};
use std::collections::HashMap;
use std::os::fd::OwnedFd;

const FILE_HEADER: FileHeader = *b"SNTL\x01\0\0\0";
/// Number of files; each holds a part of the checks.
const PART_COUNT: u8 = 16;
/// The part that holds the state of all checks together.
const SHARED_PART: u8 = 0;
/// A file is made anew when it is larger than this, and than so many times its size when it was made last.
const REWRITE_ABOVE_BYTES: usize = 16 << 10;
const REWRITE_FACTOR: usize = 2;
/// Time in ms after which a part that could not be written is tried again.
const RETRY_AFTER_MS: u64 = 10_000;

/// The log of a host. The process that holds it is the only one that writes.
#[derive(Debug)]
pub(crate) struct ResultLog {
    place: Place,
    dir: OwnedFd,
    lock: FileLock,
    parts: Vec<LogPart>,
    torn: u64,
}

#[derive(Debug)]
struct LogPart {
    name: Name,
    file: AppendOnlyFile,
    /// Numbers of the checks that are named in the file.
    numbers: HashMap<String, u32>,
    /// Bytes of the file when it was made last, or would be made now.
    made: usize,
    /// Entries of the next frame.
    pending: Vec<u8>,
    /// When a write failed last, Unix ms.
    failed_ms: Option<i64>,
}

impl ResultLog {
    /// Opens the log, and gives its results to `uptime`, which has the checks.
    ///
    /// # Errors
    /// Another process holds the log, or the directory cannot be used.
    pub(crate) fn open(place: &Place, uptime: &mut Uptime) -> Result<Self, StoreError> {
        let OpenedDir { fd: dir, .. } = place.open()?;
        let flags = OFlags::RDONLY | OFlags::CREATE | OPEN_FLAGS;
        let lock = FileLock::take(|| openat(&dir, Name::Probing.to_string(), flags, Mode::RUSR | Mode::WUSR))
            .map_err(|error| refused(Name::Probing, error))?;
        let mut log = Self { place: place.clone(), dir, lock, parts: Vec::new(), torn: 0 };
        let mut shared = None;
        for part in 0..PART_COUNT {
            let name = Name::Checks { part };
            let mut reading = LogReader::default();
            // A file that cannot be read must not be made anew: it holds 90 days. The next attempt to lead tries again.
            let (file, torn) = AppendOnlyFile::open(&log.dir, name, FILE_HEADER, |frame| reading.take(frame, uptime))?;
            log.torn += torn;
            shared = reading.shared.or(shared);
            let numbers = reading.names.into_iter().zip(0..).collect();
            log.parts.push(LogPart { name, file, numbers, made: 0, pending: Vec::new(), failed_ms: None });
        }
        resume(uptime, shared.as_deref());
        for check in uptime.names() {
            let Some(bytes) = uptime.encode(check) else { continue };
            let part = &mut log.parts[usize::from(part_of(check))];
            part.made += bytes.len();
            // A new check is written at once, so that its start is known later.
            if !part.numbers.contains_key(check) {
                part.check(2, check, &bytes);
            }
        }
        Ok(log)
    }

    /// Reads what another process has written until now.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) fn read(place: &Place, uptime: &mut Uptime) -> Result<(), StoreError> {
        let OpenedDir { fd: dir, .. } = place.open()?;
        let mut shared = None;
        for part in 0..PART_COUNT {
            let mut reading = LogReader::default();
            AppendOnlyFile::read(&dir, Name::Checks { part }, FILE_HEADER, |frame| reading.take(frame, uptime))?;
            shared = reading.shared.or(shared);
        }
        resume(uptime, shared.as_deref());
        Ok(())
    }

    /// Bytes that were lost because the process that wrote them ended.
    pub(crate) fn torn(&self) -> u64 {
        self.torn
    }

    /// Whether this process still holds the log.
    pub(crate) fn is_held(&mut self) -> bool {
        let Ok(OpenedDir { fd: dir, .. }) = self.place.open() else { return false };
        self.parts.iter_mut().for_each(|part| part.file.look(&dir));
        self.lock.is_ours() && self.lock.is_at(&dir, &Name::Probing.to_string())
    }

    /// Notes a result of a check, for the next [`ResultLog::write`].
    pub(crate) fn result(&mut self, check: &str, result: CheckResult) {
        let part = self.part_of(check);
        let number = part.number(check);
        part.entry(1).extend_from_slice(&number.to_le_bytes());
        part.pending.extend_from_slice(&result.to_bytes());
    }

    /// Notes the state of a check.
    pub(crate) fn state(&mut self, check: &str, uptime: &Uptime) {
        if let Some(bytes) = uptime.encode_state(check) {
            self.part_of(check).check(5, check, &bytes);
        }
    }

    /// Notes that failures since then were caused by this host's own network.
    pub(crate) fn disown(&mut self, since_ms: i64) {
        for part in self.parts.iter_mut().filter(|part| !part.numbers.is_empty()) {
            part.entry(3).extend_from_slice(&since_ms.to_le_bytes());
        }
    }

    /// Notes the state of all checks together.
    pub(crate) fn shared(&mut self, uptime: &Uptime) {
        self.parts[usize::from(SHARED_PART)].shared(uptime);
    }

    /// Writes all notes. A part that could not be written is made anew with the next notes.
    ///
    /// # Errors
    /// The last error.
    pub(crate) fn write(&mut self, uptime: &Uptime, now_ms: i64) -> Result<(), StoreError> {
        let mut done = Ok(());
        for (at, part) in self.parts.iter_mut().enumerate().filter(|(_, part)| !part.pending.is_empty()) {
            let mut frame = std::mem::take(&mut part.pending);
            // A full disk is not asked for a whole part with every result.
            if part.failed_ms.is_some_and(|failed| now_ms.abs_diff(failed) < RETRY_AFTER_MS) {
                continue;
            }
            let room = REWRITE_ABOVE_BYTES.max(REWRITE_FACTOR * part.made);
            let written = if part.file.length().is_some_and(|length| length + frame.len() <= room) {
                append::seal(&mut frame, 0, part.name).and_then(|()| part.file.append(&frame))
            } else {
                part.renew(at as u8, &self.dir, uptime)
            };
            part.failed_ms = written.is_err().then_some(now_ms);
            if let Err(error) = written {
                // The next write has to bring these notes along.
                part.file = AppendOnlyFile::new(part.name, FILE_HEADER);
                done = Err(error);
            }
        }
        done
    }

    /// Makes all files anew, for other checks.
    ///
    /// # Errors
    /// The last error.
    pub(crate) fn renew(&mut self, uptime: &Uptime) -> Result<(), StoreError> {
        let mut done = Ok(());
        for (at, part) in self.parts.iter_mut().enumerate() {
            let renewed = part.renew(at as u8, &self.dir, uptime);
            if renewed.is_err() {
                // The numbers of the checks differ now from those in the file.
                part.file = AppendOnlyFile::new(part.name, FILE_HEADER);
            }
            done = renewed.and(done);
        }
        done
    }

    fn part_of(&mut self, check: &str) -> &mut LogPart {
        &mut self.parts[usize::from(part_of(check))]
    }

    #[cfg(test)]
    pub(super) fn fill(&mut self) {
        self.parts.iter_mut().for_each(|part| part.file.fill());
    }
}

impl LogPart {
    fn entry(&mut self, kind: u8) -> &mut Vec<u8> {
        if self.pending.is_empty() {
            self.pending.resize(FRAME_HEAD_BYTES, 0);
        }
        self.pending.push(kind);
        &mut self.pending
    }

    /// The number of a check, which is named before it is used.
    fn number(&mut self, check: &str) -> u32 {
        if let Some(number) = self.numbers.get(check) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(check.into(), number);
        let out = self.entry(0);
        // At most 64 bytes: it was checked.
        out.push(check.len() as u8);
        out.extend_from_slice(check.as_bytes());
        number
    }

    fn check(&mut self, kind: u8, check: &str, bytes: &[u8]) {
        let number = self.number(check);
        let out = self.entry(kind);
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(bytes);
    }

    fn shared(&mut self, uptime: &Uptime) {
        let bytes = uptime.encode_shared();
        let out = self.entry(4);
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(&bytes);
    }

    /// Makes the file anew, with a frame for each check.
    fn renew(&mut self, at: u8, dir: &OwnedFd, uptime: &Uptime) -> Result<(), StoreError> {
        self.numbers.clear();
        let mut frames = Vec::new();
        for check in uptime.names().filter(|check| part_of(check) == at) {
            let Some(bytes) = uptime.encode(check) else { continue };
            self.pending.clear();
            self.check(2, check, &bytes);
            frames.extend_from_slice(&self.sealed()?);
        }
        if at == SHARED_PART {
            self.pending.clear();
            self.shared(uptime);
            frames.extend_from_slice(&self.sealed()?);
        }
        self.pending.clear();
        self.file.renew(dir, &frames)?;
        self.made = self.file.length().unwrap_or_default();
        Ok(())
    }

    fn sealed(&mut self) -> Result<Vec<u8>, StoreError> {
        let mut frame = std::mem::take(&mut self.pending);
        append::seal(&mut frame, 0, self.name)?;
        Ok(frame)
    }
}

fn part_of(check: &str) -> u8 {
    (crc32fast::hash(check.as_bytes()) % u32::from(PART_COUNT)) as u8
}

fn resume(uptime: &mut Uptime, shared: Option<&[u8]>) {
    // A state that cannot be read was written by another version: an outage that goes on is found anew.
    let _ = shared.map(|bytes| uptime.restore_shared(bytes));
}

/// Content of a file so far.
#[derive(Debug, Default)]
struct LogReader {
    names: Vec<String>,
    shared: Option<Vec<u8>>,
}

enum LogEntry<'a> {
    Name(&'a str),
    Result(u32, CheckResult),
    Check(u32, &'a [u8]),
    State(u32, &'a [u8]),
    Disown(i64),
    Shared(&'a [u8]),
}

impl LogReader {
    /// Takes a frame, if all of it can be read.
    fn take(&mut self, frame: &[u8], uptime: &mut Uptime) -> bool {
        let (mut rest, mut entries) = (frame, Vec::new());
        while !rest.is_empty() {
            let Some(entry) = entry(&mut rest) else { return false };
            entries.push(entry);
        }
        let named = entries.iter().filter(|entry| matches!(entry, LogEntry::Name(_))).count();
        let most = self.names.len() + named;
        if entries.iter().any(|entry| matches!(entry, LogEntry::Result(n, _) | LogEntry::Check(n, _) | LogEntry::State(n, _) if *n as usize >= most))
        {
            return false;
        }
        for entry in entries {
            let name = |number: u32| self.names.get(number as usize).map(String::as_str).unwrap_or_default();
            match entry {
                LogEntry::Name(name) => self.names.push(name.into()),
                // Results of checks that are not configured any more are dropped.
                LogEntry::Result(number, result) => _ = uptime.replay(name(number), result),
                // A history that cannot be read was written by another version: it begins anew.
                LogEntry::Check(number, bytes) => _ = uptime.restore(name(number), bytes),
                LogEntry::State(number, bytes) => _ = uptime.restore_state(name(number), bytes),
                LogEntry::Disown(since_ms) => self.names.iter().for_each(|name| uptime.disown_of(name, since_ms)),
                LogEntry::Shared(bytes) => self.shared = Some(bytes.into()),
            }
        }
        true
    }
}

fn entry<'a>(rest: &mut &'a [u8]) -> Option<LogEntry<'a>> {
    let kind = cut(rest, 1)?[0];
    Some(match kind {
        0 => {
            let length = usize::from(cut(rest, 1)?[0]);
            LogEntry::Name(std::str::from_utf8(cut(rest, length)?).ok()?)
        }
        1 => {
            let check = number(rest)?;
            LogEntry::Result(check, CheckResult::from_bytes(cut(rest, CheckResult::BYTES)?.try_into().ok()?).ok()?)
        }
        kind @ (2 | 5) => {
            let (check, length) = (number(rest)?, number(rest)?);
            let bytes = cut(rest, length as usize)?;
            if kind == 2 { LogEntry::Check(check, bytes) } else { LogEntry::State(check, bytes) }
        }
        3 => LogEntry::Disown(i64::from_le_bytes(cut(rest, 8)?.try_into().ok()?)),
        4 => {
            let length = number(rest)?;
            LogEntry::Shared(cut(rest, length as usize)?)
        }
        _ => return None,
    })
}

fn cut<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (part, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(part)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(cut(rest, 4)?.try_into().ok()?))
}
