//! A directory that is full, read-only, another's, gone, or not what it was: a typed error, and all is well when the place is.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[allow(dead_code)] // each binary uses its part
mod common;

use common::{Process, SLOT_MS, START, View, block, is_root, names, place, private, publish, role, say, skip, store};
use sentinel_core::Block;
use sentinel_exporter::rollup::{Directory, PlaceError, Publication, RollupStore, Slot, StoreError};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
#[ignore = "a part of the others, in a process of its own"]
fn child() {
    let Some((_, dir)) = role() else { return };
    // It may write files of at most 512 or 1,024 bytes, and is not killed when it tries more.
    let mut store = store(&dir);
    let (small, large) = (block(START, 1), block(START + SLOT_MS, 5_000));
    assert!(small.encode().len() < 400 && large.encode().len() < 1_024 * 1_024);
    let source = small.source();
    let _ = publish(&mut store, &[small], b"").unwrap();
    let error = store.publish(&Publication { source, slots: &[], live: &[7; 5_000], oldest_ms: START }).unwrap_err();
    say(&format!("{error:?}"));
    let good = store.publish(&Publication { source, slots: &[], live: b"", oldest_ms: START }).unwrap();
    say(&format!("{good:?}"));
}

#[test]
fn a_file_that_may_not_grow() {
    let (_guard, dir) = private();
    let mut process = Process::start_after("trap '' XFSZ; ulimit -f 1", "limited", &dir);
    let error = process.hear();
    assert!(error.contains("FileTooLarge") && error.contains("\"write\""), "{error}");
    assert_eq!(process.hear(), "Published { complete: true }");
    assert!(process.succeeds());
    assert!(names(&dir).iter().all(|name| !name.starts_with('.')), "half a file is removed: {:?}", names(&dir));
}

/// A small file system in memory, unmounted when it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let options = "size=256k,mode=0700";
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "sentinel-test"]).arg(path).output();
        let mounted = cfg!(target_os = "linux") && mount.is_ok_and(|mount| mount.status.success());
        mounted.then(|| Self(path.into()))
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn full_and_read_only() {
    let (_guard, dir) = private();
    let Some(mounted) = Mounted::at(&dir) else {
        return skip("a full and a read-only directory: this needs the right to mount one");
    };
    let mut writer = store(&dir);
    let blocks: Vec<Block> = (0..2).map(|i| block(START + i * SLOT_MS, 1)).collect();
    let source = blocks[0].source();
    let bytes = blocks[0].encode();
    let mut publish = |bytes: &[u8], live: &[u8]| {
        writer.publish(&Publication {
            source,
            slots: &[Slot { from_ms: START, to_ms: START + SLOT_MS, bytes }],
            live,
            oldest_ms: START,
        })
    };
    assert!(publish(&bytes, b"").unwrap().complete);
    let filler = dir.join("filler");
    let full = fs::write(&filler, vec![1; 1 << 20]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    let error = publish(&bytes, &vec![1; 100_000]).unwrap_err();
    let is = |error: &StoreError, expected| matches!(error, StoreError::File { kind, .. } if *kind == expected);
    assert!(is(&error, ErrorKind::StorageFull), "{error}");
    // What was there is there, and can be read.
    let mut reader = store(&dir);
    assert_eq!(View::of(&mut reader).requests(), 1);
    fs::remove_file(&filler).unwrap();
    assert!(publish(&bytes, &vec![1; 100_000]).unwrap().complete);

    mounted.remount("ro");
    let error = publish(&bytes, b"").unwrap_err();
    assert!(is(&error, ErrorKind::ReadOnlyFilesystem), "{error}");
    assert!(is(&store(&dir).remember(b"x").unwrap_err(), ErrorKind::ReadOnlyFilesystem));
    assert_eq!(View::of(&mut store(&dir)).requests(), 1);
    assert!(matches!(
        sentinel_exporter::rollup::Place::new(Some(&dir), "another")
            .map(|place| { Directory::new(place).collect(START, &mut |_| ()).unwrap_err() }),
        Ok(StoreError::Place(PlaceError::Refused { doing: "make", kind: ErrorKind::ReadOnlyFilesystem, .. }))
    ));
    mounted.remount("rw");
    assert!(publish(&bytes, b"").unwrap().complete);
}

/// A store that has published and collected, then something happens to its directory, and is undone.
fn harmed(harm: impl FnOnce(&Path), expected: impl Fn(&PlaceError) -> bool, undo: impl FnOnce(&Path)) {
    let (_guard, dir) = private();
    let (mut writer, mut reader) = (store(&dir), store(&dir));
    let blocks = [block(START, 5)];
    assert!(publish(&mut writer, &blocks, b"").unwrap().complete);
    assert_eq!(View::of(&mut reader).requests(), 5);
    harm(&dir);
    let errors = [
        publish(&mut writer, &blocks, b"").unwrap_err(),
        reader.collect(START, &mut |_| panic!("nothing is believed")).unwrap_err(),
        reader.recall().unwrap_err(),
        reader.remember(b"").unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(&error, StoreError::Place(error) if expected(error)), "{error}");
    }
    undo(&dir);
    assert!(publish(&mut writer, &blocks, b"").unwrap().complete);
    reader.forget();
    assert_eq!(View::of(&mut reader).requests(), 5);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn open_to_others() {
    harmed(
        |dir| mode(dir, 0o750),
        |error| matches!(error, PlaceError::Open { mode: 0o750, .. }),
        |dir| mode(dir, 0o700),
    );
    let service = |dir: &Path| place(dir).path().to_path_buf();
    harmed(
        |dir| mode(&service(dir), 0o701),
        |error| matches!(error, PlaceError::Open { mode: 0o701, .. }),
        |dir| mode(&service(dir), 0o700),
    );
}

#[test]
fn another_users() {
    if !is_root() {
        return skip("a directory of another user: only root can give one away");
    }
    let is_foreign = |error: &PlaceError| matches!(error, PlaceError::ForeignOwner { owner: 65_534, expected: 0, .. });
    harmed(|dir| chown(dir, Some(65_534), None).unwrap(), is_foreign, |dir| chown(dir, Some(0), None).unwrap());
    let service = |dir: &Path| place(dir).path().to_path_buf();
    harmed(
        |dir| chown(service(dir), Some(65_534), None).unwrap(),
        is_foreign,
        |dir| chown(service(dir), Some(0), None).unwrap(),
    );
}

#[test]
fn a_link_or_a_file_in_its_place() {
    let away = |dir: &Path| dir.with_file_name("away");
    let to_link = |path: &Path, away: &Path| {
        fs::rename(path, away).unwrap();
        symlink(away, path).unwrap();
    };
    let back = |path: &Path, away: &Path| {
        fs::remove_file(path).unwrap();
        fs::rename(away, path).unwrap();
    };
    let is_link = |error: &PlaceError| matches!(error, PlaceError::Link { .. });
    harmed(|dir| to_link(dir, &away(dir)), is_link, |dir| back(dir, &away(dir)));
    let service = |dir: &Path| place(dir).path().to_path_buf();
    harmed(|dir| to_link(&service(dir), &away(dir)), is_link, |dir| back(&service(dir), &away(dir)));
    harmed(
        |dir| {
            fs::rename(dir, away(dir)).unwrap();
            fs::write(dir, b"a file").unwrap();
        },
        |error| matches!(error, PlaceError::NotADirectory { .. }),
        |dir| back(dir, &away(dir)),
    );
}

#[test]
fn one_that_is_gone_is_made_again_and_says_what_is_lost() {
    let (_guard, dir) = private();
    let (mut writer, mut reader) = (store(&dir), store(&dir));
    let old = block(START, 5);
    let source = old.source();
    assert!(publish(&mut writer, std::slice::from_ref(&old), b"").unwrap().complete);
    let nothing_new = |store: &mut Directory, oldest_ms| {
        store.publish(&Publication { source, slots: &[], live: b"", oldest_ms }).unwrap().complete
    };
    assert!(nothing_new(&mut writer, START));
    // All of it, as by a clean-up of temporary files.
    fs::remove_dir_all(&dir).unwrap();
    assert!(!nothing_new(&mut writer, START), "a slot is lost");
    assert_eq!(View::of(&mut reader).requests(), 0);
    assert!(publish(&mut writer, std::slice::from_ref(&old), b"").unwrap().complete);
    assert_eq!(View::of(&mut reader).requests(), 5);
    // One file: it is missed at the next look.
    let file = names(&dir).into_iter().find(|name| name.ends_with(".rollup")).unwrap();
    fs::remove_file(place(&dir).path().join(file)).unwrap();
    writer.collect(START, &mut |_| ()).unwrap();
    assert!(!nothing_new(&mut writer, START));
    // Nobody misses what has left the window.
    assert!(nothing_new(&mut writer, START + SLOT_MS));
    assert!(publish(&mut writer, &[old], b"").unwrap().complete);
    // The lock alone: it is taken again.
    let lock = sentinel_exporter::rollup::Name::Lock { source }.to_string();
    fs::remove_file(place(&dir).path().join(lock)).unwrap();
    assert_eq!(View::of(&mut reader).sources, 0);
    assert!(nothing_new(&mut writer, START));
    assert_eq!(View::of(&mut reader).sources, 1);
}

#[test]
fn one_that_cannot_be_made() {
    let mut store = store(Path::new("/proc/none/sentinel"));
    let error = store.collect(START, &mut |_| ()).unwrap_err();
    assert!(matches!(error, StoreError::Place(PlaceError::Refused { doing: "make", .. })), "{error}");
    assert!(error.to_string().starts_with("/proc/none/sentinel: cannot make the directory: "), "{error}");
}
