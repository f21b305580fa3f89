"""What is checked is taken as given, what cannot be used is named and not shown, and the shapes are those of the document."""

import json
import threading
import typing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anything import ANYTHING
from service import within
from tenant_sentinel import ConfigError, Sentinel, types

CANARY = "canary-7f3a"
CHECK = {"name": "shop", "target": f"https://shop.example/{CANARY}"}
EVERYTHING = {
    "checks": [
        CHECK
        | {
            "interval": "30s",
            "timeout": 2.5,
            "method": "GET",
            "headers": {"X-Api-Key": CANARY, "user_agent": "x", "h" * 64: ""},
            "expect": {
                "status": ["2xx", 304],
                "json": {"/db/ready": True, "": {"a b": [{"/": None}, 1.5]}},
                "max_latency": "800ms",
            },
            "confirm": {"failures": 2},
            "maintenance": ({"weekly": {"days": ("sat",), "at": "03:00", "for": "90m"}},),
            "tags": ["eu"],
        }
    ]
}


def nested(levels):
    value = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def refused(**options):
    with pytest.raises(ConfigError) as caught:
        Sentinel(service="shop", **options)
    return caught.value


@pytest.mark.parametrize(
    ("field", "uptime"),
    [
        ("uptime", CANARY),
        ("uptime", [CHECK]),
        ("uptime", {CANARY + "/": 7}),
        ("uptime", {7: 7}),
        ("uptime", {CANARY.encode(): 7}),
        ("uptime.checks", {"checks": {CANARY}}),
        ("uptime.checks[0].target", {"checks": [CHECK | {"target": CANARY.encode()}]}),
        ("uptime.checks[0].interval", {"checks": [CHECK | {"interval": float("inf")}]}),
        # The names of headers, and what is looked for in JSON, are somebody's own: they are read, and not shown either.
        ("uptime.checks[1].headers", {"checks": [CHECK, CHECK | {"headers": {CANARY + "/": object()}}]}),
        ("uptime.checks[0].headers", {"checks": [CHECK | {"headers": {7: ""}}]}),
        ("uptime.checks[0].expect.json", {"checks": [CHECK | {"expect": {"json": {"/" + CANARY: {CANARY: b""}}}}]}),
        ("uptime.checks[0].expect.json[2]", {"checks": [CHECK | {"expect": {"json": {"/" + CANARY: [1, 2, {CANARY: b""}]}}}]}),
        ("uptime.checks[0].expect.json", {"checks": [CHECK | {"expect": {"json": nested(5)}}]}),
        # Nowhere else.
        ("uptime.checks[0].expect", {"checks": [CHECK | {"expect": {"/" + CANARY: 1}}]}),
    ],
)
def test_what_cannot_be_used_is_named_and_not_shown(place, field, uptime):
    error = refused(dir=place, uptime=uptime)
    assert error.field == field
    assert CANARY not in f"{error}{error.value}{error.allowed}"


def test_an_alert_has_no_keys_that_are_somebodys_own(place):
    error = refused(dir=place, alerts={"headers": {"/" + CANARY: 1}})
    assert (error.field, error.allowed) == ("alerts.headers", "names of options as keys")


@pytest.fixture
def place(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path


def test_every_form_of_a_value_is_taken(place):
    given = json.dumps(EVERYTHING, default=list)
    with Sentinel(service="shop", dir=place, uptime=EVERYTHING) as sentinel:
        assert CANARY not in repr(sentinel)
    # It is read, and left as it is.
    assert json.dumps(EVERYTHING, default=list) == given


def test_too_much_is_refused(place):
    error = refused(dir=place, uptime={"checks": [CHECK | {"headers": {"x" * (1 << 20): ""}}]})
    assert (error.field, error.allowed) == ("uptime.checks[0].headers", "1 MiB in all")


def test_without_checks_there_is_nothing_to_say(place):
    assert Sentinel().uptime() is None
    assert Sentinel().uptime(series=True) is None
    with Sentinel(service="shop", dir=place) as sentinel:
        assert sentinel.uptime() is None
        status, _, body = sentinel.admin(public=True).respond("GET", "/uptime", "series=1")
        assert (status, json.loads(body)) == (200, None)
        with pytest.raises(ConfigError) as caught:
            sentinel.uptime(series="yes")
        assert caught.value.field == "series"
        with pytest.raises(TypeError):
            sentinel.uptime(True)  # type: ignore[misc]


@pytest.fixture(scope="module")
def checking(tmp_path_factory):
    """Without checks, and with one that is made once an hour, of an address that is none to be probed."""
    place = tmp_path_factory.mktemp("checking")
    place.chmod(0o700)
    check = {"name": "shop", "target": "http://127.0.0.1:9/", "interval": "1h"}
    with Sentinel(service="shop", dir=place, uptime={"checks": [check]}) as sentinel:
        within(sentinel.uptime)
        yield Sentinel(), sentinel


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.booleans(), ANYTHING))
def test_the_days_are_asked_for_or_not(checking, series):
    for sentinel in checking:
        if isinstance(series, bool | None):
            report = sentinel.uptime(series=series)
            assert report is None or all(("days" in check) is bool(series) for check in report["checks"])
            continue
        with pytest.raises(ConfigError, match=r"^series: ") as caught:
            sentinel.uptime(series=series)
        assert (caught.value.field, bool(caught.value.allowed)) == ("series", True)


@pytest.fixture
def target():
    """A server, and the status with which it answers."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(answers["status"])
            self.end_headers()

        def log_message(self, *_):
            pass

    answers = {"status": 200}
    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{CANARY}", answers
    server.shutdown()
    server.server_close()


def test_a_target_is_up_and_down(place, target):
    url, answers = target
    check = {"name": "shop", "target": url, "interval": "1s", "confirm": {"every": "100ms"}}
    uptime = {"allow": ["loopback"], "checks": [check]}
    alerts = {"grouping": {"first": 0, "then": 0}}
    with Sentinel(service="shop", dir=place, uptime=uptime, alerts=alerts) as sentinel:

        def standing(status):
            found = sentinel.uptime(series=True)
            return found if found["counts"][status] == 1 else None

        report = within(lambda: standing("up"))
        (shop,) = report["checks"]
        assert (shop["name"], shop["last"]["status"], len(shop["days"]["up_ms"])) == ("shop", 200, 90)
        assert (report["leader"], report["service"], report["note"]) == (True, "shop", None)
        answers["status"] = 503
        (shop,) = within(lambda: standing("down"))["checks"]
        assert shop["last"]["cause"] == "status"
        (alert,) = within(lambda: sentinel.alerts()["alerts"])
        assert (alert["rule"], alert["subject"]) == ("target_down", {"target": "shop"})
        assert alert["alert"]["evidence"]["target"]["http_status"] == 503
        answers["status"] = 200
        within(lambda: standing("up") and not sentinel.alerts()["alerts"])
        assert CANARY not in json.dumps([sentinel.uptime(), sentinel.alerts(), sentinel.sharing()])


def differences(shape, schema, schemas, where, met):
    """Where a `TypedDict` is not what the document of the admin view says of it."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    met.add(shape)
    hints = typing.get_type_hints(shape)
    if hints.keys() != schema["properties"].keys():
        yield f"{where}: {sorted(hints.keys() ^ schema['properties'].keys())}"
    if shape.__required_keys__ != set(schema["required"]):
        yield f"{where}: required {sorted(shape.__required_keys__ ^ set(schema['required']))}"
    for name, hint in hints.items():
        inner = schema["properties"].get(name, {})
        parts = [part for part in typing.get_args(hint) or [hint] if part is not type(None)]
        is_none = type(None) in typing.get_args(hint)
        kinds = [inner.get("type")] if isinstance(inner.get("type"), str) else list(inner.get("type", []))
        if is_none != ("null" in kinds or {"type": "null"} in inner.get("oneOf", [])):
            yield f"{where}.{name}: null"
        if typing.get_origin(hint) is list:
            inner, parts = inner["items"], list(typing.get_args(hint))
        if "oneOf" in inner:
            inner = inner["oneOf"][0]
        if typing.is_typeddict(parts[0]):
            yield from differences(parts[0], inner, schemas, f"{where}.{name}", met)
        elif typing.get_origin(hint) is typing.Literal and "enum" in inner and set(parts) != set(inner["enum"]):
            yield f"{where}.{name}: {parts}"


def test_the_shapes_are_those_of_the_document():
    document = json.loads(Sentinel().admin(public=True).respond("GET", "/openapi.json")[2])
    schemas, met = document["components"]["schemas"], set()
    assert list(differences(types.UptimeReport, schemas["Uptime"], schemas, "uptime", met)) == []
    assert len(met) == 6
    # Who looks this closely sees what is wrong.
    schemas["Days"]["properties"]["more"] = {}
    schemas["CheckStanding"]["properties"]["status"]["enum"].append("odd")
    del schemas["CheckResult"]["properties"]["cause"]
    found = list(differences(types.UptimeReport, schemas["Uptime"], schemas, "uptime", set()))
    assert len(found) >= 3, found
