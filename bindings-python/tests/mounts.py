"""Directories that are full, cannot be written to, or never answer; for who may mount."""

import contextlib
import ctypes
import os
from pathlib import Path

import pytest

_libc = ctypes.CDLL(None, use_errno=True)
_READ_ONLY, _REMOUNT, _BIND, _DETACH = 1, 32, 4096, 2
# Never read from, so whoever asks that file system waits; open as long as it is mounted.
_unheard = {}


def _mount(source, path, kind, flags=0, options=""):
    arguments = os.fsencode(source), os.fsencode(path), kind.encode(), flags, options.encode()
    if not hasattr(_libc, "mount") or _libc.mount(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {kind or source} at {path}")


def unmount(path):
    """The uppermost; who waits there is told that it is gone."""
    if _libc.umount2(os.fsencode(path), _DETACH) != 0:
        raise OSError(ctypes.get_errno(), f"cannot unmount {path}")
    if path in _unheard:
        os.close(_unheard.pop(path))


def spoil(path, how):
    """Makes it full, read_only or hung. Full again where something has gone from it since."""
    if how == "full":
        with contextlib.suppress(OSError), open(Path(path, "filler"), "ab", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
    elif how == "read_only":
        # Itself over itself: what is open for writing underneath does not mind. Made elsewhere: nobody writes in between.
        aside = Path(f"{path}-aside")
        aside.mkdir(exist_ok=True)
        _mount(path, aside, "", _BIND)
        _mount(path, aside, "", _BIND | _REMOUNT | _READ_ONLY)
        _mount(aside, path, "", _BIND)
        unmount(aside)
    else:
        _unheard[path] = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={_unheard[path]},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}"
        _mount("unheard", path, "fuse", 0, options)


def repair(path, how):
    if how == "full":
        Path(path, "filler").unlink()
    else:
        unmount(path)


@contextlib.contextmanager
def directory(path, how):
    """A private one that can become so; skips, and says so, where that cannot be."""
    path.mkdir(mode=0o700)
    try:
        try:
            if how == "full":
                _mount("small", path, "tmpfs", 0, "size=64k,mode=700")
            elif how != "good":
                spoil(path, how)
                repair(path, how)
        except OSError as error:
            pytest.skip(f"NOT TESTED: {how}: {error}")
        yield path
    finally:
        # Whatever is mounted there, a dead file system or one over itself, which do not look like a mount.
        for mounted in (path, Path(f"{path}-aside")):
            with contextlib.suppress(OSError):
                while True:
                    unmount(mounted)
