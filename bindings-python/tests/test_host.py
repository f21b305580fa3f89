"""All workers of a host answer as one: real servers, real sockets, and the exact totals from whichever worker is asked."""

import contextlib
import json
import os
import re
import shlex
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from service import PATIENCE, TOKEN, Service, within
from tenant_sentinel import Sentinel

GUNICORN = ["gunicorn", "-b", "127.0.0.1:PORT", "--log-level", "critical", "-w", "4"]
RECYCLED = ["--max-requests", "50"]
KINDS = {
    "sync": (["-k", "sync"], "apps.host_flask_app:app"),
    "gthread": (["-k", "gthread", "--threads", "4"], "apps.host_flask_app:app"),
    "uvicorn": (["-k", "uvicorn_worker.UvicornWorker"], "apps.host_fastapi_app:app"),
}
WORKERS = 4
HERE = Path(__file__).parent


def totals(answers):
    """(requests, errors) of each tenant, and of all of them under None."""
    found = {}
    for _, tenant, status in answers:
        for row in (tenant, None):
            requests, errors = found.get(row, (0, 0))
            found[row] = requests + 1, errors + (status >= 500)
    return found


def rows_of(report):
    """The same of a report."""
    rows = {row["tenant_id"]: (row["requests"], row["errors"]) for row in report["tenants"]}
    return rows | {None: (report["totals"]["requests"], report["totals"]["errors"])}


def covers(more, less):
    """No row of the second says more than the first does."""
    return all(all(a >= b for a, b in zip(more.get(row, (0, 0)), counts, strict=True)) for row, counts in less.items())


class Host:
    """Four workers of one service, and somebody who reads all the time what they say."""

    def __init__(self, command, place, cwd=HERE):
        place.chmod(0o700)
        env = {"SENTINEL_SERVICE": "checkout", "SENTINEL_DIR": str(place), "SENTINEL_ADMIN_TOKEN": TOKEN}
        # (worker, when, tenant, status) of everything that was answered: the truth.
        self.answers = []
        self.limits = count()
        self.workers = set()
        self.narrow = Counter()
        self.taken_back = []
        self.readings = 0
        self.over = threading.Event()
        self.service = Service(command, env, cwd)
        self.reader = threading.Thread(target=self.read_on)
        self.reader.start()

    def close(self):
        self.over.set()
        self.reader.join()
        self.service.close()

    def data(self, target):
        """Which worker answered, and what; None while there is none."""
        try:
            status, headers, body = self.service.exchange(f"/sentinel{target}", [("authorization", f"Bearer {TOKEN}")])
        except OSError:
            return None
        # Of a worker that is killed there may be half an answer.
        whole = status == 200 and len(body) == int(headers.get("content-length", len(body))) > 0
        return (int(headers["x-worker"]), json.loads(body)) if whole else None

    def read(self):
        """Which worker answered, and the totals that it gave; None when none did, or one for itself only."""
        # Another limit each time: what was just asked is answered from memory.
        answer = self.data(f"/report?limit={100 + next(self.limits) % 9_000}")
        if answer is None:
            return None
        worker, report = answer
        self.workers.add(worker)
        if report["scope"] != "host":
            self.narrow[report["scope_note"]] += 1
            return None
        return worker, rows_of(report)

    def read_on(self):
        """One reading after the other, whoever answers: nothing that was said before is taken back."""
        before = {}
        while not self.over.wait(0.2):
            found = self.read()
            if found is None:
                continue
            self.readings += 1
            if not covers(found[1], before):
                self.taken_back.append((before, found))
            before = found[1]

    def answer(self, target, tenant):
        try:
            status, headers, _ = self.service.exchange(target, [("x-tenant-id", tenant)])
        except OSError:
            return None
        return (status, headers) if status else None

    def load(self, requests):
        """Tenants ask; every second request of one of them fails."""

        def ask(i):
            tenant = f"tenant-{i % 5}"
            status = 503 if i % 10 == 0 else 200
            # uvicorn closes connections that it has not read from yet when it has had its fifty: nothing of them is counted.
            answered, headers = within(lambda: self.answer(f"/orders/{status}", tenant))
            assert answered == status
            return int(headers["x-worker"]), tenant, status

        with ThreadPoolExecutor(8) as pool:
            self.answers += pool.map(ask, range(requests))

    def agreed(self, fits, without=()):
        """What all workers say, one after the other, as soon as it fits; and which they are."""
        end = time.monotonic() + 2 * PATIENCE
        said, by, seen = None, set(), []
        while len(by) < WORKERS:
            assert time.monotonic() < end, (seen, self.narrow)
            with ThreadPoolExecutor(8) as pool:
                seen = [one for one in pool.map(lambda _: self.read(), range(8)) if one]
            for worker, rows in seen:
                if rows != said:
                    said, by = rows, set()
                if fits(rows) and worker not in without:
                    by.add(worker)
            # Each answer takes one off the worker's fifty, and those that follow want to begin.
            time.sleep(0.25)
        return said, by

    def exact(self, without=()):
        """Waits until any worker gives the exact totals; which they are."""
        expected = totals(self.answers)
        return self.agreed(lambda rows: rows == expected, without)[1]

    def leaders(self):
        """How many workers say that they lead, and how many they say there are; None when not all of them were met."""
        with ThreadPoolExecutor(8) as pool:
            told = dict(one for one in pool.map(lambda _: self.data("/stats"), range(12)) if one)
        if len(told) != WORKERS:
            return None
        told = [stats["sharing"] for stats in told.values()]
        return sum(sharing["leader"] for sharing in told), {sharing["sources"] for sharing in told}


@contextlib.contextmanager
def hosting(command, place):
    host = Host(command, place)
    try:
        yield host
    finally:
        host.close()


@pytest.fixture(params=[(kind, preload) for kind in KINDS for preload in (False, True)], ids=lambda p: p[0] + "-preload" * p[1])
def host(request, tmp_path):
    kind, preload = request.param
    options, app = KINDS[kind]
    with hosting([*GUNICORN, *RECYCLED, *options, *["--preload"] * preload, app], tmp_path) as host:
        yield host


def test_any_worker_answers_for_all(host):
    host.load(200)
    first = host.exact()

    # Recycled: each has had its fifty requests, and what those before have counted is still there.
    def others():
        host.load(20)
        return not first & host.exact()

    within(others, 2 * PATIENCE)

    # Restarted, all of them.
    before = set(host.workers)
    host.service.process.send_signal(signal.SIGHUP)
    host.exact(without=before)
    host.load(40)
    host.exact()

    # Killed: what it counted since it has published last may be missing, and nothing else; what anybody was told is not.
    told = len(host.answers)
    host.load(60)
    killed = host.answers[-1][0]
    os.kill(killed, signal.SIGKILL)
    sure = host.answers[:told] + [answer for answer in host.answers[told:] if answer[0] != killed]
    assert told <= len(sure) < len(host.answers)
    most, least = totals(host.answers), totals(sure)
    left, by = host.agreed(lambda rows: covers(most, rows) and covers(rows, least), without={killed})
    assert killed not in by
    count = len(host.answers)
    host.load(40)
    after = totals(host.answers[count:])
    expected = {row: tuple(a + b for a, b in zip(counts, after[row], strict=True)) for row, counts in left.items()}
    host.agreed(lambda rows: rows == expected)

    assert host.taken_back == []
    assert host.reader.is_alive()
    assert host.readings > 5
    # A worker that has only just begun may be late with its first answer; then it says so.
    assert all("has not answered within 250 ms" in note for note in host.narrow), host.narrow


UWSGI = ["uwsgi", "--http-socket", "127.0.0.1:PORT", "--master", "--processes", "4", "--module", "apps.host_flask_app:app"]
SERVERS = {
    "sync": [*GUNICORN, "apps.host_flask_app:app"],
    "worker": [*GUNICORN, "-k", "uvicorn_worker.UvicornWorker", "apps.host_fastapi_app:app"],
    "gevent": [*GUNICORN, "-k", "gevent", "--preload", "apps.host_flask_app:app"],
    "uvicorn": ["uvicorn", "--port", "PORT", "--log-level", "critical", "--workers", "4", "apps.host_fastapi_app:app"],
    "uwsgi": [*UWSGI, "--die-on-term", "--buffer-size", "32768", "--disable-logging"],
}


@pytest.mark.parametrize("server", SERVERS)
def test_what_a_server_has_counted_stays_when_it_stops(server, tmp_path):
    command = SERVERS[server]
    if server == "uwsgi":
        program = Path(sys.executable).with_name("uwsgi")
        if not program.exists():
            pytest.skip("NOT TESTED: uWSGI is not installed")
        command = [str(program), *command[1:]]
    with hosting(command, tmp_path) as host:
        host.load(100)
        host.exact()
        within(lambda: host.leaders() == (1, {WORKERS}))
        # It is stopped: what it has counted since is published by then.
        host.load(20)
        host.close()
        assert host.taken_back == []
        with Sentinel(service="checkout", dir=tmp_path) as later:
            assert rows_of(later.report(scope="host")) == totals(host.answers)
            assert later.sharing()["sources"] == 1


def block(language, begin):
    """The block of the README that begins so."""
    text = (HERE.parent / "README.md").read_text()
    return next(part.partition("```")[0] for part in text.split(f"```{language}\n")[1:] if part.startswith(begin))


def test_the_snippet_of_the_readme(tmp_path):
    place = tmp_path / "place"
    place.mkdir(mode=0o700)
    (tmp_path / "app.py").write_text(block("python", "# app.py"))
    start, asked, _ = block("sh", "SENTINEL_ADMIN_TOKEN").splitlines()
    token, *command = shlex.split(start.replace("8000", "PORT"))
    assert (token, command[0]) == (f"SENTINEL_ADMIN_TOKEN={TOKEN}", "gunicorn")
    tenant = shlex.split(asked)[2].partition(": ")[2]
    # The server tells which of its processes answered.
    env = {"SENTINEL_ADMIN_TOKEN": TOKEN, "SENTINEL_DIR": str(place)}
    env["GUNICORN_CMD_ARGS"] = "--log-level critical --access-logfile - --access-logformat 'answered by %(p)s'"
    service = Service(command, env, cwd=tmp_path)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda _: service.visit("/orders/7", tenant), range(40))) == {200}

            def counted(i):
                report = service.data(f"/report?limit={100 + i}")
                # A worker publishes first when its first request begins, before it is known that this one is for the view.
                counted = [row["tenant_id"] for row in report["tenants"] if row["requests"]]
                return report["scope"], report["totals"]["requests"], *counted

            def all_say():
                return set(pool.map(counted, range(32))) == {("host", 40, tenant)}

            within(all_say)

            def all_did():
                # One that is busy for a quarter of a second answers for itself; for the host all say the same.
                answers = set(pool.map(counted, range(32)))
                assert {answer for answer in answers if answer[0] == "host"} == {("host", 40, tenant)}
                service.log.seek(0)
                return len(set(re.findall(rb"answered by <(\d+)>", service.log.read()))) == WORKERS

            within(all_did)
    finally:
        service.close()


def test_the_configuration_of_the_readme(tmp_path):
    path = tmp_path / "sentinel.toml"
    path.write_text(block("toml", "[exporter]"))
    Sentinel(config=path)
    said = re.findall(r"^(\w+) = ", path.read_text(), re.MULTILINE)
    assert said == ["service", "dir", "every", "tenants", "budget", "flush"]
