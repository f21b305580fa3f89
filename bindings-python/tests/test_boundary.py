"""Nothing escapes `record`, whatever it is given, and the ledger holds; what cannot be configured is named."""

import datetime
import http
import sys
import threading
import uuid
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tenant_sentinel
from tenant_sentinel import ConfigError, Sentinel


class Hostile:
    """Raises wherever it is touched."""

    def _raise(self, *args):
        raise SystemExit("touched")

    def __repr__(self):
        raise RuntimeError("touched")

    __str__ = __float__ = __index__ = __int__ = __hash__ = __eq__ = __bool__ = __len__ = _raise


class Text(str):
    def encode(self, *args):
        raise RuntimeError("a subclass of str")

    __str__ = encode


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**70), max_value=2**2_000),
    st.floats(),
    st.text(),
    st.text(st.characters(categories=["Cs", "Lu"])),
    st.binary(),
    st.binary().map(bytearray),
    st.binary().map(memoryview),
    st.uuids(),
    st.decimals(),
    st.datetimes(),
    st.lists(st.integers(), max_size=3),
    st.builds(Hostile),
    st.text().map(Text),
    st.sampled_from([http.HTTPStatus.OK, object, len, "x" * (1 << 20), b"x" * (1 << 20), 10**5_000, -(10**5_000)]),
)
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


OPTIONS = ["window", "slot", "budget", "errors", "places", "max_endpoints", "stripes", "slow_after", "admin_token"]


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
        assert error.field in (option, "window")
        assert str(error).startswith(f"{error.field}: ")
        assert error.allowed


@settings(max_examples=500, deadline=None)
@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_a_query_answers_or_is_an_error_that_names_the_argument(by, limit, window, scope):
    for ask, fields in [
        (lambda: SHARED.report(by, limit, window, scope), {"by", "limit", "window", "scope"}),
        (lambda: SHARED.text(by, limit, window), {"by", "limit", "window"}),
        (lambda: SHARED.tenant(by, window), {"tenant_id", "window"}),
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
        ({"admin_token": 12345678}, "admin_token: what is no text is not allowed; allowed: text"),
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
