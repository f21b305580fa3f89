//! The decision which process of a host leads: the one that holds a lock. When that process dies, the system releases the lock, and
//! the next process that asks leads.

use super::flock::{FileLock, LockRefused};
use super::writing::refused;
use super::{Name, Place, StoreError};
use rustix::fs::{Mode, OFlags, openat};
use std::os::fd::AsFd;

/// The part of one process in that decision.
///
/// ```
/// use sentinel_exporter::{Leader, rollup::Place};
///
/// # let dir = tempfile::tempdir()?;
/// # std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
/// # let dir = dir.path();
/// let mut one = Leader::new(Place::new(Some(dir), "shop")?);
/// let mut other = Leader::new(Place::new(Some(dir), "shop")?);
/// assert!(one.lead());
/// assert!(!other.lead());
/// one.close(); // or its process dies
/// assert!(other.lead());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Leader {
    place: Place,
    name: Name,
    lock: Option<FileLock>,
    error: Option<StoreError>,
}

impl Leader {
    /// Makes one that does not lead yet, and touches nothing.
    ///
    /// ```
    /// # use sentinel_exporter::{Leader, rollup::Place};
    /// assert!(!Leader::new(Place::new(None, "checkout")?).leads());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self::of(place, Name::Leader)
    }

    /// As [`Leader::new`], for another lock: not every process may do the work that the lock is for.
    pub(crate) fn of(place: Place, name: Name) -> Self {
        Self { place, name, lock: None, error: None }
    }

    /// Tries to lead, and returns whether this process does. Called at each tick, before anything that one process of a host does
    /// for all. Never waits.
    ///
    /// A leader whose lock file was removed or replaced steps down, and tries again at once: another process may have locked a new
    /// file of that name. Until this call both lead; that happens only when the file is removed from outside.
    ///
    /// ```
    /// # use sentinel_exporter::{Leader, rollup::Place};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    /// let mut leader = Leader::new(Place::new(Some(dir.path()), "shop")?);
    /// assert!(leader.lead() && leader.lead());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lead(&mut self) -> bool {
        self.error = self.try_lead().err();
        self.lock.is_some()
    }

    /// Whether this process led at the last call of [`Leader::lead`].
    ///
    /// ```
    /// # use sentinel_exporter::{Leader, rollup::Place};
    /// # assert!(!Leader::new(Place::new(None, "checkout")?).leads());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn leads(&self) -> bool {
        self.lock.as_ref().is_some_and(FileLock::is_ours)
    }

    /// The error of the last call of [`Leader::lead`]; `None` where another process leads.
    ///
    /// ```
    /// # use sentinel_exporter::{Leader, rollup::Place};
    /// let mut leader = Leader::new(Place::new(Some("/proc/none".as_ref()), "shop")?);
    /// assert!(!leader.lead());
    /// assert!(leader.error().is_some());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn error(&self) -> Option<&StoreError> {
        self.error.as_ref()
    }

    /// Steps down.
    ///
    /// ```
    /// # use sentinel_exporter::{Leader, rollup::Place};
    /// # let mut leader = Leader::new(Place::new(None, "checkout")?);
    /// leader.close();
    /// assert!(!leader.leads());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn close(&mut self) {
        self.lock = None;
    }

    fn try_lead(&mut self) -> Result<(), StoreError> {
        let name = self.name.to_string();
        let held = self.lock.take();
        let opened = self.place.open()?;
        let dir = opened.fd.as_fd();
        if let Some(lock) = held
            && lock.is_ours()
            && lock.is_at(dir, &name)
        {
            self.lock = Some(lock);
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = || openat(dir, &name, flags, Mode::RUSR | Mode::WUSR);
        match FileLock::take(file) {
            // The file was removed between the two: the next call makes another.
            Ok(lock) if lock.is_at(dir, &name) => self.lock = Some(lock),
            Ok(_) | Err(LockRefused::Held) => {}
            Err(error) => return Err(refused(self.name, error)),
        }
        Ok(())
    }
}
