"""Nothing escapes `record`, whatever it is given, and the ledger holds; what cannot be configured is named."""

import datetime
import http
import itertools
import json
import os
import shutil
import sys
import tempfile
import threading
import time
import uuid
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tenant_sentinel
from anything import ANYTHING, Hostile, Text
from service import within
from tenant_sentinel import ConfigError, Sentinel

SHARED = Sentinel()


def holds(stats):
    assert stats["offered"] == stats["accepted"] + sum(stats["dropped"].values())
    assert stats["accepted"] == stats["in_window"] + stats["expired"]
    return stats


@settings(max_examples=1_000, deadline=None)
@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_nothing_escapes_record(tenant_id, endpoint, status_code, latency_ms, timestamp_ms):
    before = SHARED.stats()["offered"]
    assert SHARED.record(tenant_id, endpoint, status_code, latency_ms, timestamp_ms) is None
    assert holds(SHARED.stats())["offered"] == before + 1


@settings(max_examples=500, deadline=None)
@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_nothing_escapes_a_guard(first, second, endpoint, status_code):
    before = SHARED.stats()["offered"]
    request = SHARED.start(first)
    request.tenant(second)
    request.endpoint(endpoint)
    request.finish(endpoint, status_code)
    request.finish(endpoint, status_code)
    tenant_sentinel.set_tenant(first)
    assert holds(SHARED.stats())["offered"] == before + 1


OPTIONS = ["window", "slot", "budget", "errors", "places", "max_endpoints", "stripes", "slow_after", "admin_token", "service",
           "dir", "config", "alerts", "uptime", "state_dir"]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(OPTIONS), ANYTHING)
def test_an_option_works_or_is_an_error_that_names_it(option, value):
    # More would do, and take the memory of this machine.
    if option == "budget" and isinstance(value, int) and value > 1 << 26:
        return
    try:
        Sentinel(**{option: value})
    except ConfigError as error:
        assert isinstance(error, ValueError)
        # What is inside of these two is named by its path; and they need a service.
        nested = option in ("alerts", "uptime")
        assert error.field in (option, "window") or (
            nested and (error.field == "service" or error.field.startswith(f"{option}."))
        )
        assert str(error).startswith(f"{error.field}: ")
        assert error.allowed


@settings(max_examples=500, deadline=None)
@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_a_query_answers_or_is_an_error_that_names_the_argument(by, limit, window, scope):
    for ask, fields in [
        (lambda: SHARED.report(by, limit, window, scope), {"by", "limit", "window", "scope"}),
        (lambda: SHARED.text(by, limit, window, scope), {"by", "limit", "window", "scope"}),
        (lambda: SHARED.tenant(by, window, scope), {"tenant_id", "window", "scope"}),
    ]:
        try:
            ask()
        except ConfigError as error:
            assert error.field in fields


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"window": "soon"}, "window: \"soon\" is not allowed; allowed: seconds, or a number with us, ms, s, m or h"),
        ({"window": 1}, "window: 1 s is not allowed; allowed: 30 s to 24 h"),
        ({"budget": "1 byte"}, "budget: \"1 byte\" is not allowed; allowed: bytes, or a number with KiB, MiB, GiB, kB, MB or GB"),
        ({"places": 1.5}, "places: 1.5 is not allowed; allowed: a whole number"),
        ({"stripes": 3}, "stripes: 3 is not allowed; allowed: 1 to 64, a power of two"),
        ({"errors": ["5xx"]}, "errors: ['5xx'] is not allowed; allowed: text: 5xx, 4xx or aborted, separated by commas"),
        ({"admin_token": "short"}, "admin_token: 5 characters is not allowed; allowed: 8 to 1024 visible ASCII characters"),
        ({"admin_token": 12345678}, "admin_token: a value that is not text is not allowed; allowed: text"),
        ({"service": "a/b"}, "service: \"a/b\" is not allowed; allowed: 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot"),
        ({"service": ""}, "service: \"\" is not allowed; allowed: 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot"),
        ({"service": 7}, "service: 7 is not allowed; allowed: text"),
        ({"service": "shop", "dir": "here"}, "dir: \"here\" is not allowed; allowed: an absolute path"),
        ({"dir": "here"}, "dir: \"here\" is not allowed; allowed: an absolute path"),
        ({"dir": 7}, "dir: 7 is not allowed; allowed: a path"),
        ({"config": 7}, "config: 7 is not allowed; allowed: a path"),
    ],
)  # fmt: skip
def test_errors_say_what_would_do(options, text):
    with pytest.raises(ConfigError) as raised:
        Sentinel(**options)
    assert str(raised.value) == text


def test_the_environment_is_read_and_arguments_go_first(monkeypatch):
    monkeypatch.setenv("SENTINEL_WINDOW", "5m")
    monkeypatch.setenv("SENTINEL_ADMIN_TOKEN", "correct-horse-battery")
    sentinel = Sentinel()
    assert sentinel.report()["window_ms"] == 300_000
    assert sentinel.admin().respond("GET", "/report", "", b"Bearer correct-horse-battery")[0] == 200
    assert Sentinel(window=datetime.timedelta(minutes=20)).report()["window_ms"] == 1_200_000
    monkeypatch.setenv("SENTINEL_SLOT", "x")
    with pytest.raises(ConfigError, match="SENTINEL_SLOT"):
        Sentinel()


@pytest.mark.parametrize(
    ("argument", "text"),
    [("planet", 'scope: "planet" is not allowed; allowed: process, host'),
     (7, "scope: 7 is not allowed; allowed: 'process' or 'host'")],
)  # fmt: skip
def test_a_scope_that_is_none(argument, text):
    for ask in (SHARED.report, SHARED.text, lambda **scope: SHARED.tenant("acme", **scope)):
        with pytest.raises(ConfigError) as raised:
            ask(scope=argument)
        assert (str(raised.value), raised.value.field) == (text, "scope")


@pytest.mark.parametrize(
    ("toml", "field", "text"),
    [("[exporter]\nevery = '90s'", "exporter.every", "90 s is not allowed; allowed: 0.5 s to 60 s"),
     ("[exporter]\nevery = 'soon'", "exporter.every", '"soon" is not allowed'),
     ("[exporter]\nservice = '../shop'", "exporter.service", '"../shop" is not allowed'),
     ("[exporter]\ndir = 'here'", "exporter.dir", "an absolute path"),
     ("[exporter]\ntenants = 3", "exporter.tenants", "16 to 4096"),
     ("[exporter]\nbudget = '1MiB'", "exporter.budget", "4194304 to 68719476736 bytes"),
     ("[exporter]\nbudget = '1000GB'", "exporter.budget", "68719476736 bytes"),
     ("[exporter]\nflush = ''", "exporter.flush", "stdout, or a path"),
     ("[exporter]\nevry = 2", "exporter.evry", "unknown field `evry` is not allowed; allowed: "),
     ("[exporter]\nevery = []", "exporter.every", "text or a number"),
     ("[exporters]", "exporters", "unknown field `exporters` is not allowed; allowed: "),
     ("[exporter]\nservice = ", "config", "line 2")],
)  # fmt: skip
def test_a_configuration_file_that_is_wrong(tmp_path, toml, field, text):
    path = tmp_path / "sentinel.toml"
    path.write_text(toml)
    with pytest.raises(ConfigError) as raised:
        Sentinel(config=path)
    assert raised.value.field == field
    assert str(raised.value).startswith(f"{field}: ")
    assert text in str(raised.value)


def test_a_configuration_file_that_is_none(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere", os.devnull):
        with pytest.raises(ConfigError) as raised:
            Sentinel(config=path)
        assert raised.value.field == "config"
        assert str(path) in raised.value.value


TOML = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(repr),
    st.booleans().map(lambda value: str(value).lower()),
    st.text().map(json.dumps),
    st.builds('"{}{}"'.format, st.integers(0, 10**20), st.sampled_from(["s", "m", "ms", "MiB", "GiB", "B", ""])),
    st.sampled_from(["[]", "{}", "[1]", "1979-05-27", "", "'", "\\"]),
    # On one line.
    st.text(st.characters(exclude_categories=["Cc", "Cs"])),
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(["service", "dir", "every", "tenants", "budget", "flush", "evry"]), TOML)
def test_whatever_a_file_says_is_used_or_named_by_its_path(key, value):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="replace", newline="") as file:
        file.write(f"[exporter]\n{key} = {value}")
        file.flush()
        try:
            Sentinel(config=file.name)
        except ConfigError as error:
            # What is no TOML has no key: its line says where.
            assert error.field.startswith("exporter.") or (error.field == "config" and "(line " in error.value)
        else:
            assert key != "evry"


def test_who_shares_is_said_by_the_environment_a_file_or_an_argument(tmp_path, monkeypatch):
    def service_of(**options):
        """Where files appear, is where it shares."""
        with Sentinel(**options) as sentinel:
            assert sentinel.report()["scope"] == "host"
            found = {path.parent for path in tmp_path.rglob("*.live")}
        for path in found:
            shutil.rmtree(path)
        return {path.relative_to(tmp_path).as_posix() for path in found}

    tmp_path.chmod(0o700)
    assert Sentinel().sharing() is None
    assert service_of(service="argument", dir=tmp_path) == {"argument"}
    assert service_of(service="argument", dir=str(tmp_path / "deeper")) == {"deeper/argument"}
    config = tmp_path / "sentinel.toml"
    config.write_text(f"[exporter]\nservice = 'file'\ndir = '{tmp_path}'")
    assert service_of(config=config) == {"file"}
    monkeypatch.setenv("SENTINEL_SERVICE", "environment")
    monkeypatch.setenv("SENTINEL_DIR", str(tmp_path))
    assert service_of() == service_of(config=str(config)) == {"environment"}
    assert service_of(service="argument") == service_of(service="argument", config=config) == {"argument"}
    for variable, value in [("SENTINEL_SERVICE", "../shop"), ("SENTINEL_DIR", "here"), ("SENTINEL_EXPORTER_EVERY", "soon")]:
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            with pytest.raises(ConfigError) as raised:
                Sentinel()
            assert raised.value.field == variable


def test_a_file_that_changes_while_it_runs(tmp_path):
    tmp_path.chmod(0o700)
    config = tmp_path / "sentinel.toml"
    config.write_text(f"[exporter]\nservice = 'shop'\ndir = '{tmp_path}'")
    with Sentinel(config=config) as sentinel:
        sentinel.start_exporter()
        assert sentinel.publish()
        config.write_text("[exporter]\nevery = '90s'")
        within(lambda: "config" in sentinel.sharing()["failures"])
        assert "exporter.every: 90 s is not allowed" in sentinel.sharing()["last_error"]
        # What it runs with holds.
        assert sentinel.report()["scope"] == "host"


def tenants(*ids):
    sentinel = Sentinel()
    for tenant_id in ids:
        sentinel.record(tenant_id, "/", 200, 1.0)
    rows = {row["tenant_id"]: row["requests"] for row in sentinel.report(limit=100)["tenants"]}
    return rows, holds(sentinel.stats())["adapter_failures"]


def test_what_is_an_id():
    number = uuid.UUID(int=7)
    assert tenants("acme", b"acme", bytearray(b"acme"), Text("acme")) == ({"acme": 4}, 0)
    assert tenants(42, "42", -1, 2**70) == ({"42": 2, "-1": 1, str(2**70): 1}, 0)
    assert tenants(number, str(number)) == ({str(number): 2}, 0)
    assert tenants("\ud800", b"\xed\xa0\x80") == ({"\\xed\\xa0\\x80": 2}, 0)
    assert tenants(None, "", b"") == ({"unattributed": 3}, 0)
    assert tenants(True, 1.5, object(), ["acme"]) == ({"unattributed": 4}, 4)


@pytest.mark.parametrize(
    ("status", "counts"),
    [(200, (1, 0, 0)), (http.HTTPStatus.BAD_GATEWAY, (1, 0, 0)), (600, (0, 1, 0)), (-1, (0, 1, 0)), (2**80, (0, 1, 0)),
     ("200", (0, 1, 1)), (200.0, (0, 1, 1)), (None, (0, 1, 1)), pytest.param(Hostile(), (0, 1, 1), id="hostile")],
)  # fmt: skip
def test_what_is_a_status(status, counts):
    sentinel = Sentinel()
    sentinel.record("acme", "/", status, 1.0)
    stats = holds(sentinel.stats())
    assert (stats["accepted"], stats["dropped"]["status"], stats["adapter_failures"]) == counts


@pytest.mark.parametrize(
    ("latency", "p50", "adjusted", "failures"),
    [(2, True, 0, 0), (2.0, True, 0, 0), (Decimal("2.0"), True, 0, 0), (None, False, 0, 0), (float("nan"), False, 1, 0),
     (-1, False, 1, 0), (float("inf"), False, 1, 0), (-(2**2_000), False, 1, 0), ("2", False, 1, 1), (True, False, 1, 1)],
)  # fmt: skip
def test_what_is_a_latency(latency, p50, adjusted, failures):
    sentinel = Sentinel()
    sentinel.record("acme", "/", 200, latency)
    stats = holds(sentinel.stats())
    assert stats["accepted"] == 1
    assert (stats["adjusted"]["latency"], stats["adapter_failures"]) == (adjusted, failures)
    found = sentinel.tenant("acme")["p50_ms"]
    assert (found is not None) == p50
    assert found is None or abs(found / 2 - 1) < 0.032


def test_what_is_a_time():
    sentinel = Sentinel()
    now = sentinel.report()["as_of"]
    for at in (None, now, float(now), now - 60_000, 2**80, float("inf"), -(2**80), "now", True, float("nan")):
        sentinel.record("acme", "/", 200, 1.0, at)
    stats = holds(sentinel.stats())
    assert (stats["accepted"], stats["adjusted"]["future"], stats["dropped"]["late"]) == (9, 2, 1)
    assert stats["adapter_failures"] == 3


def test_what_is_an_endpoint():
    sentinel = Sentinel()
    for endpoint in ("/a", Text("/a"), None, "", b"/a", 7):
        sentinel.record("acme", endpoint, 200, 1.0)
    counts = {row["endpoint"]: row["requests"] for row in sentinel.tenant("acme")["endpoints"]}
    assert counts == {"/a": 2, "unmatched": 4}
    assert sentinel.stats()["adapter_failures"] == 2


def test_sixteen_threads_are_counted_exactly():
    sentinel = Sentinel()
    each = 20_000
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def work(me):
        for i in range(each):
            if i % 4:
                sentinel.record(f"tenant-{i % 50}", "/v1/process", 503 if i % 10 == 0 else 200, 1.0)
            else:
                request = sentinel.start(f"tenant-{i % 50}")
                request.finish("/v1/process", 503 if i % 10 == 0 else 200)
            if i % 5_000 == me:
                sentinel.report()

    threads = [threading.Thread(target=work, args=(me,)) for me in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    report = sentinel.report(limit=100)
    assert (report["totals"]["requests"], report["totals"]["errors"]) == (16 * each, 16 * each // 10)
    assert {row["requests"] for row in report["tenants"]} == {16 * each // 50}
    assert holds(report["stats"])["accepted"] == 16 * each


@pytest.fixture(scope="module")
def busy():
    """So many tenants that whoever asks of them asks for a millisecond or more."""
    sentinel = Sentinel(budget="256MiB", places=4_096, max_endpoints=64)
    for i in range(20_000):
        sentinel.record(f"tenant-{i}", f"/{i % 50}", 503 if i % 7 == 0 else 200, 1.0)
    return sentinel


def of_admin(sentinel):
    view = sentinel.admin(public=True)
    # Another limit each time: what was just asked is answered from memory.
    limits = itertools.cycle(range(900, 1_000))
    return lambda: view.respond("GET", "/report", f"limit={next(limits)}")


TAKES_LONG = {
    "report": lambda s: lambda: s.report(limit=1_000),
    "series": lambda s: lambda: s.report(limit=1_000, series=True),
    "text": lambda s: lambda: s.text(limit=1_000),
    "verdict": lambda s: s.verdict,
    "latency_verdict": lambda s: s.latency_verdict,
    "tenant": lambda s: lambda: s.tenant("tenant-7"),
    "tick": lambda s: s.tick,
    "respond": of_admin,
}


@pytest.mark.parametrize("entry", TAKES_LONG)
def test_other_threads_run_meanwhile(busy, entry):
    ask = TAKES_LONG[entry](busy)
    turns, over = itertools.count(), threading.Event()
    at = 0

    def work():
        nonlocal at
        while not over.is_set():
            at = next(turns)
            # Whoever has asked gets its answer.
            time.sleep(0)

    def ran():
        # So that there is something to say that was not said just now.
        busy.record("tenant-7", "/", 200, 1.0)
        before = at
        ask()
        return at > before

    interval = sys.getswitchinterval()
    # Nobody else gets the interpreter but when it is let go of.
    sys.setswitchinterval(1_000)
    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
        # Where the machine is busy, the other one may not be on its feet in a millisecond.
        within(ran)
    finally:
        over.set()
        sys.setswitchinterval(interval)
        thread.join()


def test_a_guard_that_is_let_go_is_aborted_or_uncounted():
    sentinel = Sentinel()
    request = sentinel.start("acme")
    assert sentinel.tenant("acme")["in_flight"] == 1
    del request
    assert sentinel.report()["totals"]["aborted"] == 1
    sentinel.start("acme").discard()
    assert sentinel.stats()["offered"] == 1


def test_what_is_closed_counts_no_more():
    sentinel = Sentinel()
    sentinel.record("acme", "/", 200, 1.0)
    sentinel.close()
    sentinel.close()
    sentinel.record("acme", "/", 200, 1.0)
    sentinel.start("acme").finish("/", 200)
    assert sentinel.stats()["offered"] == 1


def test_what_is_closed_shares_no_more_and_still_answers(tmp_path):
    tmp_path.chmod(0o700)
    sentinel, other = (Sentinel(service="shop", dir=tmp_path) for _ in range(2))
    sentinel.record("acme", "/", 200, 1.0)
    sentinel.close()
    sentinel.start_exporter()
    assert sentinel.publish() is False
    assert sentinel.sharing()["running"] is False
    report = sentinel.report()
    assert (report["scope"], report["scope_note"], report["totals"]["requests"]) == ("process", "the exporter is closed", 1)
    assert other.report()["totals"]["requests"] == 1
    assert other.sharing()["sources"] == 1
