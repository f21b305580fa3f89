//! Values that must survive the process that wrote them: by name, in a file that is only appended to.
//!
//! A frame is a batch of values: after a crash all of it is there, or nothing of it. When the frames have grown to a multiple of the
//! values, a new file of one frame takes the place of the old one.
//!
//! ```text
//! SNTJ 1 0 0 0 │ frame: (name length u8, name, value length u32, value)… │ frame …
//! ```

use super::append::{self, AppendOnlyFile, FRAME_HEAD_BYTES, FileHeader, MAX_FILE_BYTES, OPEN_FLAGS};
use super::flock::FileLock;
use super::writing::refused;
use super::{Name, OpenedDir, Place, StoreError};
use rustix::fs::{Mode, OFlags, openat};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

const FILE_HEADER: FileHeader = *b"SNTJ\x01\0\0\0";
/// A file is made again when it is larger than this, and than so many times its values.
const REWRITE_ABOVE_BYTES: usize = 1 << 20;
const REWRITE_FACTOR: usize = 4;
/// Length that stands for a removed value.
const REMOVED_LENGTH: u32 = u32::MAX;

/// Values by name.
pub(crate) type JournalValues = BTreeMap<String, Vec<u8>>;

/// A journal that this process writes; no other process does while it is open. It holds every value that was put, written or not: the
/// next batch writes what the last one could not.
///
/// A value is removed by putting `None`.
#[derive(Debug)]
pub(crate) struct Journal {
    place: Place,
    name: Name,
    dir: OwnedFd,
    lock: FileLock,
    file: AppendOnlyFile,
    values: JournalValues,
    /// Bytes at the end of the file that were no whole frame when it was opened.
    torn: u64,
    /// The error when the file could not be read on opening.
    unread: Option<StoreError>,
}

impl Journal {
    /// Opens the journal. A file of another format is put aside, as `.bad`; one that cannot be read is made again.
    ///
    /// # Errors
    /// Another process holds the journal, or the directory cannot be used.
    pub(crate) fn open(place: &Place, name: Name) -> Result<Self, StoreError> {
        let OpenedDir { fd: dir, .. } = place.open()?;
        let flags = OFlags::RDONLY | OFlags::CREATE | OPEN_FLAGS;
        let lock = FileLock::take(|| openat(&dir, Name::State.to_string(), flags, Mode::RUSR | Mode::WUSR))
            .map_err(|error| refused(Name::State, error))?;
        let mut values = JournalValues::new();
        let (file, torn, unread) = match AppendOnlyFile::open(&dir, name, FILE_HEADER, |batch| take(&mut values, batch))
        {
            Ok((file, torn)) => (file, torn, None),
            Err(error) => (AppendOnlyFile::new(name, FILE_HEADER), 0, Some(error)),
        };
        Ok(Self { place: place.clone(), name, dir, lock, file, values, torn, unread })
    }

    /// Reads what another process has written until now.
    pub(crate) fn read(place: &Place, name: Name) -> Result<JournalValues, StoreError> {
        let OpenedDir { fd: dir, .. } = place.open()?;
        let mut values = JournalValues::new();
        AppendOnlyFile::read(&dir, name, FILE_HEADER, |batch| take(&mut values, batch))?;
        Ok(values)
    }

    /// The values that it holds.
    pub(crate) fn values(&self) -> &JournalValues {
        &self.values
    }

    /// Bytes that were lost: the process that wrote them ended, or the file was changed.
    pub(crate) fn torn(&self) -> u64 {
        self.torn
    }

    /// The error when the file could not be read on opening.
    pub(crate) fn unread(&self) -> Option<&StoreError> {
        self.unread.as_ref()
    }

    /// Whether this process still holds the journal: the directory may have been removed. A file that is gone is made again with
    /// the next batch.
    pub(crate) fn is_held(&mut self) -> bool {
        let Ok(OpenedDir { fd: dir, .. }) = self.place.open() else { return false };
        self.file.look(&dir);
        self.lock.is_ours() && self.lock.is_at(&dir, &Name::State.to_string())
    }

    /// Whether it holds values that are not written.
    pub(crate) fn is_behind(&self) -> bool {
        self.file.length().is_none() && !self.values.is_empty()
    }

    /// Writes all of this or nothing; see [`AppendOnlyFile::append`].
    ///
    /// # Errors
    /// The batch could not be written. The journal holds its values all the same.
    pub(crate) fn put(&mut self, batch: Vec<(String, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        let frame = self.frame(batch.iter().map(|(name, value)| (name.as_str(), value.as_deref())))?;
        for (name, value) in batch {
            match value {
                Some(value) => self.values.insert(name, value),
                None => self.values.remove(&name),
            };
        }
        let held: usize = self.values.iter().map(|(name, value)| name.len() + value.len() + 5).sum();
        let room = REWRITE_ABOVE_BYTES.max(REWRITE_FACTOR * held).min(MAX_FILE_BYTES);
        if self.file.length().is_some_and(|length| length + frame.len() <= room) {
            return self.file.append(&frame);
        }
        let all = self.frame(self.values.iter().map(|(name, value)| (name.as_str(), Some(value.as_slice()))))?;
        self.file.renew(&self.dir, &all)
    }

    /// Acts as if the disk were full from now on.
    #[cfg(test)]
    pub(crate) fn fill(&mut self) {
        self.file.fill();
    }

    fn frame<'a>(&self, batch: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> Result<Vec<u8>, StoreError> {
        let mut frame = vec![0; FRAME_HEAD_BYTES];
        for (name, value) in batch {
            let short = u8::try_from(name.len()).map_err(|_| self.too_large(name.len(), u8::MAX.into()))?;
            frame.push(short);
            frame.extend_from_slice(name.as_bytes());
            let length = value.map_or(Some(REMOVED_LENGTH), |value| {
                u32::try_from(value.len()).ok().filter(|len| *len < REMOVED_LENGTH)
            });
            frame.extend_from_slice(&length.ok_or_else(|| self.too_large(usize::MAX, MAX_FILE_BYTES))?.to_le_bytes());
            frame.extend_from_slice(value.unwrap_or_default());
        }
        append::seal(&mut frame, 0, self.name)?;
        Ok(frame)
    }

    fn too_large(&self, bytes: usize, most: usize) -> StoreError {
        StoreError::TooLarge { file: self.name.to_string(), bytes, most }
    }
}

/// Takes a batch, if all of it can be read.
fn take(values: &mut JournalValues, batch: &[u8]) -> bool {
    if entries(batch).map(|(name, value)| 5 + name.len() + value.map_or(0, <[u8]>::len)).sum::<usize>() != batch.len() {
        return false;
    }
    for (name, value) in entries(batch) {
        match value {
            Some(value) => values.insert(name.into(), value.into()),
            None => values.remove(name),
        };
    }
    true
}

/// Names and values, as far as they can be read.
fn entries(mut batch: &[u8]) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
    std::iter::from_fn(move || {
        let (length, rest) = batch.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (length, rest) = rest.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?);
        let (value, rest) = if length == REMOVED_LENGTH {
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
        assert_eq!(Journal::read(&place, Name::Alerts).unwrap(), JournalValues::new());
        let mut journal = Journal::open(&place, Name::Alerts).unwrap();
        put(&mut journal, "a", Some(b"1"));
        put(&mut journal, "b", Some(b""));
        put(&mut journal, "a", Some(b"2"));
        put(&mut journal, "c", Some(b"3"));
        put(&mut journal, "c", None);
        let wanted = JournalValues::from([("a".into(), b"2".to_vec()), ("b".into(), vec![])]);
        assert_eq!(journal.values(), &wanted);
        assert_eq!(Journal::read(&place, Name::Alerts).unwrap(), wanted);
        assert!(matches!(Journal::open(&place, Name::Alerts), Err(StoreError::Lock { .. })));
        assert!(journal.is_held());
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
        assert!(size < (REWRITE_ABOVE_BYTES + 200_000) as u64, "{size}");
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
            assert_eq!(Journal::read(&place, Name::Alerts).unwrap(), JournalValues::new());
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
        journal.fill();
        assert!(journal.put(vec![("a".into(), Some(b"2".to_vec()))]).is_err());
        assert!(journal.is_behind());
        assert_eq!(Journal::read(&place, Name::Alerts).unwrap()["a"], b"1");
        // There is room again: the next batch writes what the last one could not.
        put(&mut journal, "b", Some(b"3"));
        assert!(!journal.is_behind());
        drop(journal);
        let wanted = JournalValues::from([("a".into(), b"2".to_vec()), ("b".into(), b"3".to_vec())]);
        assert_eq!(Journal::open(&place, Name::Alerts).unwrap().values(), &wanted);
        let long = "x".repeat(300);
        let mut journal = Journal::open(&place, Name::Alerts).unwrap();
        assert!(matches!(journal.put(vec![(long, None)]), Err(StoreError::TooLarge { bytes: 300, most: 255, .. })));
    }

    /// As large as many dead sinks make it: the file is made again rather than refused.
    #[test]
    fn it_never_grows_beyond_what_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path());
        let mut journal = Journal::open(&place, Name::Alerts).unwrap();
        for number in 0..100 {
            put(&mut journal, &format!("sink/{}", number % 16), Some(&vec![1; 1 << 20]));
        }
        assert!(std::fs::metadata(file(&place)).unwrap().len() <= MAX_FILE_BYTES as u64);
        drop(journal);
        assert_eq!(Journal::open(&place, Name::Alerts).unwrap().values().len(), 16);
    }

    #[test]
    fn who_has_lost_the_directory_knows_it() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path());
        let mut journal = Journal::open(&place, Name::Alerts).unwrap();
        put(&mut journal, "a", Some(b"1"));
        // The file alone was removed: the next batch makes it again, with all values.
        std::fs::remove_file(file(&place)).unwrap();
        assert!(journal.is_held());
        put(&mut journal, "b", Some(b"2"));
        assert_eq!(Journal::read(&place, Name::Alerts).unwrap().len(), 2);
        std::fs::remove_dir_all(place.path()).unwrap();
        assert!(!journal.is_held());
    }

    type Batch = Vec<(String, Option<Vec<u8>>)>;

    fn batches() -> impl Strategy<Value = Vec<Batch>> {
        let entry = ("[a-d]", proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)));
        proptest::collection::vec(proptest::collection::vec(entry, 0..4), 1..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Cut or changed anywhere, the journal holds the values of the whole batches before that place, and can be written.
        #[test]
        fn what_is_torn_is_left_out_by_whole_batches(batches in batches(), at: prop::sample::Index, flip: bool) {
            let dir = tempfile::tempdir().unwrap();
            let place = place(dir.path());
            let mut journal = Journal::open(&place, Name::Alerts).unwrap();
            // An empty file is made with the first batch.
            let (mut ends, mut states) = (vec![], vec![]);
            for batch in &batches {
                journal.put(batch.clone()).unwrap();
                ends.push(journal.file.length().unwrap());
                states.push(journal.values.clone());
            }
            drop(journal);
            let mut bytes = std::fs::read(file(&place)).unwrap();
            let at = FILE_HEADER.len() + at.index(bytes.len() - FILE_HEADER.len() + 1);
            if flip && at < bytes.len() {
                bytes[at] ^= 0x10;
            } else {
                bytes.truncate(at);
            }
            std::fs::write(file(&place), &bytes).unwrap();
            let Some(whole) = ends.iter().rposition(|end| *end <= at) else {
                prop_assert_eq!(Journal::read(&place, Name::Alerts).unwrap(), JournalValues::new());
                return Ok(());
            };
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
            let read = |bytes: &[u8]| append::parse(bytes, FILE_HEADER, |batch| take(&mut JournalValues::new(), batch));
            let _ = read(&bytes);
            if framed {
                let mut frame = vec![0; FRAME_HEAD_BYTES];
                frame.extend_from_slice(&bytes);
                append::seal(&mut frame, 0, Name::Alerts).unwrap();
                prop_assert!(read(&[&FILE_HEADER[..], &frame].concat()).is_some());
            }
        }
    }
}
