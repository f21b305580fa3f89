"""A panic at an entry from Python does not reach the app, and after a few nothing is tried any more."""

import subprocess
import sys
from pathlib import Path

import pytest

from tenant_sentinel import Sentinel, _native


def begun(sentinel):
    return sentinel._begin({"headers": [(b"x-tenant-id", b"acme")]}, None, "key", b"x-tenant-id")


ENTRIES = {
    "record": lambda s: s.record("acme", "/", 200, 1.0),
    "start": lambda s: s.start("acme").finish("/", 200),
    "guard_tenant": lambda s: s.start().tenant("acme"),
    "guard_endpoint": lambda s: s.start().endpoint("/"),
    "guard_finish": lambda s: s.start().finish("/", 200),
    "guard_discard": lambda s: s.start().discard(),
    "guard_drop": lambda s: s.start(),
    "begin": lambda s: begun(s),
    "request_set_tenant": lambda s: begun(s).set_tenant("acme"),
    "request_finish": lambda s: begun(s).finish("/", 200),
    "request_discard": lambda s: begun(s).discard(),
    "request_drop": lambda s: begun(s),
    "adapter_failed": lambda s: s.adapter_failed(),
}
ASKED = {
    "report": lambda s: s.report(),
    "text": lambda s: s.text(),
    "verdict": lambda s: s.verdict(),
    "latency_verdict": lambda s: s.latency_verdict(),
    "tenant": lambda s: s.tenant("acme"),
    "stats": lambda s: s.stats(),
    "memory": lambda s: s.memory(),
    "tick": lambda s: s.tick(),
    "admin": lambda s: s.admin(),
    "alerts": lambda s: s.alerts(),
    "uptime": lambda s: s.uptime(),
    "new": lambda s: Sentinel(),
}


@pytest.fixture(autouse=True)
def _works_again():
    yield
    _native._fail_at(None)


@pytest.mark.parametrize("entry", ENTRIES)
def test_on_the_path_of_a_request_nothing_is_raised(entry, capfd):
    sentinel = Sentinel()
    _native._fail_at(entry)
    ENTRIES[entry](sentinel)
    assert "asked for by a test" in capfd.readouterr().err
    if entry not in ("adapter_failed", "guard_drop", "request_drop"):
        assert sentinel.stats()["adapter_failures"] >= 1
    _native._fail_at(None)
    sentinel.record("acme", "/", 200, 1.0)
    assert sentinel.stats()["accepted"] >= 1


@pytest.mark.parametrize("entry", ASKED)
def test_who_asks_gets_an_error(entry):
    sentinel = Sentinel()
    _native._fail_at(entry)
    with pytest.raises(RuntimeError, match="failed inside"):
        ASKED[entry](sentinel)
    _native._fail_at(None)
    ASKED[entry](sentinel)


def test_sharing_fails_alone(tmp_path, capfd):
    tmp_path.chmod(0o700)
    sentinel = Sentinel(service="shop", dir=tmp_path)
    for entry, call, fails in [
        ("start_exporter", sentinel.start_exporter, None),
        ("publish", sentinel.publish, False),
        ("close", sentinel.close, None),
    ]:
        _native._fail_at(entry)
        assert call() is fails
        assert "asked for by a test" in capfd.readouterr().err
        _native._fail_at(None)
    _native._fail_at("sharing")
    with pytest.raises(RuntimeError, match="failed inside"):
        sentinel.sharing()
    for entry, options in [("exporter", {}), ("alerts_option", {"alerts": {}}), ("uptime_option", {"uptime": {}})]:
        _native._fail_at(entry)
        with pytest.raises(RuntimeError, match="failed inside"):
            Sentinel(service="shop", dir=tmp_path, **options)
    _native._fail_at("test_alert")
    with pytest.raises(RuntimeError, match="failed inside"):
        sentinel.test_alert()
    _native._fail_at("exporter")
    with pytest.raises(RuntimeError, match="failed inside"):
        Sentinel(service="shop", dir=tmp_path)
    _native._fail_at(None)
    assert Sentinel(service="shop", dir=tmp_path).report()["scope"] == "host"


def test_the_admin_view_answers_500():
    admin = Sentinel().admin(public=True)
    _native._fail_at("admin_respond")
    assert admin.respond("GET", "/report")[0] == 500
    _native._fail_at(None)
    assert admin.respond("GET", "/report")[0] == 200


def test_after_a_few_nothing_is_tried_any_more(capfd):
    sentinel = Sentinel()
    _native._fail_at("record")
    for _ in range(10):
        sentinel.record("acme", "/", 200, 1.0)
    assert capfd.readouterr().err.count("asked for by a test") == 3
    sentinel.start("acme").finish("/", 200)
    with pytest.raises(RuntimeError):
        sentinel.report()
    _native._fail_at(None)
    assert sentinel.stats()["offered"] == 0


@pytest.mark.parametrize(("entry", "panics", "published"), [("drain", 1, 1), ("drain_wait", 1, None), ("nothing", 3, None)])
def test_a_process_ends_as_it_should_whatever_fails_at_its_exit(entry, panics, published, tmp_path):
    tmp_path.chmod(0o700)
    child = [sys.executable, "-B", Path(__file__).parent / "drains.py", tmp_path, entry]
    done = subprocess.run(child, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "0\n")
    # The messages of the panics, and nothing of the interpreter's.
    assert done.stderr.count("panicked at") == done.stderr.count("asked for by a test") == panics
    assert "Traceback" not in done.stderr
    assert "Fatal" not in done.stderr
    if published is not None:
        assert Sentinel(service="drains", dir=tmp_path).report()["totals"]["errors"] == published
