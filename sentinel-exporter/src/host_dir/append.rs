//! A file that is only appended to, in frames with a checksum each: after a crash a frame is there as a whole or not at all.
//!
//! The next process that opens the file cuts off a torn frame. A file of another format is put aside, as `.bad`. When the frames have
//! grown beyond their content, a new file takes the place of the old one.
//!
//! ```text
//! header (8 bytes) │ length u32 │ crc32 u32 │ payload │ length …
//! ```

use super::flock::FileIdentity;
use super::writing::{create, failed, remove};
use super::{Name, StoreError};
use rustix::fs::{AtFlags, Mode, OFlags, fdatasync, fstat, openat, renameat, statat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

/// First bytes of a file: magic and version.
pub(crate) type FileHeader = [u8; 8];
/// Bytes of the length and checksum of a frame.
pub(crate) const FRAME_HEAD_BYTES: usize = 8;
/// Most bytes of a file that are read, and of a frame that is written.
pub(crate) const MAX_FILE_BYTES: usize = 64 << 20;

pub(crate) const OPEN_FLAGS: OFlags =
    OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// A file that this process alone writes.
#[derive(Debug)]
pub(crate) struct AppendOnlyFile {
    name: Name,
    header: FileHeader,
    /// `None` while the file has to be made again.
    file: Option<WholeFile>,
}

/// A file that ends with a whole frame.
#[derive(Debug)]
struct WholeFile {
    file: File,
    /// Bytes of the file: the next frame begins there.
    length: usize,
}

impl AppendOnlyFile {
    /// A file that [`AppendOnlyFile::renew`] has to make first.
    pub(crate) fn new(name: Name, header: FileHeader) -> Self {
        Self { name, header, file: None }
    }

    /// Opens the file and hands the content of each whole frame to `take`, in order. A frame that `take` refuses is where the file
    /// is torn. Returns the file and the number of bytes lost with that.
    pub(crate) fn open(
        dir: &OwnedFd,
        name: Name,
        header: FileHeader,
        take: impl FnMut(&[u8]) -> bool,
    ) -> Result<(Self, u64), StoreError> {
        let none = Self::new(name, header);
        let file = match openat(dir, name.to_string(), OFlags::RDWR | OFlags::APPEND | OPEN_FLAGS, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok((none, 0)),
            Err(error) => return Err(failed(name, "open", error)),
        };
        let bytes = content(&file, name)?;
        match parse(&bytes, header, take) {
            // The process that made the file was stopped at once.
            Some(0) => Ok((none, 0)),
            Some(length) if length == bytes.len() => Ok((Self { file: Some(WholeFile { file, length }), ..none }, 0)),
            // The next write makes the file again, without the torn frame.
            Some(length) => Ok((none, (bytes.len() - length) as u64)),
            None => {
                renameat(dir, name.to_string(), dir, format!("{name}.bad"))
                    .map_err(|error| failed(name, "put aside", error))?;
                Ok((none, 0))
            }
        }
    }

    /// Reads what another process has written until now, frame by frame.
    pub(crate) fn read(
        dir: &OwnedFd,
        name: Name,
        header: FileHeader,
        take: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), StoreError> {
        match openat(dir, name.to_string(), OFlags::RDONLY | OPEN_FLAGS, Mode::empty()) {
            Ok(fd) => {
                parse(&content(&File::from(fd), name)?, header, take);
                Ok(())
            }
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(failed(name, "open", error)),
        }
    }

    /// Length of the file in bytes; `None` while it has to be made again.
    pub(crate) fn length(&self) -> Option<usize> {
        self.file.as_ref().map(|whole| whole.length)
    }

    /// Checks that the name still means this file; when not, the file has to be made again.
    pub(crate) fn look(&mut self, dir: &OwnedFd) {
        let named = statat(dir, self.name.to_string(), AtFlags::SYMLINK_NOFOLLOW).map(|stat| FileIdentity::from(&stat));
        let is_named = |file: &File| fstat(file).is_ok_and(|stat| named == Ok(FileIdentity::from(&stat)));
        self.file = self.file.take().filter(|whole| is_named(&whole.file));
    }

    /// Appends a frame, made by [`seal`]. When the call returns, the end of this process does not lose the frame. The end of the
    /// system may: waiting for a busy disk would delay every caller for seconds.
    pub(crate) fn append(&mut self, frame: &[u8]) -> Result<(), StoreError> {
        // A half-written frame must not stand before the next one: until this frame is whole, the file counts as missing.
        let Some(WholeFile { mut file, length }) = self.file.take() else {
            return Err(self.cannot("write", &io::ErrorKind::NotFound.into()));
        };
        file.write_all(frame).map_err(|error| self.cannot("write", &error))?;
        self.file = Some(WholeFile { file, length: length + frame.len() });
        Ok(())
    }

    /// Replaces the file by a new one of these frames.
    pub(crate) fn renew(&mut self, dir: &OwnedFd, frames: &[u8]) -> Result<(), StoreError> {
        let temporary = Name::Temporary { source: u64::from(std::process::id()), number: 0 };
        let hidden = temporary.to_string();
        let new = create(dir.as_fd(), &hidden, OFlags::RDWR | OFlags::APPEND)
            .map_err(|error| failed(self.name, "make", error))?;
        let mut new = File::from(new);
        // The file that it replaces was whole: a crash of the system must not leave an empty one.
        let written =
            new.write_all(&self.header).and_then(|()| new.write_all(frames)).and_then(|()| Ok(fdatasync(&new)?));
        let moved = written.and_then(|()| Ok(renameat(dir, &hidden, dir, self.name.to_string())?));
        if let Err(error) = moved {
            let _ = remove(dir.as_fd(), temporary);
            return Err(self.cannot("write", &error));
        }
        self.file = Some(WholeFile { file: new, length: self.header.len() + frames.len() });
        Ok(())
    }

    /// Acts as if the disk were full from now on.
    #[cfg(test)]
    pub(crate) fn fill(&mut self) {
        let length = self.file.take().map_or(0, |whole| whole.length);
        self.file = File::options().write(true).open("/dev/full").ok().map(|file| WholeFile { file, length });
    }

    fn cannot(&self, doing: &'static str, error: &io::Error) -> StoreError {
        StoreError::File { file: self.name.to_string(), doing, kind: error.kind() }
    }
}

/// Completes a frame that begins at `at` with room for its length and checksum.
pub(crate) fn seal(bytes: &mut [u8], at: usize, name: Name) -> Result<(), StoreError> {
    let frame = &mut bytes[at..];
    if frame.len() + size_of::<FileHeader>() > MAX_FILE_BYTES {
        return Err(StoreError::TooLarge {
            file: name.to_string(),
            bytes: frame.len() - FRAME_HEAD_BYTES,
            most: MAX_FILE_BYTES,
        });
    }
    let length = frame.len() - FRAME_HEAD_BYTES;
    frame[..4].copy_from_slice(&(length as u32).to_le_bytes());
    let checksum = checksum(frame);
    frame[4..FRAME_HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(&frame[..4]);
    hash.update(&frame[FRAME_HEAD_BYTES..]);
    hash.finalize()
}

fn content(file: &File, name: Name) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| StoreError::File { file: name.to_string(), doing: "read", kind: error.kind() })?;
    Ok(bytes)
}

/// Hands over the whole frames from the beginning, and returns the byte where they end; `None` for a file of another format.
pub(crate) fn parse(bytes: &[u8], header: FileHeader, mut take: impl FnMut(&[u8]) -> bool) -> Option<usize> {
    if bytes.len() < header.len() {
        // The process that made the file was stopped at once.
        return header.starts_with(bytes).then_some(0);
    }
    if bytes[..header.len()] != header || bytes.len() > MAX_FILE_BYTES {
        return None;
    }
    let mut at = header.len();
    // The checksum says that the bytes are the written ones; `take` says whether it can read them.
    while let Some(payload) = next(&bytes[at..])
        && take(payload)
    {
        at += FRAME_HEAD_BYTES + payload.len();
    }
    Some(at)
}

/// Content of the frame at the beginning, if it is whole.
fn next(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let frame = bytes.get(..FRAME_HEAD_BYTES.checked_add(length)?)?;
    let found = u32::from_le_bytes(frame[4..FRAME_HEAD_BYTES].try_into().ok()?);
    (found == checksum(frame)).then_some(&frame[FRAME_HEAD_BYTES..])
}
