"""Processes that share are forked, end and are killed: nobody waits for what is gone, and the host's totals have all once.

FORKS and EXITS say how many of each are tried.
"""

import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import mounts
from service import within
from tenant_sentinel import Sentinel

HERE = Path(__file__).parent
FORKS = int(os.environ.get("FORKS", "100"))
EXITS = int(os.environ.get("EXITS", "4"))
# A directory fills up with what dead children have counted, for a window long: more of them in another one.
ROUND = 250
# Seconds that an exit waits for the exporters, whatever the directory does.
DEADLINE = 1.0
# An exit that takes so long has no end: a busy machine adds seconds to the deadline, and not a minute.
NO_END = 60.0


@pytest.fixture
def place(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def shared(place, monkeypatch):
    """What a process of the service makes; a spawned one too."""
    monkeypatch.setenv("SENTINEL_SERVICE", "shop")
    monkeypatch.setenv("SENTINEL_DIR", str(place))
    with Sentinel() as sentinel:
        yield sentinel


def requests(sentinel):
    report = sentinel.report(scope="host")
    return report["totals"]["requests"] if report["scope"] == "host" else None


@pytest.mark.parametrize("by", ["os", "libc"])
def test_many_forks_while_the_exporter_is_busy(place, by):
    left = FORKS
    while left:
        forks = min(left, ROUND)
        left -= forks
        inside = place / str(left)
        inside.mkdir(mode=0o700)
        command = [sys.executable, HERE / "host_forks.py", str(forks), inside, by]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert (done.returncode, done.stdout.strip()) == (0, str(forks)), done.stderr


@pytest.mark.parametrize("becomes", ["good", "full", "read_only", "hung"])
def test_exits_under_load(tmp_path, becomes):
    took = []
    for number in range(EXITS):
        path = tmp_path / str(number)
        with mounts.directory(path, becomes):
            command = [sys.executable, "-B", HERE / "host_exits.py", path, becomes]
            done = subprocess.run(command, capture_output=True, text=True, timeout=2 * NO_END)
            assert (done.returncode, done.stderr) == (0, "")
            took.append(float(done.stdout))
        with Sentinel(service="exits", dir=f"{path}-other") as other:
            assert requests(other) == 1
    assert max(took) < NO_END, took
    if becomes == "hung":
        # It was waited for, or this shows nothing.
        assert min(took) >= DEADLINE
    print(becomes, f"median {statistics.median(took):.3f} s, longest {max(took):.3f} s of {EXITS}")


def run(code):
    """Another process of the service; how it ended, and when."""
    code = f"from tenant_sentinel import Sentinel\nimport os, sys\ns = Sentinel()\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=2 * NO_END)


TEN = "for _ in range(10): s.record('acme', '/', 200, 1.0)\n"


@pytest.mark.parametrize(
    ("end", "code"),
    [("", 0), ("sys.exit(3)", 3), ("raise ValueError('a bug')", 1), ("s.close()", 0), ("s.publish()\nos._exit(0)", 0),
     ("assert s.report()['scope'] == 'host'\nos._exit(0)", 0)],
    ids=["falls-off", "exits", "raises", "closes", "publishes", "asks"],
)  # fmt: skip
def test_what_ends_has_published(shared, end, code):
    assert run(TEN + end).returncode == code
    assert requests(shared) == 10


def test_what_ends_at_once_loses_two_seconds_at_most(shared):
    # What was published is there; what came after it may be or not, and nothing else.
    assert run(f"{TEN}assert s.publish()\nfor _ in range(5): s.record('acme', '/', 200, 1.0)\nos._exit(0)").returncode == 0
    assert 10 <= requests(shared) <= 15
    # It publishes by itself, in time; then it may be killed.
    here, there = multiprocessing.Pipe()
    child = os.fork()
    if child == 0:
        shared.record("later", "/", 200, 1.0)
        within(lambda: shared.sharing()["published_ms"])
        for _ in range(100):
            shared.record("later", "/", 200, 1.0)
        there.send(None)
        signal.pause()
    try:
        assert here.poll(NO_END)
        within(lambda: shared.tenant("later")["requests"] == 101)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert shared.tenant("later")["requests"] == 101


def count_five(publish, place):
    # Not from the environment: a fork server has that of whichever test has started it.
    sentinel = SENTINELS[0] if SENTINELS else Sentinel(service="shop", dir=place)
    for _ in range(5):
        sentinel.record("acme", "/", 200, 1.0)
    # It waits for a quarter of a second at most, which is not always enough where many begin at once.
    assert not publish or any(sentinel.publish() for _ in range(20))


# Inherited by who is forked; any other makes its own.
SENTINELS = []


@pytest.mark.parametrize(("method", "publish"), [("fork", True), ("spawn", False), ("forkserver", True)])
def test_multiprocessing(shared, place, method, publish):
    """A spawned process ends as any other; one that `multiprocessing` has forked ends at once, without what `atexit` knows."""
    SENTINELS.append(shared)
    try:
        shared.record("acme", "/", 200, 1.0)
        context = multiprocessing.get_context(method)
        children = [context.Process(target=count_five, args=(publish, place)) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0] * 3
        assert requests(shared) == 16
    finally:
        SENTINELS.clear()


def test_a_child_is_another_source_and_starts_from_zero(shared):
    for _ in range(7):
        shared.record("acme", "/", 500, 1.0)
    assert (requests(shared), shared.sharing()["running"]) == (7, True)
    child = os.fork()
    if child == 0:
        own = shared.report(scope="process")["totals"]["requests"], shared.sharing()["published_ms"]
        shared.record("acme", "/", 500, 1.0)
        sharing = shared.sharing()
        os._exit(0 if (own, requests(shared), sharing["running"]) == ((0, None), 8, True) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert requests(shared) == 8
    # The parent goes on as if nothing had been.
    shared.record("acme", "/", 500, 1.0)
    report = shared.report()
    assert (report["scope"], report["totals"]["requests"], report["sources"]) == ("host", 9, 2)
    assert shared.sharing()["sources"] == 1
