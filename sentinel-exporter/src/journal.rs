//! What must survive whoever wrote it: values by name in a file that is only ever appended to, with a checksum a frame.
//!
//! A frame is a batch: all of it is there after a crash or nothing of it. What was torn is cut off by whoever opens the file next.
//! When the frames have grown to a multiple of what they hold, a new file of one frame takes the place of the old one.
//!
//! ```text
//! SNTJ 1 0 0 0 │ length u32 │ crc32 u32 │ (name length u8, name, value length u32, value)… │ length …
//! ```

use crate::flock::FileLock;
use crate::rollup::{Name, Opened, Place, StoreError, create, failed, refused, remove};
use rustix::fs::{Mode, OFlags, ftruncate, openat, renameat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};

const HEADER: [u8; 8] = *b"SNTJ\x01\0\0\0";
/// Length and checksum of a frame.
const FRAME: usize = 8;
/// Bytes of a file that are read, and of a frame that is written.
const MOST: usize = 64 << 20;
/// A file is made anew when it is larger than this, and than so many times what it holds.
const SMALL: usize = 1 << 20;
const TIMES: usize = 4;
/// The length of a value that is no more.
const GONE: u32 = u32::MAX;

/// Values by name.
pub(crate) type Values = BTreeMap<String, Vec<u8>>;

/// A journal that this process writes; nobody else does while it is open.
///
/// A value is removed by putting `None`.
#[derive(Debug)]
pub(crate) struct Journal {
    place: Place,
    name: Name,
    open: Open,
    values: Values,
    /// Bytes at its end that were no whole frame when it was opened.
    torn: u64,
}

#[derive(Debug)]
struct Open {
    dir: OwnedFd,
    file: File,
    /// Where the next frame begins.
    length: usize,
    /// Something may stand behind that.
    half: bool,
    lock: FileLock,
}

impl Journal {
    /// Opens it, or makes it. A file that cannot be read at all is put aside, as `.bad`.
    pub(crate) fn open(place: &Place, name: Name) -> Result<Self, StoreError> {
        let Opened { fd: dir, .. } = place.open()?;
        let private = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let lock = FileLock::take(|| openat(&dir, Name::State.to_string(), flags | OFlags::RDONLY, private))
            .map_err(|error| refused(Name::State, error))?;
        let make = || openat(&dir, name.to_string(), flags | OFlags::RDWR, private);
        let mut file = File::from(make().map_err(|error| failed(name, "open", error))?);
        let bytes = content(&file, name)?;
        let (values, length) = if let Some(parsed) = parse(&bytes) {
            parsed
        } else {
            renameat(&dir, name.to_string(), &dir, format!("{name}.bad"))
                .map_err(|error| failed(name, "put aside", error))?;
            file = File::from(make().map_err(|error| failed(name, "make", error))?);
            (Values::new(), 0)
        };
        let torn = (bytes.len() - length.min(bytes.len())) as u64;
        let mut journal =
            Self { place: place.clone(), name, open: Open { dir, file, length, half: false, lock }, values, torn };
        if journal.open.length < HEADER.len() {
            journal.begin()?;
        } else if torn > 0 {
            journal.cut()?;
        }
        Ok(journal)
    }

    /// What another process has written, up to now.
    pub(crate) fn read(place: &Place, name: Name) -> Result<Values, StoreError> {
        let Opened { fd: dir, .. } = place.open()?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match openat(&dir, name.to_string(), flags, Mode::empty()) {
            Ok(fd) => Ok(parse(&content(&File::from(fd), name)?).unwrap_or_default().0),
            Err(Errno::NOENT) => Ok(Values::new()),
            Err(error) => Err(failed(name, "open", error)),
        }
    }

    /// What it holds.
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// Bytes that were lost because whoever wrote them did not come to their end, or somebody else has changed them.
    pub(crate) fn torn(&self) -> u64 {
        self.torn
    }

    /// Whether it is still the file that others read: somebody may have removed the directory.
    pub(crate) fn is_there(&self) -> bool {
        self.open.lock.is_ours()
            && self.place.open().is_ok_and(|opened| self.open.lock.is_at(&opened.fd, &Name::State.to_string()))
    }

    /// Writes all of this or nothing; when it returns, the end of this process does not take it away. That of the system may: waiting for
    /// a disk would keep who asks waiting for seconds where it is busy.
    pub(crate) fn put(&mut self, batch: Vec<(String, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        let frame = self.frame(batch.iter().map(|(name, value)| (name.as_str(), value.as_deref())))?;
        if self.open.length + frame.len() > MOST {
            return Err(self.too_large(self.open.length + frame.len(), MOST));
        }
        if self.open.half {
            self.cut()?;
        }
        // What is half there must not stand before what comes next.
        self.open.half = true;
        self.open.file.write_all(&frame).map_err(|error| self.cannot("write", &error))?;
        self.open.half = false;
        self.open.length += frame.len();
        for (name, value) in batch {
            match value {
                Some(value) => self.values.insert(name, value),
                None => self.values.remove(&name),
            };
        }
        let held: usize = self.values.iter().map(|(name, value)| name.len() + value.len() + 5).sum();
        if self.open.length > SMALL.max(TIMES * held) {
            // Where there is no room for two, the old one does; the next one tries again.
            let _ = self.compact();
        }
        Ok(())
    }

    /// As if the disk were full from now on.
    #[cfg(test)]
    pub(crate) fn fill(&mut self) {
        if let Ok(full) = File::options().write(true).open("/dev/full") {
            self.open.file = full;
        }
    }

    fn frame<'a>(&self, batch: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> Result<Vec<u8>, StoreError> {
        let mut frame = vec![0; FRAME];
        for (name, value) in batch {
            let short = u8::try_from(name.len()).map_err(|_| self.too_large(name.len(), u8::MAX.into()))?;
            frame.push(short);
            frame.extend_from_slice(name.as_bytes());
            let length = value.map_or(Some(GONE), |value| u32::try_from(value.len()).ok().filter(|len| *len < GONE));
            frame.extend_from_slice(&length.ok_or_else(|| self.too_large(usize::MAX, MOST))?.to_le_bytes());
            frame.extend_from_slice(value.unwrap_or_default());
        }
        let length = frame.len() - FRAME;
        if frame.len() + HEADER.len() > MOST {
            return Err(self.too_large(length, MOST));
        }
        frame[..4].copy_from_slice(&(length as u32).to_le_bytes());
        let checksum = checksum(&frame);
        frame[4..FRAME].copy_from_slice(&checksum.to_le_bytes());
        Ok(frame)
    }

    fn cannot(&self, doing: &'static str, error: &io::Error) -> StoreError {
        StoreError::File { file: self.name.to_string(), doing, kind: error.kind() }
    }

    fn too_large(&self, bytes: usize, most: usize) -> StoreError {
        StoreError::TooLarge { file: self.name.to_string(), bytes, most }
    }

    /// Makes the file end with its last whole frame.
    fn cut(&mut self) -> Result<(), StoreError> {
        ftruncate(&self.open.file, self.open.length as u64).map_err(|error| failed(self.name, "cut", error))?;
        let sought = self.open.file.seek(SeekFrom::Start(self.open.length as u64));
        sought.map_err(|error| self.cannot("cut", &error))?;
        self.open.half = false;
        Ok(())
    }

    /// An empty one.
    fn begin(&mut self) -> Result<(), StoreError> {
        self.open.length = 0;
        self.cut()?;
        self.open.file.write_all(&HEADER).map_err(|error| self.cannot("write", &error))?;
        self.open.length = HEADER.len();
        Ok(())
    }

    /// A new file of one frame in the place of this one.
    fn compact(&mut self) -> Result<(), StoreError> {
        let frame = self.frame(self.values.iter().map(|(name, value)| (name.as_str(), Some(value.as_slice()))))?;
        let bytes = [&HEADER[..], &frame].concat();
        let temporary = Name::Temporary { source: u64::from(std::process::id()), number: 0 };
        let hidden = temporary.to_string();
        let new =
            create(self.open.dir.as_fd(), &hidden, OFlags::RDWR).map_err(|error| failed(self.name, "make", error))?;
        let mut new = File::from(new);
        let written = new.write_all(&bytes);
        let moved =
            written.and_then(|()| Ok(renameat(&self.open.dir, &hidden, &self.open.dir, self.name.to_string())?));
        if let Err(error) = moved {
            let _ = remove(self.open.dir.as_fd(), temporary);
            return Err(self.cannot("replace", &error));
        }
        // The one that was written, whatever has the name by now.
        (self.open.file, self.open.length, self.open.half) = (new, bytes.len(), false);
        Ok(())
    }
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(&frame[..4]);
    hash.update(&frame[FRAME..]);
    hash.finalize()
}

fn content(file: &File, name: Name) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let read = file.take(MOST as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| StoreError::File { file: name.to_string(), doing: "read", kind: error.kind() })?;
    Ok(bytes)
}

/// What the whole frames from its beginning hold, and where they end; `None` when it is no journal that this version reads.
fn parse(bytes: &[u8]) -> Option<(Values, usize)> {
    if bytes.len() < HEADER.len() {
        // Whoever made it was stopped at once.
        return HEADER.starts_with(bytes).then_some((Values::new(), 0));
    }
    if bytes[..HEADER.len()] != HEADER || bytes.len() > MOST {
        return None;
    }
    let (mut values, mut at) = (Values::new(), HEADER.len());
    while let Some(batch) = next(&bytes[at..]) {
        at += FRAME + batch.len();
        for (name, value) in entries(batch) {
            match value {
                Some(value) => values.insert(name.into(), value.into()),
                None => values.remove(name),
            };
        }
    }
    Some((values, at))
}

/// The frame at the beginning, if it is whole.
fn next(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let frame = bytes.get(..FRAME.checked_add(length)?)?;
    let found = u32::from_le_bytes(frame[4..FRAME].try_into().ok()?);
    let batch = &frame[FRAME..];
    // A checksum says that it is what was written; that it can be read is seen before any of it is believed.
    (found == checksum(frame)
        && entries(batch).map(|(name, value)| 5 + name.len() + value.map_or(0, <[u8]>::len)).sum::<usize>()
            == batch.len())
    .then_some(batch)
}

/// Names and values, as far as they can be read.
fn entries(mut batch: &[u8]) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
    std::iter::from_fn(move || {
        let (length, rest) = batch.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (length, rest) = rest.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?);
        let (value, rest) = if length == GONE {
            (None, rest)
        } else {
            rest.split_at_checked(length as usize).map(|(value, rest)| (Some(value), rest))?
        };
        batch = rest;
        Some((std::str::from_utf8(name).ok()?, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Path, PathBuf};

    fn place(dir: &Path) -> Place {
        std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        Place::new(Some(dir), "shop").unwrap()
    }

    fn file(place: &Place) -> PathBuf {
        place.path().join("alerts.journal")
    }

    fn put(journal: &mut Journal, name: &str, value: Option<&[u8]>) {
        journal.put(vec![(name.into(), value.map(Into::into))]).unwrap();
    }

    #[test]
    fn it_is_read_back_and_only_one_writes() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path());
        assert_eq!(Journal::read(&place, Name::Alerts).unwrap(), Values::new());
        let mut journal = Journal::open(&place, Name::Alerts).unwrap();
        put(&mut journal, "a", Some(b"1"));
        put(&mut journal, "b", Some(b""));
        put(&mut journal, "a", Some(b"2"));
        put(&mut journal, "c", Some(b"3"));
        put(&mut journal, "c", None);
        let wanted = Values::from([("a".into(), b"2".to_vec()), ("b".into(), vec![])]);
        assert_eq!(journal.values(), &wanted);
        assert_eq!(Journal::read(&place, Name::Alerts).unwrap(), wanted);
        assert!(matches!(Journal::open(&place, Name::Alerts), Err(StoreError::Lock { .. })));
        assert!(journal.is_there());
        drop(journal);
        assert_eq!(Journal::open(&place, Name::Alerts).unwrap().values(), &wanted);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path());
        let mut journal = Journal::open(&place, Name::Alerts).unwrap();
        for number in 0..200_u8 {
            put(&mut journal, "a", Some(&vec![number; 100_000]));
        }
        let size = std::fs::metadata(file(&place)).unwrap().len();
        assert!(size < (SMALL + 200_000) as u64, "{size}");
        put(&mut journal, "b", Some(b"after"));
        drop(journal);
        let journal = Journal::open(&place, Name::Alerts).unwrap();
        assert_eq!((journal.values()["a"][0], &journal.values()["b"][..]), (199, &b"after"[..]));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_of_something_else_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path());
        drop(Journal::open(&place, Name::Alerts).unwrap());
        for content in [&b"something else"[..], b"SNTJ\x02\0\0\0"] {
            std::fs::write(file(&place), content).unwrap();
            assert_eq!(Journal::read(&place, Name::Alerts).unwrap(), Values::new());
            let mut journal = Journal::open(&place, Name::Alerts).unwrap();
            put(&mut journal, "a", Some(b"1"));
            assert_eq!(std::fs::read(place.path().join("alerts.journal.bad")).unwrap(), content);
            drop(journal);
            assert_eq!(Journal::open(&place, Name::Alerts).unwrap().values().len(), 1);
        }
    }

    #[test]
    fn a_full_disk_is_an_error_and_what_was_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path());
        let mut journal = Journal::open(&place, Name::Alerts).unwrap();
        put(&mut journal, "a", Some(b"1"));
        let full = std::mem::replace(&mut journal.open.file, File::options().write(true).open("/dev/full").unwrap());
        assert!(journal.put(vec![("a".into(), Some(b"2".to_vec()))]).is_err());
        assert_eq!(journal.values()["a"], b"1");
        assert!(journal.put(vec![("a".into(), Some(b"2".to_vec()))]).is_err());
        journal.open.file = full;
        journal.open.file.write_all(b"half of it").unwrap();
        put(&mut journal, "b", Some(b"3"));
        drop(journal);
        assert_eq!(Journal::open(&place, Name::Alerts).unwrap().values().len(), 2);
        let long = "x".repeat(300);
        let mut journal = Journal::open(&place, Name::Alerts).unwrap();
        assert!(matches!(journal.put(vec![(long, None)]), Err(StoreError::TooLarge { bytes: 300, most: 255, .. })));
    }

    #[test]
    fn who_has_lost_the_directory_knows_it() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path());
        let journal = Journal::open(&place, Name::Alerts).unwrap();
        std::fs::remove_dir_all(place.path()).unwrap();
        assert!(!journal.is_there());
    }

    type Batch = Vec<(String, Option<Vec<u8>>)>;

    fn batches() -> impl Strategy<Value = Vec<Batch>> {
        let entry = ("[a-d]", proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)));
        proptest::collection::vec(proptest::collection::vec(entry, 0..4), 1..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Cut anywhere or changed anywhere, it holds what whole batches before that place say, and is written on.
        #[test]
        fn what_is_torn_is_left_out_by_whole_batches(batches in batches(), at: prop::sample::Index, flip: bool) {
            let dir = tempfile::tempdir().unwrap();
            let place = place(dir.path());
            let mut journal = Journal::open(&place, Name::Alerts).unwrap();
            let (mut ends, mut states) = (vec![HEADER.len()], vec![Values::new()]);
            for batch in &batches {
                journal.put(batch.clone()).unwrap();
                ends.push(journal.open.length);
                states.push(journal.values.clone());
            }
            drop(journal);
            let mut bytes = std::fs::read(file(&place)).unwrap();
            let at = HEADER.len() + at.index(bytes.len() - HEADER.len() + 1);
            if flip && at < bytes.len() {
                bytes[at] ^= 0x10;
            } else {
                bytes.truncate(at);
            }
            std::fs::write(file(&place), &bytes).unwrap();
            let whole = ends.iter().rposition(|end| *end <= at).unwrap();
            prop_assert_eq!(&Journal::read(&place, Name::Alerts).unwrap(), &states[whole]);
            let mut journal = Journal::open(&place, Name::Alerts).unwrap();
            prop_assert_eq!(journal.values(), &states[whole]);
            prop_assert_eq!(journal.torn(), (bytes.len() - ends[whole]) as u64);
            put(&mut journal, "z", Some(b"after"));
            drop(journal);
            let journal = Journal::open(&place, Name::Alerts).unwrap();
            prop_assert_eq!(&journal.values()["z"], b"after");
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, framed: bool) {
            let _ = parse(&bytes);
            if framed {
                let mut frame = vec![0; FRAME];
                frame.extend_from_slice(&bytes);
                frame[..4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
                let sum = checksum(&frame);
                frame[4..FRAME].copy_from_slice(&sum.to_le_bytes());
                prop_assert!(parse(&[&HEADER[..], &frame].concat()).is_some());
            }
        }
    }
}
