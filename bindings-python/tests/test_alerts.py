"""People are told once, whichever process has seen it, and anybody may ask; what cannot be configured is named, and not shown."""

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anything import ANYTHING, Hostile
from receiver import receiving
from service import TOKEN, Service, free_port, within
from tenant_sentinel import ConfigError, Sentinel, types

CANARY = "canary-7f3a"
TEN = {
    "tenant_errors": {"at_least": 10, "for": 0},
    "verdict": {"errors": False, "latency": False},
    "grouping": {"first": 0, "then": 0},
}
HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setenv("SENTINEL_EXPORTER_EVERY", "0.5s")


@pytest.fixture
def place(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


def webhook(url, **more):
    return {"type": "webhook", "name": "pager", "url": url} | more


def shop(place, *sinks, **more):
    return Sentinel(service="shop", dir=place, alerts=TEN | {"sinks": list(sinks)}, **more)


def fail(sentinel, tenant="acme", times=12):
    for _ in range(times):
        sentinel.record(tenant, "/v1", 503, 1.0)
    sentinel.publish()


def firing(sentinel):
    """The report, once the alert is told."""

    def told():
        report = sentinel.alerts()
        (one,) = report["alerts"] or [None]
        return report if one and one["phase"] == "firing" and report["sinks"][0]["delivered"] else None

    return within(told)


def test_one_message_comes_and_every_process_knows(place, receiver):
    with shop(place, webhook(receiver.url)) as one, shop(place, webhook(receiver.url)) as other:
        one.start_exporter()
        fail(other)
        reports = [firing(sentinel) for sentinel in (one, other)]
        assert sorted(report["leader"] for report in reports) == [False, True]
        (message,) = receiver.messages
        assert (message["type"], message["data"]["service"], message["data"]["firing"]) == ("sentinel.alert", "shop", 1)
        (listed,) = message["data"]["listed"]
        assert (listed["status"], listed["subject"]) == ("firing", {"tenant_id": "acme"})
        for report in reports:
            (followed,) = report["alerts"]
            assert (followed["subject"], followed["alert"]["id"]) == ({"tenant_id": "acme"}, listed["id"])
            assert followed["title"].startswith("🚨 Sentinel: Tenant acme has ")
            (sink,) = report["sinks"]
            assert (sink["offered"], sink["delivered"], sink["pending"], sink["dropped"]) == (1, 1, 0, {})
            for value, shape in [
                (report, types.AlertsReport), (report["counts"], types.AlertCounts), (followed, types.FollowedAlert),
                (followed["alert"], types.Alert), (followed["alert"]["evidence"], types.Evidence), (sink, types.SinkReport),
            ]:  # fmt: skip
                assert set(value) == set(shape.__annotations__), shape
        for sentinel in (one, other):
            status, _, body = sentinel.admin(public=True).respond("GET", "/alerts")
            assert (status, json.loads(body)["alerts"][0]["subject"]) == (200, {"tenant_id": "acme"})
        fail(one)
        time.sleep(1.5)
        assert len(receiver.messages) == 1


def test_one_message_of_four_workers(place, receiver):
    env = {"SENTINEL_SERVICE": "shop", "SENTINEL_DIR": str(place), "SENTINEL_ADMIN_TOKEN": TOKEN, "RECEIVER": receiver.url}
    command = ["gunicorn", "-b", "127.0.0.1:PORT", "--log-level", "critical", "-w", "4", "apps.alerts_flask_app:app"]
    service = Service(command, env)
    try:
        with ThreadPoolExecutor(8) as pool:
            asked = pool.map(lambda _: service.visit("/orders/503", "acme"), range(40))
            assert set(asked) == {503}
            within(lambda: receiver.messages)

            def shows(_):
                status, headers, body = service.exchange("/sentinel/alerts", [("authorization", f"Bearer {TOKEN}")])
                if status == 503:  # nobody can say within a quarter of a second
                    return None
                assert status == 200, body
                report = json.loads(body)
                # Of a verdict too, where it comes to that.
                found = [alert for alert in report["alerts"] if alert["rule"] == "tenant_errors" and alert["phase"] == "firing"]
                assert {alert["subject"]["tenant_id"] for alert in found} <= {"acme"}
                return headers["x-worker"] if found else None

            workers = set()
            within(lambda: workers.update(pool.map(shows, range(8))) or len(workers - {None}) == 4)
        time.sleep(1.5)
        told = [one for message in receiver.messages for one in message["data"]["listed"] if one["rule"] == "tenant_errors"]
        assert [(one["status"], one["subject"]) for one in told] == [("firing", {"tenant_id": "acme"})]
    finally:
        service.close()


def test_who_comes_later_does_not_tell_again(place, receiver):
    state = place / "state"
    state.mkdir(mode=0o700)
    share = place / "share"
    share.mkdir(mode=0o700)
    with shop(share, webhook(receiver.url), state_dir=state) as sentinel:
        fail(sentinel)
        before = firing(sentinel)
    assert list(state.rglob("*"))
    with pytest.raises(RuntimeError, match="closed"):
        sentinel.alerts()
    with pytest.raises(RuntimeError, match="closed"):
        sentinel.test_alert()
    with shop(share, webhook(receiver.url), state_dir=state) as sentinel:
        after = firing(sentinel)
        assert after["alerts"][0]["alert"]["id"] == before["alerts"][0]["alert"]["id"]
        time.sleep(1.2)
        assert len(receiver.messages) == 1


def test_a_test_says_how_it_goes_with_each_sink(place, receiver):
    dead = f"http://127.0.0.1:{free_port()}/{CANARY}"
    with shop(place, webhook(receiver.url), webhook(dead, name="dead")) as one, shop(place, webhook(receiver.url)) as other:
        other.start_exporter()
        bad, good = one.test_alert()
        assert good == {"name": "pager", "kind": "webhook", "error": None}
        assert (bad["name"], bad["kind"]) == ("dead", "webhook")
        assert "refused" in bad["error"]
        assert CANARY not in str(bad)
        assert [message["type"] for message in receiver.messages] == ["sentinel.test"]
        for timeout in (5, "5s", None):
            assert one.test_alert("pager", timeout=timeout) == [good]
        assert one.test_alert("dead") == [bad]
        assert len(receiver.messages) == 4
        with pytest.raises(ConfigError) as caught:
            one.test_alert("nobody")
        assert (caught.value.field, caught.value.value, caught.value.allowed) == ("sink", '"nobody"', "pager, dead")
        for given, field in [({"sink": 7}, "sink"), ({"timeout": "soon"}, "timeout"), ({"timeout": -1}, "timeout")]:
            with pytest.raises(ConfigError) as caught:
                one.test_alert(**given)
            assert caught.value.field == field
        # For ever is a minute; and no time is none.
        assert one.test_alert("dead", timeout=1e15) == [bad]


def test_other_threads_run_meanwhile(place, receiver):
    receiver.answers.clear()
    with shop(place, webhook(receiver.url)) as sentinel:
        results = []
        thread = threading.Thread(target=lambda: results.append(sentinel.test_alert(timeout=9)))
        thread.start()
        within(lambda: receiver.messages)
        for _ in range(100):
            sentinel.record("acme", "/", 200, 1.0)
            time.sleep(0.001)
        # Whoever held the interpreter until the test was over would have let none of these run before.
        assert not results
        receiver.answers.set()
        thread.join()
        assert results[0][0]["error"] is None
        # Who does not wait hears that nothing was heard.
        receiver.answers.clear()
        (tried,) = sentinel.test_alert(timeout=0.5)
        assert tried["error"] is not None


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """Without a sink, and with one that writes to a file."""
    place = tmp_path_factory.mktemp("quiet")
    place.chmod(0o700)
    with shop(place, {"type": "log", "name": "file", "to": str(place / "log")}) as sentinel:
        sentinel.start_exporter()
        yield Sentinel(), sentinel


# The name of the one that there is among them, and durations of every form.
SINK = st.one_of(st.just("file"), ANYTHING)
TIMEOUT = st.one_of(st.sampled_from([0, 0.01, "5ms", timedelta(milliseconds=5)]), ANYTHING)


@settings(max_examples=300, deadline=None)
@given(SINK, TIMEOUT)
def test_a_test_works_or_is_an_error_that_names_the_argument(quiet, sink, timeout):
    none, one = quiet
    is_one = sink is None or (isinstance(sink, str) and sink == "file")
    for sentinel in (none, one):
        try:
            (tried,) = sentinel.test_alert(sink, timeout=timeout)
        except ConfigError as error:
            assert error.field in ("sink", "timeout")
            assert str(error).startswith(f"{error.field}: ")
            assert error.allowed
            if error.field == "sink":
                assert sentinel is none or not is_one
            else:
                assert not isinstance(timeout, timedelta | None)
        except RuntimeError as error:
            # Who does not wait.
            assert "has not answered within" in str(error)
            assert (sentinel, is_one) == (one, True)
        else:
            # A name that is none is no sink at all, and not every one of them.
            assert (sentinel, is_one, tried["name"]) == (one, True, "file")


ENDS = """
import sys, threading
from pathlib import Path
from tenant_sentinel import Sentinel
sink = {"type": "webhook", "url": sys.argv[2]}
sentinel = Sentinel(service="shop", dir=sys.argv[1], alerts={"sinks": [sink]})
threads = [threading.Thread(target=sentinel.test_alert, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
sys.stdin.readline()
"""


def test_an_exit_does_not_wait_for_a_test(place, receiver):
    receiver.answers.clear()
    command = [sys.executable, "-B", "-c", ENDS, place, receiver.url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        within(lambda: receiver.messages)
        began = time.monotonic()
        out, err = process.communicate("\n", timeout=60)
        assert (process.returncode, out) == (0, ""), err
        assert "Fatal" not in err
        # The test itself gives up after 9.5 s, and so would an exit that waits for it.
        assert time.monotonic() - began < 9


def test_without_configuration_there_is_nothing_to_say(place):
    assert Sentinel().alerts() is None
    with Sentinel(service="shop", dir=place) as sentinel:
        assert sentinel.alerts() is None
        for one in (sentinel, Sentinel()):
            with pytest.raises(ConfigError) as caught:
                one.test_alert()
            assert str(caught.value) == "sink: none is not allowed; allowed: one that is configured, and there is none"
            with pytest.raises(ConfigError, match='sink: "ops"'):
                one.test_alert("ops")


def test_the_environment_adds_sinks(place, receiver, monkeypatch):
    key = b"k" * 24
    monkeypatch.setenv("SENTINEL_SERVICE", "shop")
    monkeypatch.setenv("SENTINEL_DIR", str(place))
    monkeypatch.setenv("SENTINEL_STATE_DIR", str(place))
    monkeypatch.setenv("SENTINEL_WEBHOOK_URL", receiver.url)
    monkeypatch.setenv("SENTINEL_WEBHOOK_SECRET", f"whsec_{base64.b64encode(key).decode()}")
    with Sentinel() as sentinel:
        assert sentinel.test_alert() == [{"name": "webhook", "kind": "webhook", "error": None}]
        ((headers, body),) = receiver.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{digest}"
    monkeypatch.setenv("SENTINEL_SLACK_URL", f"ftp://{CANARY}/")
    with pytest.raises(ConfigError) as caught:
        Sentinel()
    assert caught.value.field == "SENTINEL_SLACK_URL"
    assert CANARY not in repr(caught.value)


CYCLE = []
CYCLE.append(CYCLE)
DEEP = CANARY
for _ in range(100_000):
    DEEP = [DEEP]
SLACK = {"type": "slack", "url": f"https://hooks.slack.com/{CANARY}"}


@pytest.mark.parametrize(
    ("field", "alerts"),
    [
        ("alerts", CANARY), ("alerts", 7), ("alerts", True), ("alerts", []), ("alerts", [SLACK]), ("alerts", {7: CANARY}),
        ("alerts", {SLACK["url"]: 7}), ("alerts", {"x" * 33: 7}), ("alerts", {"\ud800": 7}),
        ("alerts.at_most", {"at_most": CANARY}),
        ("alerts.sinks", {"sinks": CANARY}), ("alerts.sinks", {"sinks": SLACK}), ("alerts.sinks[0]", {"sinks": [CANARY]}),
        ("alerts.sinks[1].url", {"sinks": [SLACK, SLACK | {"name": "b", "url": CANARY}]}),
        ("alerts.sinks[0].url", {"sinks": [SLACK | {"url": f"http://hooks.slack.com/{CANARY}"}]}),
        ("alerts.sinks[0].url", {"sinks": [SLACK | {"url": object()}]}),
        ("alerts.sinks[0].url", {"sinks": [SLACK | {"url": b"https://" + CANARY.encode()}]}),
        ("alerts.sinks[0].url", {"sinks": [SLACK | {"url": "\ud800" + CANARY}]}),
        ("alerts.sinks[0].url", {"sinks": [SLACK | {"url": {"env": f"NO_{CANARY}"}}]}),
        ("alerts.sinks[0].secret", {"sinks": [SLACK | {"secret": CANARY}]}),
        ("alerts.sinks[0].secret", {"sinks": [SLACK | {"type": "webhook", "secret": CANARY}]}),
        ("alerts.sinks[0].urll", {"sinks": [SLACK | {"urll": CANARY}]}),
        ("alerts.sinks[0].type", {"sinks": [SLACK | {"type": CANARY}]}),
        ("alerts.sinks[1].name", {"sinks": [SLACK, SLACK]}),
        ("alerts.tenant_errors", {"tenant_errors": CANARY}),
        ("alerts.tenant_errors.at_least", {"tenant_errors": {"at_least": CANARY}}),
        ("alerts.tenant_errors.at_least", {"tenant_errors": {"at_least": 0}}),
        ("alerts.tenant_errors.at_least", {"tenant_errors": {"at_least": 2**64}}),
        ("alerts.tenant_errors.for", {"tenant_errors": {"for": CANARY}}),
        ("alerts.tenant_share.above", {"tenant_share": {"above": float("nan")}}),
        ("alerts.verdict.kinds[0]", {"verdict": {"kinds": [CANARY]}}),
        ("alerts.sinks" + "[0]" * 7, {"sinks": CYCLE}), ("alerts.sinks" + "[0]" * 7, {"sinks": DEEP}),
        ("alerts.sinks[0].url", {"sinks": [SLACK | {"url": CANARY * 100_000}]}),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_and_not_shown(place, field, alerts):
    with pytest.raises(ConfigError) as caught:
        Sentinel(service="shop", dir=place, alerts=alerts)
    error = caught.value
    assert error.field == field, error
    for text in (str(error), repr(error), error.value, error.allowed, repr(error.args), str(error.__dict__)):
        assert CANARY not in text
        assert len(text) < 600


def test_too_much_is_refused_before_it_is_copied(place):
    with pytest.raises(ConfigError, match="1 MiB in all"):
        Sentinel(service="shop", dir=place, alerts={"sinks": [None] * 2_000_000})
    wide = [[[[[[0] * 100] * 100] * 100] * 100] * 100]
    with pytest.raises(ConfigError, match="1 MiB in all"):
        Sentinel(service="shop", dir=place, alerts={"sinks": wide})


def test_the_table_of_the_readme(place, monkeypatch):
    text = (HERE.parent / "README.md").read_text()
    (table,) = (part.partition("```")[0] for part in text.split("```toml\n")[1:] if part.startswith("[alerts]"))
    secret = place / "secret"
    secret.write_text(f"whsec_{base64.b64encode(b'k' * 24).decode()}")
    monkeypatch.setenv("SLACK_URL", SLACK["url"])
    file = place / "sentinel.toml"
    file.write_text("[exporter]\nservice = 'shop'\n" + table.replace("/run/secrets/webhook", str(secret)))
    with Sentinel(dir=place, config=file) as sentinel:
        names = [sink["name"] for sink in sentinel.alerts()["sinks"]]
        assert sorted(names) == ["email", "slack", "webhook"]


def test_alerts_need_a_service():
    with pytest.raises(ConfigError) as caught:
        Sentinel(alerts={"sinks": [SLACK]})
    assert str(caught.value) == "service: none is not allowed; allowed: the name of the service that alerts are about"


def test_the_state_has_a_directory(place):
    for value in ("here", 7):
        with pytest.raises(ConfigError) as caught:
            Sentinel(service="shop", dir=place, state_dir=value)
        assert caught.value.field == "state_dir"


def test_a_secret_is_nowhere_to_be_seen(place):
    dead = f"http://127.0.0.1:{free_port()}/{CANARY}"
    secret = f"whsec_{base64.b64encode(CANARY.encode() * 3).decode()}"
    with shop(place, webhook(dead, secret=secret), {"type": "log", "to": str(place / "log")}) as sentinel:
        fail(sentinel)
        within(lambda: sentinel.alerts()["sinks"][0]["last_error"])
        seen = [
            repr(sentinel),
            str(vars(type(sentinel))),
            *map(json.dumps, (sentinel.alerts(), sentinel.sharing(), sentinel.stats())),
        ]
        seen += [str(sentinel.test_alert()), within(lambda: (place / "log").exists() and (place / "log").read_text())]
        for text in seen:
            assert CANARY not in text
            assert secret not in text
        # But what is published on disk may not have it either.
        for file in place.rglob("*"):
            assert not file.is_file() or CANARY.encode() not in file.read_bytes(), file


def test_every_form_of_a_value_is_read(place, receiver, monkeypatch):
    monkeypatch.setenv("URL", receiver.url)

    class Name(str):
        pass

    class Table(dict):
        pass

    rule = Table(above=0.5, keep_firing_for="1m", **{"for": 0})
    alerts = {"tenant_share": rule, "tenant_errors": None, Name("sinks"): (Table(type=Name("webhook"), url={"env": "URL"}),)}
    with Sentinel(service="shop", dir=place, alerts=alerts) as sentinel:
        assert [tried["error"] for tried in sentinel.test_alert()] == [None]
        assert sentinel.alerts()["alerts"] == []


NAMES = {
    "alerts": """verdict tenant_errors tenant_share tenant_latency grouping sinks at_least for type url name to host kinds secret
        ca_file env file max_size""",
    "uptime": """checks allow name target interval timeout method headers expect status contains json max_latency confirm failures
        every maintenance weekly days at for tags ca_file""",
}
# What can be used, and nearly can once something else is put into it.
USED = {
    "alerts": {"sinks": [SLACK], "tenant_errors": {"at_least": 10}},
    "uptime": {"checks": [{"name": "shop", "target": f"https://shop.example/{CANARY}", "headers": {"x-api-key": CANARY}}]},
}
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.text(st.characters(categories=["Cs"])),
    st.binary(),
    st.uuids(),
    st.datetimes(),
    st.builds(Hostile),
    st.sampled_from(["slack", "webhook", "log", "email", "2m", "2xx", "GET", "sat", "03:00", "private", 0, 10, 0.5, receiving]),
    st.sampled_from(
        [CANARY, CANARY.encode(), f"https://{CANARY}.example/", f"tcp://{CANARY}", f"{CANARY}:443", f"\ud800{CANARY}"]
    ),
)


def trees(names):
    """Of the form of such a table, or nearly."""
    keys = st.one_of(st.sampled_from(names), st.sampled_from([f"/{CANARY}", CANARY.encode()]), st.text(), st.integers())
    return st.recursive(
        LEAVES,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(keys, inner, max_size=5),
        ),
        max_leaves=12,
    )


@st.composite
def changed(draw, value, tree, names):
    """Here or there something else is in its place, or more."""
    if draw(st.integers(0, 9)) == 0:
        return draw(tree)
    if isinstance(value, list):
        return [draw(changed(item, tree, names)) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: draw(changed(item, tree, names)) for key, item in value.items()}
    return value | draw(st.dictionaries(st.sampled_from(names), tree, max_size=1))


def given_for(option):
    names = NAMES[option].split()
    tree = trees(names)
    tables = st.dictionaries(st.sampled_from(names), tree, max_size=3)
    return st.tuples(st.just(option), st.one_of(tree, tables, changed(USED[option], tree, names)))


@settings(max_examples=300, deadline=None)
@given(st.one_of(given_for("alerts"), given_for("uptime")))
def test_whatever_is_given_works_or_is_an_error_that_names_it(table):
    option, value = table
    with tempfile.TemporaryDirectory() as place:
        try:
            with Sentinel(service="shop", dir=place, **{option: value}) as sentinel:
                assert CANARY not in repr(sentinel)
        except ConfigError as error:
            assert re.fullmatch(rf"{option}(\.\w+|\.?\[\d+\])*", error.field), error.field
            for text in (str(error), repr(error), error.value, error.allowed):
                assert CANARY not in text
                assert len(text) < 1_000
        assert os.listdir(place) == []


@pytest.mark.parametrize("option", USED)
def test_what_these_trees_grow_from_can_be_used(place, option):
    Sentinel(service="shop", dir=place, **{option: USED[option]}).close()
