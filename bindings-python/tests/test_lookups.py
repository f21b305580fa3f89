"""What the service's own functions do, however long they take and whatever comes out of them, no request of the host notices."""

import asyncio
import contextvars
import gc
import json
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

import tenant_sentinel
from inside import Host, answers, connect, get, rows, totals, uvicorn_of
from service import PATIENCE, within
from tenant_sentinel import Sentinel, _tenant, asgi, wsgi

HERE = Path(__file__).parent
UPGRADE = b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
UPGRADE += b"sec-websocket-key: b2Ygc2l4dGVlbiBieXRlcw==\r\n"


@pytest.fixture
def sentinel():
    return Sentinel(errors="5xx")


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(_tenant, "LOOKUP_TIMEOUT", 0.4)


# Seconds after which a function is given up. An answer that waits for it takes as long; one that does not takes milliseconds.
GIVEN_UP = 2.0


@pytest.fixture
def patient(monkeypatch):
    monkeypatch.setattr(_tenant, "LOOKUP_TIMEOUT", GIVEN_UP)


async def never(request):
    await asyncio.sleep(3_600)


async def stubborn(request):
    """Does not even end when it is cancelled."""
    while True:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            if request["type"] == "lifespan":
                raise


async def slow(request):
    await asyncio.sleep(0.3)
    return "acme"


async def slower(request):
    await asyncio.sleep(1)
    return "acme"


async def fails(scope, receive, send):
    raise ValueError("the host's own")


async def accepts(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        await send({"type": "websocket.close"})


@pytest.mark.parametrize("app", [answers, fails])
def test_no_answer_waits_for_an_async_function(sentinel, patient, app):
    with uvicorn_of(asgi.SentinelMiddleware(app, sentinel, tenant=never)) as port:
        began = time.perf_counter()
        answer = get(port)
        assert time.perf_counter() - began < GIVEN_UP
        assert answer.split()[1] == (b"200" if app is answers else b"500")
        within(lambda: totals(sentinel)[0])
    assert rows(sentinel) == {"unattributed": (1, int(app is fails))}
    assert sentinel.stats()["adapter_failures"] == 1


def test_no_websocket_waits_for_an_async_function(sentinel, patient):
    with uvicorn_of(asgi.SentinelMiddleware(accepts, sentinel, tenant=never)) as port, connect(port) as connection:
        began = time.perf_counter()
        connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n" + UPGRADE + b"\r\n")
        answer = b""
        while b"hello" not in answer:
            answer += connection.recv(65_536)
        assert time.perf_counter() - began < GIVEN_UP
        within(lambda: totals(sentinel)[0])
    assert rows(sentinel) == {"unattributed": (1, 0)}


def test_one_that_does_not_let_itself_be_cancelled_is_left(sentinel, impatient):
    async def visit():
        host = Host(asgi.SentinelMiddleware(answers, sentinel, tenant=lambda scope: stubborn(kept)))
        await host.ask()
        await asyncio.sleep(0.6)
        assert rows(sentinel) == {"unattributed": (1, 0)}
        # So that this test ends.
        kept["type"] = "lifespan"

    kept = {"type": "http"}
    asyncio.run(visit())
    assert sentinel.stats()["adapter_failures"] == 1


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, ValueError])
@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_nothing_that_comes_out_of_a_function_leaves(sentinel, error, later, kind, caplog):
    # What others have left.
    gc.collect()
    caplog.clear()

    def raises(request):
        raise error

    async def raises_later(request):
        await asyncio.sleep(0)
        raise error

    tenant = raises_later if later else raises
    if kind == "asgi":
        asyncio.run(settled(Host(asgi.SentinelMiddleware(answers, sentinel, tenant=tenant)), sentinel))
    else:
        assert b"".join(wsgi.SentinelMiddleware(serves, sentinel, tenant=tenant)({}, lambda *_: None)) == b"ok"
    assert rows(sentinel) == {"unattributed": (1, 0)}
    assert sentinel.stats()["adapter_failures"] == 1
    # Nor does it turn up in the host's log, as what nobody has asked for.
    gc.collect()
    assert caplog.messages == []


async def settled(host, sentinel, requests=1, **scope):
    await host.ask(**scope)
    end = time.monotonic() + PATIENCE
    while totals(sentinel)[0] < requests and time.monotonic() < end:
        await asyncio.sleep(0.01)


def test_a_host_that_is_cancelled_is_cancelled(sentinel):
    async def waits(scope, receive, send):
        await asyncio.sleep(3_600)

    async def visit():
        task = asyncio.create_task(Host(asgi.SentinelMiddleware(waits, sentinel, tenant=slow)).ask())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.4)

    asyncio.run(visit())
    assert (rows(sentinel), totals(sentinel)) == ({"acme": (1, 0)}, (1, 0, 1))


def serves(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]


def sluggish(request):
    time.sleep(1)
    return "acme"


@pytest.mark.parametrize("tenant", [slower, sluggish])
@pytest.mark.parametrize("kind", ["asgi", "wsgi", "flask"])
def test_the_latency_ends_with_the_last_byte(sentinel, tenant, kind):
    if kind == "asgi":
        asyncio.run(settled(Host(asgi.SentinelMiddleware(answers, sentinel, tenant=tenant)), sentinel))
    elif kind == "wsgi":
        list(wsgi.SentinelMiddleware(serves, sentinel, tenant=tenant)({}, lambda *_: None))
    else:
        app = flask_app(sentinel, tenant)
        app.test_client().get("/").close()
    assert rows(sentinel) == {"acme": (1, 0)}
    # The function takes a second.
    assert sentinel.tenant("acme")["p99_ms"] < 900


def flask_app(sentinel, tenant=None, times=1):
    from flask import Flask

    from tenant_sentinel.flask import admin, init_app

    app = Flask("service")
    for _ in range(times):
        init_app(app, sentinel, tenant=tenant)
    app.get("/")(lambda: "ok")
    app.register_blueprint(admin(sentinel, public=True), url_prefix="/sentinel")
    return app


def test_a_wsgi_answer_waits_for_an_async_function_so_long_only(sentinel, impatient):
    began = time.perf_counter()
    assert flask_app(sentinel, never).test_client().get("/").data == b"ok"
    assert time.perf_counter() - began < PATIENCE
    assert rows(sentinel) == {"unattributed": (1, 0)}
    assert sentinel.stats()["adapter_failures"] == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_event_loop_of_a_thread_stays_what_it_was(sentinel):
    loop = asyncio.new_event_loop()
    found = []

    def thread():
        asyncio.set_event_loop(loop)
        assert flask_app(sentinel, slow).test_client().get("/").data == b"ok"
        found.append(asyncio.get_event_loop())

    worker = threading.Thread(target=thread)
    worker.start()
    worker.join()
    loop.close()
    assert found == [loop]
    assert rows(sentinel) == {"acme": (1, 0)}


def test_in_a_thread_whose_loop_runs_an_async_function_is_not_waited_for(sentinel):
    # As of another greenlet, or of a host that calls WSGI from its loop: what needs no waiting is found all the same.
    async def at_once(environ):
        return environ["who"]

    async def visit():
        for tenant in (slow, at_once):
            app = wsgi.SentinelMiddleware(serves, sentinel, tenant=tenant)
            assert list(app({"who": "acme"}, lambda *_: None)) == [b"ok"]

    asyncio.run(visit())
    assert rows(sentinel) == {"unattributed": (1, 0), "acme": (1, 0)}
    assert sentinel.stats()["adapter_failures"] == 1


def test_a_call_that_is_closed_in_another_context_is_closed(sentinel):
    class Pause:
        def __await__(self):
            yield

    async def waits(scope, receive, send):
        await Pause()

    call = asgi.SentinelMiddleware(waits, sentinel)({"type": "http", "headers": [], "path": "/"}, None, None)
    contextvars.copy_context().run(call.send, None)
    contextvars.copy_context().run(call.close)
    assert totals(sentinel) == (1, 0, 1)


def test_a_scope_without_headers_is_answered(sentinel):
    host = Host(asgi.SentinelMiddleware(answers, sentinel, tenant="x-tenant-id"))

    async def ask():
        await host.app({"type": "http", "method": "GET", "path": "/"}, host.receive, host.send)

    asyncio.run(ask())
    assert len(host.sent) == 2
    assert rows(sentinel) == {"unattributed": (1, 0)}


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_request_that_cannot_be_watched_is_answered(sentinel, kind):
    if kind == "asgi":
        host = Host(asgi.SentinelMiddleware(answers, sentinel, tenant="x-tenant-id"))
        host.run(headers=7)
        assert len(host.sent) == 2
    else:
        app = wsgi.SentinelMiddleware(serves, sentinel, tenant="x-tenant-id")
        assert app({"HTTP_X_TENANT_ID": 7}, lambda *_: None) == [b"ok"]
    assert sentinel.stats()["adapter_failures"] == 1


def test_a_child_task_that_keeps_the_context_does_not_keep_the_request(sentinel):
    class Scope(dict):
        pass

    class Server:
        async def receive(self):
            return {"type": "http.disconnect"}

        async def send(self, message):
            pass

    async def visit():
        children, scope, server = [], Scope(type="http", path="/", headers=[]), Server()
        kept = [weakref.ref(scope), weakref.ref(server)]

        async def app(scope, receive, send):
            # It says its tenant later, when there is no request any more.
            children.append(asyncio.create_task(asyncio.sleep(1)))
            await answers(scope, receive, send)

        await asgi.SentinelMiddleware(app, sentinel)(scope, server.receive, server.send)
        del scope, server
        gc.collect()
        assert [ref() for ref in kept] == [None, None]
        assert not children[0].done()
        children[0].cancel()

    asyncio.run(visit())


# The same sentinel twice, and two of them.


def test_the_same_sentinel_twice_counts_once(sentinel):
    inner = asgi.SentinelMiddleware(answers, sentinel, tenant="x-tenant-id")
    Host(asgi.SentinelMiddleware(inner, sentinel, tenant="x-tenant-id")).run(tenant="acme")
    assert rows(sentinel) == {"acme": (1, 0)}
    # One that is asked in the process, by a handler, is a request of its own.
    calls = []

    async def asks(scope, receive, send):
        calls.append(await Host(inner).ask("/", "other"))
        await answers(scope, receive, send)

    Host(asgi.SentinelMiddleware(asks, sentinel, tenant="x-tenant-id")).run(tenant="acme")
    assert rows(sentinel) == {"acme": (2, 0), "other": (1, 0)}


@pytest.mark.parametrize("kind", ["wsgi", "flask", "flask in wsgi"])
def test_the_same_sentinel_twice_counts_once_under_wsgi(sentinel, kind):
    from werkzeug.test import Client

    if kind == "wsgi":
        app = wsgi.SentinelMiddleware(wsgi.SentinelMiddleware(serves, sentinel), sentinel, tenant="x-tenant-id")
    elif kind == "flask":
        app = flask_app(sentinel, "x-tenant-id", times=2)
    else:
        app = wsgi.SentinelMiddleware(flask_app(sentinel), sentinel, tenant="x-tenant-id")
    Client(app).get("/", headers={"x-tenant-id": "acme"}).close()
    assert rows(sentinel) == {"acme": (1, 0)}
    assert sentinel.tenant("acme")["endpoints"][0]["endpoint"] == ("unmatched" if kind == "wsgi" else "/")


def test_what_is_said_reaches_every_sentinel(sentinel):
    other = Sentinel()

    async def says(scope, receive, send):
        tenant_sentinel.set_tenant("acme")
        await answers(scope, receive, send)

    Host(asgi.SentinelMiddleware(asgi.SentinelMiddleware(says, sentinel), other)).run()
    assert rows(sentinel) == rows(other) == {"acme": (1, 0)}
    Host(asgi.SentinelMiddleware(asgi.SentinelMiddleware(asgi.admin(other), sentinel), other)).run()
    assert rows(sentinel) == rows(other) == {"acme": (1, 0)}

    def says_too(environ, start_response):
        tenant_sentinel.set_tenant("acme")
        return serves(environ, start_response)

    list(wsgi.SentinelMiddleware(wsgi.SentinelMiddleware(says_too, sentinel), other)({}, lambda *_: None))
    assert rows(sentinel) == rows(other) == {"acme": (2, 0)}


def test_a_logging_handler_that_records_is_counted_and_nothing_hangs():
    # In a process of its own: two that wait for each other would have all of this one wait.
    done = subprocess.run([sys.executable, "-B", HERE / "logs.py"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    emitted, counted, failures = json.loads(done.stdout)
    # Four threads, each number that they give; and what the adapters and the framework had to say.
    assert emitted >= 4 * 200 * 3 + 7
    assert (counted, failures) == ({"log": [emitted, 0], "acme": [4 * 200 * 2 + 5, 1]}, 0)


# Templates.


def nested(framework, blueprint):
    """An app with blueprints in one another, the outer one below a parameter."""
    app = framework("service")
    outer = blueprint("outer", __name__, url_prefix="/<tenant>/api")
    inner = blueprint("inner", __name__, url_prefix="/<int:version>")
    inner.add_url_rule("/users/<user>", view_func=lambda tenant, version, user: user)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return app


def ask_flask(sentinel, paths):
    from flask import Blueprint, Flask

    from tenant_sentinel import flask

    app = nested(Flask, Blueprint)
    flask.init_app(app, sentinel)
    answers = [app.test_client().get(path) for path in paths]
    # Read to its end: what is let go of before is aborted.
    return [answer.status_code for answer in answers if answer.data]


def ask_quart(sentinel, paths):
    from quart import Blueprint, Quart

    from tenant_sentinel import quart

    async def ask():
        return [(await app.test_client().get(path)).status_code for path in paths]

    app = nested(Quart, Blueprint)
    quart.init_app(app, sentinel)
    return asyncio.run(ask())


def ask_litestar(sentinel, paths):
    from litestar import Litestar, Router
    from litestar import get as route

    @route("/users/{user:str}")
    async def user() -> str:
        return "somebody"

    async def ask():
        hosts = {path: Host(app) for path in paths}
        for path, host in hosts.items():
            await host.ask(path, server=("localhost", 80), client=None, scheme="http", raw_path=path.encode())
        return [host.sent[0]["status"] for host in hosts.values()]

    inner = Router("/{version:int}", route_handlers=[user])
    app = Litestar([Router("/{tenant:str}/api", route_handlers=[inner])], openapi_config=None)
    app = asgi.SentinelMiddleware(app, sentinel)
    return asyncio.run(ask())


RULE = "/<tenant>/api/<int:version>/users/<user>"


@pytest.mark.parametrize(
    ("ask", "template"),
    [(ask_flask, RULE), (ask_quart, RULE), (ask_litestar, "/{tenant}/api/{version}/users/{user}")],
    ids=["flask", "quart", "litestar"],
)
def test_prefixes_with_parameters_are_in_the_template_as_they_are_written(sentinel, ask, template):
    paths = ["/acme/api/2/users/7", "/acme/api/3/users/8", "/acme/api/x/users/7", "/acme/api/2"]
    assert ask(sentinel, paths) == [200, 200, 404, 404]
    found = sentinel.tenant(None)["endpoints"]
    assert {row["endpoint"]: row["requests"] for row in found} == {template: 2, "unmatched": 2}


def below():
    """A Starlette and a FastAPI to be mounted: one route each that is there, and what they mount themselves."""
    from fastapi import APIRouter, FastAPI
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    def user(request):
        return PlainTextResponse("somebody")

    users = [Route("/users/{user}/", user), Route("/new/", user, methods=["POST"])]
    starlette = Starlette(routes=[*users, Mount("/of/{org}", routes=users), Mount("/files", app=answers)])
    fastapi, router, inner = FastAPI(), APIRouter(prefix="/{version}"), APIRouter(prefix="/users")
    inner.add_api_route("/{user}/", lambda: "somebody")
    router.include_router(inner)
    fastapi.include_router(router)
    fastapi.mount("/of/{org}", Starlette(routes=users))
    return starlette, fastapi


def mounting(*paths, app=answers, copy=True, whole=False):
    """A handler of Litestar that mounts an app: itself, so that its routes are known, or by a function."""
    from litestar import asgi as handler
    from litestar.types import Receive, Scope, Send

    async def calls(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return handler(list(paths), is_mount=True, copy_scope=copy, name="".join(paths))(calls if whole else app)


IN_LITESTAR = {
    "/": "/",
    "/plain/7": "/plain/{user}",
    "/nowhere": "unmatched",
    "/answers": "/answers",
    "/answers/of/acme": "/answers",
    "/second/answers": "/second",
    "/within/answers/7": "/within/answers",
    "/hidden/users/7": "/hidden",
    **{f"/{kind}/users/7": f"/{kind}/users/{{user}}/" for kind in ("known", "same")},
    **{f"/{kind}/new": f"/{kind}/new/" for kind in ("known", "same")},
    **{f"/{kind}/of/acme/users/7": f"/{kind}/of/{{org}}/users/{{user}}/" for kind in ("known", "same")},
    **{f"/{kind}/files/7": f"/{kind}/files" for kind in ("known", "same")},
    **{f"/{kind}/nowhere": "unmatched" for kind in ("known", "same")},
    **{f"/{kind}/of/acme/nowhere": "unmatched" for kind in ("known", "same")},
    **{f"/api-{kind}/v2/users/7": f"/api-{kind}/{{version}}/users/{{user}}/" for kind in ("known", "same")},
    **{f"/api-{kind}/of/acme/users/7": f"/api-{kind}/of/{{org}}/users/{{user}}/" for kind in ("known", "same")},
    **{f"/api-{kind}/nowhere": "unmatched" for kind in ("known", "same")},
}


def litestar_that_mounts():
    from litestar import Litestar, Router
    from litestar import get as route

    @route(["/", "/plain/{user:str}"])
    async def plain() -> str:
        return "somebody"

    starlette, fastapi = below()
    return Litestar(
        [
            plain,
            mounting("/answers", "/second", whole=True),
            Router("/within", route_handlers=[mounting("/answers", whole=True)]),
            mounting("/hidden", app=starlette, whole=True),
            mounting("/known", app=starlette),
            mounting("/same", app=starlette, copy=False, whole=True),
            mounting("/api-known", app=fastapi),
            mounting("/api-same", app=fastapi, copy=False, whole=True),
        ],
        openapi_config=None,
    )


def ask_each(app, sentinel, paths):
    """The template that each of the paths counted as."""
    with uvicorn_of(asgi.SentinelMiddleware(app, sentinel, tenant="x-tenant-id")) as port:
        for path in paths:
            get(port, path, tenant=path)
        within(lambda: totals(sentinel)[0] == len(paths))
    assert sentinel.stats()["adapter_failures"] == 0
    return {path: row["endpoint"] for path in paths for row in sentinel.tenant(path)["endpoints"]}


def test_what_litestar_mounts_has_the_template_of_the_mount(sentinel):
    assert ask_each(litestar_that_mounts(), sentinel, IN_LITESTAR) == IN_LITESTAR


def test_a_litestar_that_is_mounted_keeps_its_templates(sentinel):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    inner = litestar_that_mounts()
    app = Starlette(routes=[Mount("/in", app=inner), Mount("/in-{org}", app=inner)])
    asked = ["/", "/plain/7", "/answers/7", "/hidden/users/7", "/known/users/7", "/nowhere"]
    expected = {}
    for path in asked:
        found = IN_LITESTAR.get(path, "/answers")
        for place, template in [("/in", "/in"), ("/in-acme", "/in-{org}")]:
            expected[place + path] = found if found == "unmatched" else template + found
    assert ask_each(app, sentinel, expected) == expected


def test_a_quart_that_is_mounted_keeps_its_rules(sentinel):
    from quart import Quart
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from tenant_sentinel import quart

    inner = Quart("inner")
    inner.add_url_rule("/users/<user>", view_func=lambda user: user)
    quart.init_app(inner, sentinel)
    app = Starlette(routes=[Mount("/in", app=inner), Mount("/in-{org}", app=inner)])
    expected = {"/in/users/7": "/in/users/<user>", "/in-acme/users/7": "/in-{org}/users/<user>"}
    assert ask_each(app, sentinel, expected) == expected


def test_a_function_has_the_context_of_the_app_that_is_dispatched_to(sentinel):
    from flask import Flask, g
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from werkzeug.test import Client

    from tenant_sentinel.flask import init_app

    outer, inner = Flask("outer"), Flask("inner")

    @inner.get("/users/<user>")
    def user(user):
        g.organisation = "acme"
        return user

    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/in": inner})
    for app in (outer, inner):
        init_app(app, sentinel, tenant=lambda request: g.organisation)
    Client(outer).get("/in/users/7").close()
    assert rows(sentinel) == {"acme": (1, 0)}
    assert sentinel.tenant("acme")["endpoints"][0]["endpoint"] == "/in/users/<user>"


# Configuration.


@pytest.mark.parametrize("adapter", [asgi, wsgi])
@pytest.mark.parametrize(("field", "given"), [("endpoint", {"endpoint": "/x"}), ("sentinel", {"sentinel": None})])
def test_what_cannot_be_used_is_said_at_once(sentinel, adapter, field, given):
    with pytest.raises(tenant_sentinel.ConfigError, match=f"^{field}: ") as refused:
        adapter.SentinelMiddleware(answers, **{"sentinel": sentinel} | given)
    assert refused.value.field == field


def test_options_on_the_admin_view_of_flask_do_not_count(sentinel):
    client = flask_app(sentinel).test_client()
    assert client.options("/sentinel/report").status_code == 200
    assert client.get("/sentinel/report").status_code == 200
    assert totals(sentinel)[0] == 0


def test_a_redirect_to_the_admin_view_does_not_count(sentinel):
    from fastapi import FastAPI
    from quart import Quart
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from tenant_sentinel import quart

    async def ask(app, *paths):
        for path in paths:
            host = Host(app)
            await host.ask(path, server=("localhost", 80), scheme="http", raw_path=path.encode(), http_version="1.1")
            statuses.append(host.sent[0]["status"])

    statuses, view, other = [], asgi.admin(sentinel, public=True), Mount("/other", app=answers)
    below = Mount("/in/{org}", routes=[Mount("/sentinel", app=view), other])
    starlette = Starlette(routes=[Mount("/sentinel", app=view), below, other])
    api = FastAPI()
    api.mount("/sentinel", view)
    for app in (starlette, api):
        app.add_middleware(asgi.SentinelMiddleware, sentinel=sentinel)
        asyncio.run(ask(app, "/sentinel", "/sentinel/"))
    asyncio.run(ask(starlette, "/in/a/sentinel", "/in/a/sentinel/report"))
    for path in ("/sentinel", "/sentinel/"):
        with flask_app(sentinel).test_client().get(path) as response:
            statuses.append(response.status_code)
    served = Quart("service")
    quart.init_app(served, sentinel)
    served.register_blueprint(quart.admin(sentinel, public=True), url_prefix="/sentinel")

    async def ask_quart():
        for path in ("/sentinel", "/sentinel/"):
            statuses.append((await served.test_client().get(path)).status_code)

    asyncio.run(ask_quart())
    assert statuses == [307, 200] * 3 + [308, 200] * 2
    assert totals(sentinel)[0] == 0
    # Any other redirect does, and so does what is not there.
    asyncio.run(ask(starlette, "/other", "/in/a/other", "/nowhere", "/sentinels"))
    assert statuses[-4:] == [307, 307, 404, 404]
    assert totals(sentinel)[0] == 4
