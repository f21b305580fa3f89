"""A child starts from zero and never waits for what it inherited; ending under load is clean.

FORKS and EXITS say how many of each are tried.
"""

import ctypes
import json
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service import Service, within
from tenant_sentinel import Sentinel

HERE = Path(__file__).parent
FORKS = os.environ.get("FORKS", "1000")
EXITS = int(os.environ.get("EXITS", "20"))


def in_child(fork, check):
    """Whether `check` says so in a child."""
    pid = fork()
    if pid == 0:
        right = False
        try:
            right = check()
        finally:
            os._exit(0 if right else 1)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("fork", [os.fork, ctypes.CDLL(None).fork], ids=["os", "libc"])
def test_a_child_starts_from_zero(fork):
    sentinel = Sentinel()
    sentinel.record("acme", "/", 500, 1.0)
    request = sentinel.start("acme")

    def check():
        empty = sentinel.stats()["offered"] == 0 and sentinel.report()["tenants"] == []
        sentinel.record("acme", "/", 500, 1.0)
        grandchild = in_child(os.fork, lambda: sentinel.stats()["offered"] == 0)
        return empty and grandchild and sentinel.stats()["offered"] == 1

    assert in_child(fork, check)
    # What was in flight is still the parent's.
    assert sentinel.tenant("acme")["in_flight"] == 1
    request.finish("/", 200)
    assert sentinel.stats()["offered"] == 2


def test_many_forks_under_load():
    done = subprocess.run([sys.executable, HERE / "forks.py", FORKS], capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stdout.strip()) == (0, FORKS), done.stderr


def test_exits_under_load():
    for _ in range(EXITS):
        done = subprocess.run([sys.executable, HERE / "exits.py"], capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")


SENTINEL = Sentinel()


def count_some(times):
    before = SENTINEL.stats()["offered"]
    for _ in range(times):
        SENTINEL.record("acme", "/", 200, 1.0)
    return os.getpid(), before, SENTINEL.stats()["offered"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method):
    count_some(10)
    with multiprocessing.get_context(method).Pool(2) as pool:
        by_process = {}
        for pid, before, after in pool.map(count_some, [5] * 8, chunksize=1):
            assert after == before + 5
            by_process[pid] = max(by_process.get(pid, 0), after)
    assert sum(by_process.values()) == 40


GUNICORN = ["gunicorn", "-b", "127.0.0.1:PORT", "--log-level", "critical", "--preload", "-w", "4"]
UWSGI = ["uwsgi", "--http-socket", "127.0.0.1:PORT", "--master", "--processes", "4", "--module", "apps.preload_app:app"]
UWSGI += ["--die-on-term", "--buffer-size", "32768", "--disable-logging"]


@pytest.mark.parametrize(
    "command",
    [
        GUNICORN,
        [*GUNICORN, "-k", "gthread", "--threads", "4"],
        [*GUNICORN, "-k", "gevent"],
        UWSGI,
        [*UWSGI, "--enable-threads", "--py-call-osafterfork"],
        [*UWSGI, "--lazy-apps"],
    ],
    ids=["gunicorn", "gthread", "gevent", "uwsgi", "uwsgi-hooks", "uwsgi-lazy"],
)
def test_workers_forked_from_a_loaded_app(command):
    if command[0] == "uwsgi":
        program = Path(sys.executable).with_name("uwsgi")
        if not program.exists():
            pytest.skip("uWSGI is not installed")
        command = [str(program), *command[1:]]
    else:
        command = [*command, "apps.preload_app:app"]
    running = Service(command)
    try:
        asked = 0
        seen = {}

        def all_tell():
            # Many at once: asked one by one, the same worker may take them all.
            with ThreadPoolExecutor(16) as pool:
                for _, body in pool.map(lambda _: running.ask("/stats"), range(64)):
                    found = json.loads(body)
                    seen[found["pid"]] = found
            return len(seen) == 4

        def ask():
            nonlocal asked
            for _ in range(20):
                assert running.visit("/", "acme") == 200
                asked += 1
            return all_tell()

        within(ask)
        # Once more for all of them, now that nothing is added.
        seen.clear()
        within(all_tell)
        lazy = "--lazy-apps" in command
        assert sum(found["stats"]["offered"] for found in seen.values()) == asked + (4_000 if lazy else 0)
        assert all((found["parents"] is not None) == lazy for found in seen.values())
    finally:
        running.close()
