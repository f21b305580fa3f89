"""One list of scenarios, for every adapter and server, over real sockets. Each counts under a tenant of its own."""

import base64
import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import service
from service import TOKEN, within

ASGI = ["fastapi", "starlette", "litestar"]
SERVED = [
    *((framework, server) for framework in ASGI for server in ("uvicorn", "worker")),
    ("quart", "uvicorn"),
    ("flask", "gunicorn"),
    ("django_sync", "gunicorn"),
    ("django_async", "uvicorn"),
    ("django_async", "worker"),
]
# What a framework does differently: the status of input that is not valid, and where its 405 belongs.
INVALID = {"litestar": ("/numbers/7?limit=many", 400)}
ALIKE = ("/things/{thing}", "/numbers/{number}", "/api/{version}/users/{user}", "/mounted/{org}/users/{user}")
ANGULAR = ("/things/<thing>", "/numbers/<number>", "/api/<version>/users/<user>", "/mounted/<org>/users/<user>")
TEMPLATES = {
    "quart": ANGULAR,
    "flask": ANGULAR,
    "django": ANGULAR,
    # It gives every path of a mount a slash.
    "litestar": (*ALIKE[:3], "/mounted/{org}/users/{user}/"),
}
# What they answer to HEAD and to OPTIONS at /ok, /post and /things/7.
WERKZEUG = {"HEAD": (200, 405, 404), "OPTIONS": (200, 200, 200)}
BY_METHOD = {
    "fastapi": {"HEAD": (405, 405, 405), "OPTIONS": (405, 405, 405)},
    "starlette": {"HEAD": (200, 405, 404), "OPTIONS": (405, 405, 405)},
    "litestar": {"HEAD": (405, 405, 405), "OPTIONS": (204, 204, 204)},
    "quart": WERKZEUG,
    "flask": WERKZEUG,
    "django": {"HEAD": (200, 405, 404), "OPTIONS": (200, 405, 404)},
}
# Where a method that a route does not have is no route.
ROUTES_BY_METHOD = ("litestar", "quart", "flask")
UNIQUE = iter(range(10**9))


@pytest.fixture(params=SERVED, ids="-".join)
def served(request):
    return request.param


@pytest.fixture
def running(served):
    return service(*served)


@pytest.fixture
def tenant():
    return f"tenant-{next(UNIQUE)}"


def templates(served):
    return TEMPLATES.get(served[0].partition("_")[0], ALIKE)


def answered(running, tenant, target, status, template, errors, method="GET"):
    aborted, failures = running.aborted(), running.failures()
    assert running.visit(target, tenant, method) == status
    assert running.counts(tenant) == (template, 1, errors)
    assert (running.aborted(), running.failures()) == (aborted, failures)


@pytest.mark.parametrize(
    ("target", "status", "template", "errors"),
    [
        ("/ok", 200, "/ok", 0),
        ("/ok?page=2", 200, "/ok", 0),
        ("/nowhere", 404, "unmatched", 1),
        ("/moved", 307, "/moved", 0),
        ("/raises", 500, "/raises", 1),
        ("/refused", 503, "/refused", 1),
        ("/sized", 200, "/sized", 0),
    ],
)
def test_each_answer_counts_once(running, tenant, target, status, template, errors):
    answered(running, tenant, target, status, template, errors)


def test_a_404_of_the_handler_keeps_its_template(running, served, tenant):
    answered(running, tenant, "/things/7", 404, templates(served)[0], 1)


def test_a_validation_error_keeps_its_template(running, served, tenant):
    target, status = INVALID.get(served[0], ("/numbers/seven", 422))
    answered(running, tenant, target, status, templates(served)[1], 1)


def test_a_method_that_is_not_allowed(running, served, tenant):
    answered(running, tenant, "/post", 405, "unmatched" if served[0] in ROUTES_BY_METHOD else "/post", 1)


def test_prefixes_of_routers_and_mounts_are_in_the_template(running, served, tenant):
    _, _, nested, mounted = templates(served)
    answered(running, tenant, "/api/v2/users/7", 200, nested, 0)
    answered(running, tenant + "m", "/mounted/v2/users/7", 200, mounted, 0)
    answered(running, tenant + "n", "/mounted/v2/nowhere", 404, "unmatched", 1)
    answered(running, tenant + "o", "/api/v2/nowhere", 404, "unmatched", 1)
    if served[0] == "litestar":
        # One that has no routes.
        answered(running, tenant + "p", "/whole/v2/users/7", 200, "/whole", 0)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_head_and_options(running, served, tenant, method):
    thing, _, _, mounted = templates(served)
    statuses = BY_METHOD[served[0].partition("_")[0]][method]
    for target, template, status in zip(("/ok", "/post", "/things/7"), ("/ok", "/post", thing), statuses, strict=True):
        found = "unmatched" if status == 405 and served[0] in ROUTES_BY_METHOD else template
        answered(running, tenant + target, target, status, found, int(status >= 400), method)
    answered(running, tenant + "n", "/nowhere", 404, "unmatched", 1, method)
    status = running.visit("/mounted/v2/users/7", tenant + "m", method)
    assert running.counts(tenant + "m") == (mounted, 1, int(status >= 400))


@pytest.mark.parametrize("status", [401, 403, 304, 204])
def test_an_early_answer_of_a_middleware_inside(running, tenant, status):
    assert running.visit(f"/ok?early={status}", tenant) == status
    found = running.recorded(tenant)
    assert found["errors"] == (status >= 400)


def test_a_streamed_body_takes_until_its_last_chunk(running, tenant):
    answered(running, tenant, "/stream", 200, "/stream", 0)
    assert 285 <= running.tenant(tenant)["p50_ms"] < 60_000


def test_a_body_that_breaks_is_a_server_error(running, tenant):
    assert running.visit("/breaks", tenant) in (200, 0)
    assert running.counts(tenant) == ("/breaks", 1, 1)


def test_a_client_that_goes_away_before_the_answer_is_aborted(running, served, tenant):
    if served[1] == "gunicorn":
        pytest.skip("WSGI servers do not say so before they write")
    aborted = running.aborted()
    connection = running.send("/slow", [("x-tenant-id", tenant)])
    # The request is in flight before the framework has found its route, which a busy machine takes longer for.
    within(lambda: (found := running.tenant(tenant)) and (found["oldest_in_flight_ms"] or 0) > 1_000)
    connection.close()
    assert running.counts(tenant) == ("/slow", 1, 0)
    assert running.aborted() == aborted + 1


def test_a_client_that_goes_away_during_the_answer_is_aborted(running, tenant):
    aborted = running.aborted()
    connection = running.send("/endless", [("x-tenant-id", tenant)])
    assert connection.recv(64)
    connection.close()
    assert running.counts(tenant) == ("/endless", 1, 0)
    assert running.aborted() == aborted + 1
    assert running.tenant(tenant)["p50_ms"] < 20_000


def test_server_sent_events_count_when_they_begin(running, tenant):
    aborted = running.aborted()
    connection = running.send("/events", [("x-tenant-id", tenant)])
    assert connection.recv(64)
    assert running.counts(tenant) == ("/events", 1, 0)
    connection.close()
    time.sleep(0.1)
    running.recorded(tenant)
    assert running.aborted() == aborted


@pytest.mark.parametrize(("target", "errors"), [("/socket", 0), ("/closed", 1)])
def test_a_websocket_counts_its_handshake(running, served, tenant, target, errors):
    if served[0].partition("_")[0] in ("flask", "django"):
        pytest.skip("the framework has none")
    key = base64.b64encode(b"of sixteen bytes").decode()
    headers = [("upgrade", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-key", key)]
    with running.connect() as connection:
        lines = [f"GET {target} HTTP/1.1", "host: localhost", "connection: upgrade", f"x-tenant-id: {tenant}"]
        lines += [f"{name}: {value}" for name, value in headers]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert connection.recv(64).split()[1] == (b"403" if errors else b"101")
    assert running.counts(tenant) == (target, 1, errors)
    # The connection lives for two seconds.
    assert running.tenant(tenant)["p99_ms"] < 1_900


def test_a_websocket_under_wsgi_counts_when_it_begins(tenant):
    running = service("flask", "gunicorn")
    headers = [("upgrade", "websocket"), ("x-tenant-id", tenant)]
    with running.send("/socket", headers) as connection:
        assert connection.recv(64).split()[1] == b"101"
        assert running.counts(tenant) == ("/socket", 1, 0)
    # Nothing when it ends, and its life is no latency.
    time.sleep(0.2)
    assert running.counts(tenant) == ("/socket", 1, 0)
    assert running.tenant(tenant)["p99_ms"] is None
    # What is refused is an answer like any other.
    assert running.ask("/socket?early=401", [("upgrade", "websocket"), ("x-tenant-id", tenant + "r")])[0] == 401
    assert running.counts(tenant + "r") == ("/socket", 1, 1)
    assert running.tenant(tenant + "r")["p99_ms"] is not None


def test_excluded_templates_and_the_admin_view_do_not_count(running, tenant):
    before = running.data("/stats")["offered"]
    for target in ("/health", "/sentinel/report", "/sentinel/nothing", "/sentinel/"):
        running.visit(target, tenant)
    assert running.visit("/ok", tenant) == 200
    running.recorded(tenant)
    assert running.data("/stats")["offered"] == before + 1


LONG = "x" * 7_000


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "unattributed"),
        (b"", "unattributed"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
        ("café".encode(), "café"),
        (b"a/b%2Fc", "a/b%2Fc"),
        (LONG.encode(), "x" * 96 + hashlib.sha256(LONG.encode()).hexdigest()[:32]),
    ],
)
def test_the_tenant_by_header(running, value, shown):
    before = (running.tenant(shown) or {"requests": 0})["requests"]
    assert running.ask("/ok", [] if value is None else [("x-tenant-id", value)])[0] == 200
    running.recorded(shown, before + 1)


def test_a_header_of_a_megabyte_is_the_servers_to_refuse(running, tenant):
    try:
        status = running.visit("/ok", b"x" * (1 << 20))
    except OSError:
        status = 0
    # httptools takes it.
    assert status in (0, 200, 400, 431)
    answered(running, tenant, "/ok", 200, "/ok", 0)


def test_a_thousand_at_once_over_fifty_tenants_are_counted_exactly(running, tenant):
    targets = [("/ok", 200), ("/refused", 503), ("/things/7", 404), ("/sized", 200)]

    def visit(i):
        target, status = targets[i // 50 % 4]
        return running.visit(target, f"{tenant}-{i % 50}") == status

    with ThreadPoolExecutor(64) as pool:
        assert all(pool.map(visit, range(1_000)))
    for i in range(50):
        found = running.recorded(f"{tenant}-{i}", 20)
        assert [counts["requests"] for counts in found["endpoints"]] == [5, 5, 5, 5]
        assert found["errors"] == 10


def test_requests_on_one_connection_each_count(running, tenant):
    with running.connect() as connection:
        for _ in range(10):
            connection.sendall(f"GET /things/7 HTTP/1.1\r\nhost: localhost\r\nx-tenant-id: {tenant}\r\n\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(65_536)
            length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            while len(answer.partition(b"\r\n\r\n")[2]) < length:
                answer += connection.recv(65_536)
            assert answer.split()[1] == b"404"
    running.recorded(tenant, 10)


def test_the_admin_view_is_for_who_has_the_token(running, tenant):
    running.visit("/refused", tenant)
    running.recorded(tenant)
    for authorization, status in [(None, 401), ("Bearer wrong", 401), (f"Bearer {TOKEN}", 200)]:
        headers = [("authorization", authorization)] if authorization else []
        answered, body = running.ask("/sentinel/report?limit=1000", headers)
        assert answered == status
        assert (tenant.encode() in body) == (status == 200)
    status, page = running.ask("/sentinel/")
    assert status == 200
    assert b"<title>" in page
    assert tenant.encode() not in page
    assert running.ask("/sentinel/report", method="DELETE")[0] == 405


@pytest.mark.parametrize("target", ["/sentinel/", "/sentinel/nothing"])
def test_head_on_the_admin_view_says_the_length_of_the_body_it_would_have(running, target):
    status, _, body = running.exchange(target)
    answered, headers, nothing = running.exchange(target, method="HEAD")
    assert (answered, headers.get("content-length"), nothing) == (status, str(len(body)), b"")
    assert body


# How a tenant is said: once a framework, on one server.


@pytest.mark.parametrize("framework", list(dict.fromkeys(served[0] for served in SERVED)))
@pytest.mark.parametrize("by", ["sync", "async"])
def test_the_tenant_by_a_function(framework, by, tenant):
    running = service(framework, default_server(framework), by)
    assert running.visit("/ok", tenant) == 200
    assert running.counts(tenant) == ("/ok", 1, 0)
    assert running.visit("/raises", tenant + "r") == 500
    assert running.counts(tenant + "r") == ("/raises", 1, 1)
    assert running.visit("/mounted/v2/users/7", tenant + "m") == 200
    assert running.counts(tenant + "m") == (templates([framework])[3], 1, 0)
    if framework == "flask":
        # What is no Flask is asked about as a request of Flask all the same.
        assert running.visit("/whole", tenant + "w") == 200
        assert running.counts(tenant + "w") == ("unmatched", 1, 0)


@pytest.mark.parametrize("framework", list(dict.fromkeys(served[0] for served in SERVED)))
@pytest.mark.parametrize("by", ["sync", "async"])
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a-megabyte", "x" * 96 + hashlib.sha256(b"x" * (1 << 20)).hexdigest()[:32]),
        ("a-surrogate", "\\xed\\xa0\\x80"),
    ],
)
def test_an_id_of_a_function_that_no_header_can_have(framework, by, said, shown):
    running = service(framework, default_server(framework), by)
    failures, offered = running.failures(), running.data("/stats")["offered"]
    assert running.visit("/ok", said) == 200
    # One service for the whole run, and one test for each of them.
    assert running.counts(shown) == ("/ok", 1, 0)
    assert running.tenant(said) is None
    assert (running.failures(), running.data("/stats")["offered"]) == (failures, offered + 1)


@pytest.mark.parametrize("framework", list(dict.fromkeys(served[0] for served in SERVED)))
def test_a_function_that_raises_is_counted_and_the_request_goes_on(framework):
    running = service(framework, default_server(framework), "raises")
    before = (running.tenant("unattributed") or {"requests": 0})["requests"]
    failures = running.failures()
    assert running.visit("/ok", "acme") == 200
    running.recorded("unattributed", before + 1)
    assert running.failures() == failures + 1


@pytest.mark.parametrize("framework", list(dict.fromkeys(served[0] for served in SERVED)))
@pytest.mark.parametrize("how", ["here", "task", "thread", "in-pool"])
def test_the_tenant_as_the_handler_says_it(framework, how):
    # It goes before the header.
    running = service(framework, default_server(framework))
    said = f"said-{how}"
    before = (running.tenant(said) or {"requests": 0})["requests"]
    assert running.visit("/says-in-pool" if how == "in-pool" else f"/says/{how}", "liar") == 200
    running.recorded(said, before + 1)
    assert running.tenant("liar") is None


@pytest.mark.parametrize("framework", ["django_sync", "django_async"])
@pytest.mark.parametrize("target", ["/says-in-stream", "/says-in-sync-stream"])
def test_the_tenant_as_a_streamed_body_says_it(framework, target):
    running = service(framework, default_server(framework))
    before = (running.tenant("said-in-stream") or {"requests": 0})["requests"]
    assert running.ask(target, [("x-tenant-id", "liar")]) == (200, b"chunkchunk")
    running.recorded("said-in-stream", before + 1)
    assert running.tenant("liar") is None


@pytest.mark.parametrize("framework", ["django_sync", "django_async"])
def test_a_middleware_twice_counts_once_and_a_slow_function_is_no_latency(framework, tenant, monkeypatch):
    monkeypatch.setenv("TWICE", "1")
    running = service(framework, default_server(framework), "slow")
    for target, status in [("/ok", 200), ("/raises", 500), ("/stream", 200)]:
        who = tenant + target
        began = time.monotonic()
        assert running.visit(target, who) == status
        # No request under ASGI waits for it.
        assert time.monotonic() - began < 2 or framework == "django_sync"
        assert running.counts(who) == (target, 1, int(status == 500))
        # The function takes two seconds.
        assert running.tenant(who)["p99_ms"] < 1_900


def test_a_function_that_never_answers_is_not_waited_for():
    running = service("django_async", by="never")
    before = (running.tenant("unattributed") or {"requests": 0})["requests"]
    failures = running.failures()
    began = time.monotonic()
    assert running.visit("/ok", "acme") == 200
    # It is given up after three seconds.
    assert time.monotonic() - began < 3
    running.recorded("unattributed", before + 1)
    assert running.failures() == failures + 1
    assert running.tenant("unattributed")["p99_ms"] < 2_900


def test_a_file_that_the_client_does_not_take_is_aborted(tenant):
    running = service("django_async")
    aborted = running.aborted()
    connection = running.send("/file", [("x-tenant-id", tenant)])
    assert connection.recv(64)
    connection.close()
    assert running.counts(tenant) == ("/file", 1, 0)
    assert running.aborted() == aborted + 1


def test_a_setting_that_there_is_not_is_said_at_once():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TYPO": "1"}
    done = subprocess.run([sys.executable, "-c", "import apps.django_sync_app"], env=environment, capture_output=True, text=True)
    assert "ConfigError: TENANT_SENTINEL.excludes: [] is not allowed" in done.stderr


def default_server(framework):
    return next(server for name, server in SERVED if name == framework)
