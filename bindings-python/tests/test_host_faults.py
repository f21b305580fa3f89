"""Whatever becomes of the directory: requests are counted, the process answers for itself and says why, and once the directory is
good again the host's totals have everything."""

import os
from pathlib import Path

import pytest

import mounts
from service import within
from tenant_sentinel import Sentinel

NOBODY = 65534


def chown(path, user):
    try:
        os.chown(path, user, -1)
    except OSError as error:
        pytest.skip(f"NOT TESTED: another owner: {error}")


class Missing:
    """It cannot be made: what it lies in is not there."""

    note = "cannot make the directory"

    def begin(self, path):
        self.inside = Path(f"{path}-inside")
        path.symlink_to(self.inside)
        return path / "place"

    def mend(self, path):
        self.inside.mkdir(mode=0o700)


class AFile:
    note = "this is not a directory"

    def begin(self, path):
        path.write_text("a file in the way")
        return path

    def mend(self, path):
        path.unlink()


class ALink:
    note = "a symbolic link is not allowed"

    def begin(self, path):
        elsewhere = Path(f"{path}-elsewhere")
        elsewhere.mkdir(mode=0o700)
        path.symlink_to(elsewhere)
        return path

    def mend(self, path):
        path.unlink()


class Spoiled:
    """Good until it is spoiled."""

    def begin(self, path):
        path.mkdir(mode=0o700)
        self.spoil(path)
        return path


class Foreign(Spoiled):
    note = f"owner {NOBODY} is not allowed"

    def spoil(self, path):
        chown(path, NOBODY)

    def mend(self, path):
        chown(path, os.geteuid())


class ForeignInside(Foreign):
    """The service's own, in a good one."""

    def spoil(self, path):
        (path / "shop").mkdir(mode=0o700, exist_ok=True)
        chown(path / "shop", NOBODY)

    def mend(self, path):
        chown(path / "shop", os.geteuid())


class OpenToAll(Spoiled):
    note = "mode 777 is not allowed"

    def spoil(self, path):
        path.chmod(0o777)

    def mend(self, path):
        path.chmod(0o700)


class Mounted(Spoiled):
    def __init__(self, how):
        self.how = how

    def spoil(self, path):
        mounts.spoil(path, self.how)

    def mend(self, path):
        mounts.repair(path, self.how)


NOTES = {
    "full": "no storage space",
    "read_only": "read-only filesystem or storage medium",
    "hung": "the exporter has not answered within 250 ms",
}
FROM_THE_START = [Missing, AFile, ALink, Foreign, ForeignInside, OpenToAll]
LATER = [Foreign, ForeignInside, OpenToAll]


def both(path):
    return Sentinel(service="shop", dir=path), Sentinel(service="shop", dir=path)


def count(sentinel, times=3):
    for _ in range(times):
        sentinel.record("acme", "/", 500, 1.0)


def answers(sentinel):
    report = sentinel.report()
    return report["scope"], report["totals"]["requests"]


def answers_for_itself(sentinel, note, requests, again=lambda: None):
    """It does, says why, and counts that."""

    def narrow():
        again()
        report = sentinel.report()
        return report["scope"] == "process" and report

    report = within(narrow)
    assert (report["totals"]["requests"], report["sources"]) == (requests, 1)
    assert note in report["scope_note"], report["scope_note"]
    # Whoever asks for the host gets the same; nobody gets an error.
    assert sentinel.report(scope="host")["scope"] == sentinel.tenant("acme", scope="host")["scope"] == "process"
    assert sentinel.text().startswith(("QUIET", "ONE TENANT", "UNCLEAR", "EVERYONE"))
    assert sentinel.publish() is False
    failures = sentinel.sharing()["failures"]
    reason = "late" if "has not answered" in note else "publish"
    assert failures[reason] >= 1
    # What fails goes on being counted.
    within(lambda: sentinel.report() and sentinel.sharing()["failures"][reason] > failures[reason])
    sharing = sentinel.sharing()
    assert (sharing["scope"], sharing["running"]) == ("process", True)
    assert note.partition(" within")[0] in sharing["last_error"]


def answers_for_all(sentinel, other, requests):
    within(lambda: answers(sentinel) == answers(other) == ("host", requests))
    assert sentinel.report()["scope_note"] is None


@pytest.mark.parametrize("fault", FROM_THE_START)
def test_a_directory_that_is_bad_from_the_start(fault, tmp_path):
    fault = fault()
    path = tmp_path / "place"
    sentinel, other = both(fault.begin(path))
    count(sentinel)
    answers_for_itself(sentinel, fault.note, 3)
    count(sentinel)
    fault.mend(path)
    answers_for_all(sentinel, other, 6)


@pytest.mark.parametrize("fault", LATER)
def test_a_directory_that_becomes_bad(fault, tmp_path):
    fault = fault()
    path = tmp_path / "place"
    path.mkdir(mode=0o700)
    sentinel, other = both(path)
    count(sentinel)
    answers_for_all(sentinel, other, 3)
    fault.spoil(path)
    count(sentinel)
    answers_for_itself(sentinel, fault.note, 6)
    fault.mend(path)
    answers_for_all(sentinel, other, 6)


@pytest.mark.parametrize("how", NOTES)
def test_a_file_system_that_becomes_bad(how, tmp_path):
    with mounts.directory(tmp_path / "place", how) as path:
        sentinel, other = both(path)
        count(sentinel)
        answers_for_all(sentinel, other, 3)
        mounts.spoil(path, how)
        count(sentinel)

        def again():
            # What was being written when it was filled has made room since.
            if how == "full":
                mounts.spoil(path, how)

        answers_for_itself(sentinel, NOTES[how], 6, again)
        mounts.repair(path, how)
        answers_for_all(sentinel, other, 6)


def test_a_directory_that_is_removed_is_made_again_with_all_that_was_counted(tmp_path):
    path = tmp_path / "place"
    sentinel, other = both(path)
    count(sentinel)
    answers_for_all(sentinel, other, 3)
    path.rename(tmp_path / "gone")
    newcomer = Sentinel(service="shop", dir=path)
    answers_for_all(sentinel, newcomer, 3)
    assert path.stat().st_mode & 0o777 == 0o700
