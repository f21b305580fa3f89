//! The directory is found, made, and checked before anything in it is believed.
//!
//! The directory is opened anew at each use and every file is reached through that descriptor, so nobody can swap it for another
//! between the check and the use, and a directory that was removed is made again.

use super::flock::FileIdentity;
use super::{PlaceError, check_service};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, access, fstat, mkdirat, openat, statat};
use rustix::io::Errno;
use rustix::process::geteuid;
use sentinel_core::ConfigError;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The directory in which the processes of one service on one host meet: a private one in memory, and in it one for the service.
///
/// ```
/// use sentinel_exporter::rollup::Place;
///
/// let place = Place::new(Some("/run/shop/sentinel".as_ref()), "checkout")?;
/// assert_eq!(place.path(), std::path::Path::new("/run/shop/sentinel/checkout"));
///
/// let error = Place::new(None, "../etc").unwrap_err();
/// assert_eq!(error.field, "service");
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    root: PathBuf,
    path: PathBuf,
    service: String,
}

impl Place {
    /// Takes `dir`; else `$SENTINEL_DIR`; else `sentinel-<uid>` in `/dev/shm` (Linux), `$XDG_RUNTIME_DIR` or the directory for
    /// temporary files, the first of these that exists. Touches nothing yet.
    ///
    /// # Errors
    /// A [`ConfigError`]: the service is not 1 to 64 of `A-Z a-z 0-9 . _ -` or begins with a dot, or the directory is not an
    /// absolute path (workers may have different working directories).
    ///
    /// ```
    /// # use sentinel_exporter::rollup::Place;
    /// assert!(Place::new(None, "checkout").is_ok());
    /// assert_eq!(Place::new(Some("run/sentinel".as_ref()), "checkout").unwrap_err().field, "dir");
    /// ```
    pub fn new(dir: Option<&Path>, service: &str) -> Result<Self, ConfigError> {
        Self::resolve(dir, service, |name| std::env::var_os(name))
    }

    /// `new`, with the environment as an argument.
    fn resolve(
        dir: Option<&Path>,
        service: &str,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        check_service(service)?;
        let variable = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let (field, given) = match dir {
            Some(dir) => ("dir", Some(dir.to_path_buf())),
            None => ("SENTINEL_DIR", variable("SENTINEL_DIR")),
        };
        let root = match given {
            Some(root) if !root.is_absolute() => {
                return Err(ConfigError::new(field, format!("{:?}", root.display().to_string()), "an absolute path"));
            }
            Some(root) => root,
            None => {
                let memory = cfg!(target_os = "linux").then(|| PathBuf::from("/dev/shm")).filter(|path| usable(path));
                let runtime = || variable("XDG_RUNTIME_DIR").filter(|path| path.is_absolute() && usable(path));
                let parent = memory.or_else(runtime).unwrap_or_else(std::env::temp_dir);
                parent.join(format!("sentinel-{}", geteuid().as_raw()))
            }
        };
        Ok(Self { path: root.join(service), root, service: service.into() })
    }

    /// The directory of the service.
    ///
    /// ```
    /// # use sentinel_exporter::rollup::Place;
    /// assert!(Place::new(None, "checkout")?.path().ends_with("checkout"));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the directory, and makes it where it is missing.
    pub(crate) fn open(&self) -> Result<OpenedDir, PlaceError> {
        let missing =
            |error: &PlaceError| matches!(error, PlaceError::Refused { kind: std::io::ErrorKind::NotFound, .. });
        let root = match checked(CWD, &self.root, &self.root) {
            Err(error) if missing(&error) => {
                let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.root);
                made.map_err(|error| PlaceError::Refused {
                    path: self.root.clone(),
                    doing: "make",
                    kind: error.kind(),
                })?;
                checked(CWD, &self.root, &self.root)?
            }
            opened => opened?,
        };
        match checked(&root.fd, Path::new(&self.service), &self.path) {
            Err(error) if missing(&error) => {
                match mkdirat(&root.fd, &self.service, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(refused(&self.path, "make", error)),
                }
                checked(&root.fd, Path::new(&self.service), &self.path)
            }
            opened => opened,
        }
    }
}

/// A directory that was checked, and cannot become another one while it is used.
pub(crate) struct OpenedDir {
    pub(crate) fd: OwnedFd,
    pub(crate) identity: FileIdentity,
}

/// Whether this process may make files in a directory.
fn usable(path: &Path) -> bool {
    path.is_dir() && access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

fn refused(path: &Path, doing: &'static str, error: Errno) -> PlaceError {
    PlaceError::Refused { path: path.into(), doing, kind: error.kind() }
}

/// Opens `name` in `dir` and checks it; `path` stands for it in errors.
fn checked(dir: impl AsFd, name: &Path, path: &Path) -> Result<OpenedDir, PlaceError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(&dir, name, flags, Mode::empty()).map_err(|error| {
        // The error code differs between systems; either says that it is not a directory.
        if matches!(error, Errno::NOTDIR | Errno::LOOP) {
            let link = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
            let path = path.into();
            return if link { PlaceError::Link { path } } else { PlaceError::NotADirectory { path } };
        }
        refused(path, "open", error)
    })?;
    let stat = fstat(&fd).map_err(|error| refused(path, "open", error))?;
    let (owner, expected) = (stat.st_uid, geteuid().as_raw());
    if owner != expected {
        return Err(PlaceError::ForeignOwner { path: path.into(), owner, expected });
    }
    // The type differs between systems.
    #[allow(clippy::unnecessary_cast)]
    let mode = stat.st_mode as u32 & 0o777;
    if mode & 0o077 != 0 {
        return Err(PlaceError::Open { path: path.into(), mode });
    }
    Ok(OpenedDir { identity: FileIdentity::from(&stat), fd })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is_by_what_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let variables = |name: &str| match name {
            "SENTINEL_DIR" => Some(OsString::from("/from/the/environment")),
            _ => None,
        };
        let place = |given| Place::resolve(given, "shop", variables).unwrap();
        assert_eq!(place(Some(dir.path())).path(), dir.path().join("shop"));
        assert_eq!(place(None).path(), Path::new("/from/the/environment/shop"));
        let place = Place::resolve(None, "shop", |_| None).unwrap();
        assert!(place.root.ends_with(format!("sentinel-{}", geteuid().as_raw())));
        let error = Place::resolve(None, "shop", |_| Some("relative".into())).unwrap_err();
        assert_eq!((error.field.as_str(), error.value.as_str()), ("SENTINEL_DIR", "\"relative\""));
    }

    #[test]
    fn names_of_services() {
        for good in ["a", "shop", "Shop-2.eu_west", &"x".repeat(64)] {
            assert_eq!(check_service(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", ".shop", "a/b", "a b", "shöp", "a\0", &"x".repeat(65), &"ü".repeat(10_000)] {
            let error = check_service(bad).unwrap_err();
            assert_eq!(error.field, "service");
            assert!(error.to_string().len() < 500);
        }
    }

    #[test]
    fn it_is_made_private_whatever_is_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(Some(&dir.path().join("not/there/yet")), "shop").unwrap();
        let first = place.open().unwrap().identity;
        assert_eq!(place.open().unwrap().identity, first);
        for path in [place.path(), place.path().parent().unwrap()] {
            let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap());
            assert_eq!(mode & 0o777, 0o700);
        }
    }
}
