//! Which process of a host leads: the one that holds a lock. When it dies the system lets go of it, so the next one to ask leads.

use super::flock::{FileLock, LockRefused};
use super::writing::refused;
use super::{Name, Place, StoreError};
use rustix::fs::{Mode, OFlags, openat};
use std::os::fd::AsFd;

/// One of the processes that may lead.
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
    /// Does not lead yet, and has touched nothing.
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

    /// One of those that contend for another lock: not all processes may do what it is for.
    pub(crate) fn of(place: Place, name: Name) -> Self {
        Self { place, name, lock: None, error: None }
    }

    /// Leads from here on, when nobody else does, and says whether. Called at each tick, before anything that one process of a host
    /// does for all. Never waits.
    ///
    /// A leader whose lock's file is not in its place any more steps down, and tries again at once: somebody else may have locked
    /// another file of that name. Between the two both lead; that takes somebody who removes the file.
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

    /// Whether it led when it was asked last, in this process.
    ///
    /// ```
    /// # use sentinel_exporter::{Leader, rollup::Place};
    /// # assert!(!Leader::new(Place::new(None, "checkout")?).leads());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn leads(&self) -> bool {
        self.lock.as_ref().is_some_and(FileLock::is_ours)
    }

    /// Why nobody can lead from here: the error of the last call, when it was not that somebody else leads.
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
            // Removed between the two: who comes next makes another.
            Ok(lock) if lock.is_at(dir, &name) => self.lock = Some(lock),
            Ok(_) | Err(LockRefused::Held) => {}
            Err(error) => return Err(refused(self.name, error)),
        }
        Ok(())
    }
}
