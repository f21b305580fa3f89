"""What an app sends and a server gives is theirs: whatever it looks like, it passes, and the request counts as what it was."""

import asyncio
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount

from inside import connect, totals, uvicorn_of
from service import within
from tenant_sentinel import Sentinel
from tenant_sentinel.asgi import SentinelMiddleware, admin

HEADERS = [(b"x-tenant-id", b"acme")]


class Server:
    """One that takes everything, and knows whether its client is gone."""

    def __init__(self, gone=False, given=None):
        self.disconnected = gone
        self.given = given or {"type": "http.disconnect"}
        self.sent = []

    async def receive(self):
        return self.given

    async def send(self, message):
        self.sent.append(dict(message) if isinstance(message, dict) else message)


def serve(app, sentinel, server=None, tenant="x-tenant-id", **scope):
    server = server or Server()
    scope = {"type": "http", "method": "GET", "path": "/", "headers": HEADERS, **scope}
    asyncio.run(SentinelMiddleware(app, sentinel, tenant)(scope, server.receive, server.send))
    return server.sent


def begin(status=200, **more):
    return {"type": "http.response.start", "status": status, "headers": [], **more}


def body(data=b"", **more):
    return {"type": "http.response.body", "body": data, **more}


@pytest.fixture
def sentinel():
    return Sentinel(errors="5xx")


def test_a_message_may_be_used_again(sentinel):
    async def once(scope, receive, send):
        message = begin(503)
        await send(message)
        message.clear()
        message |= body(b"x")
        await send(message)

    assert [message["type"][14:] for message in serve(once, sentinel)] == ["start", "body"]
    assert totals(sentinel) == (1, 1, 0)

    async def changed(scope, receive, send):
        message = begin(503)
        await send(message)
        message["status"] = 200
        await send(body())

    serve(changed, sentinel)
    assert totals(sentinel) == (2, 2, 0)


ODD = {
    "no headers": [begin(headers=None), body(b"a", more_body=True), body()],
    "text for bytes": [begin(headers=[(b"content-type", "text/html")]), body(b"a", more_body=True), body()],
    "three of a pair": [begin(headers=[(b"a", b"b", b"c")]), body(b"a", more_body=True), body()],
    "no data": [begin(), {"type": "http.response.body", "body": None, "more_body": True}, body()],
    "no status": [{"type": "http.response.start"}, body()],
    "no beginning": [body(b"a", more_body=True), body()],
    "something new": [begin(), {"type": "http.response.trailers"}, {"type": "future"}, body()],
}


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("messages", ODD.values(), ids=ODD)
def test_odd_messages_pass(sentinel, messages, gone):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    assert serve(app, sentinel, Server(gone)) == messages
    requests, _, aborted = totals(sentinel)
    assert (requests, aborted) == (1, gone)


def test_a_websocket_that_is_refused_in_the_middle(sentinel):
    messages = [{"type": "websocket.http.response.body", "body": b""}]

    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    assert serve(app, sentinel, type="websocket") == messages
    assert totals(sentinel) == (1, 1, 0)
    messages.insert(0, {"type": "websocket.http.response.start", "status": 401, "headers": []})
    assert serve(app, sentinel, type="websocket") == messages
    assert totals(sentinel) == (2, 1, 0)


@pytest.mark.parametrize("given", [None, 7, {}])
def test_what_a_server_gives_passes(sentinel, given):
    received = []

    async def app(scope, receive, send):
        received.append(await receive())
        await send(begin())
        await send(body())

    server = Server()
    server.given = given
    serve(app, sentinel, server)
    assert received == [given]
    assert totals(sentinel) == (1, 0, 0)
    assert sentinel.stats()["adapter_failures"] == 1


def test_a_server_that_cannot_send_says_that_the_client_is_gone(sentinel):
    async def app(scope, receive, send):
        await send(begin())
        await send(body(b"a"))

    class Broken(Server):
        async def send(self, message):
            if message["type"] == "http.response.body":
                raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        serve(app, sentinel, Broken())
    assert totals(sentinel) == (1, 0, 1)


def test_an_app_that_hears_of_it_and_gives_up_was_left(sentinel):
    async def app(scope, receive, send):
        await receive()

    serve(app, sentinel)
    assert totals(sentinel) == (1, 0, 1)
    serve(app, sentinel, Server(given={"type": "http.request"}))
    assert totals(sentinel) == (2, 1, 1)


@pytest.mark.parametrize("headers", [None, [(b"x-tenant-id",)], [()], [None], {b"x": b"y"}, 7])
def test_a_request_with_odd_headers_counts(sentinel, headers):
    async def app(scope, receive, send):
        await send(begin())
        await send(body())

    serve(app, sentinel, headers=headers)
    assert totals(sentinel) == (1, 0, 0)
    assert sentinel.report()["tenants"][0]["tenant_id"] == "unattributed"
    assert sentinel.stats()["adapter_failures"] == (headers is not None)


@pytest.mark.parametrize("gone", [False, True])
def test_a_redirect_to_the_admin_view_does_not_count_whoever_is_gone(sentinel, gone):
    app = Starlette(routes=[Mount("/sentinel", admin(sentinel))])
    assert serve(app, sentinel, Server(gone), path="/sentinel")[0]["status"] == 307
    assert sentinel.stats()["offered"] == 0


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_who_goes_away_is_seen_by_each_sentinel(http):
    inner, outer, asked = Sentinel(), Sentinel(), []

    async def app(scope, receive, send):
        asked.append(True)
        await asyncio.sleep(0.3)
        await send(begin())
        await send(body(b"late"))

    # It hands on a receive of its own.
    between = BaseHTTPMiddleware(SentinelMiddleware(app, inner), lambda request, call_next: call_next(request))
    with uvicorn_of(SentinelMiddleware(between, outer), http=http) as port:
        connection = connect(port)
        connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        within(lambda: asked)
        connection.close()
        within(lambda: totals(inner)[0] and totals(outer)[0])
    assert (totals(inner), totals(outer)) == ((1, 0, 1), (1, 0, 1))


def test_what_flask_makes_of_a_request_is_what_a_function_gets(sentinel):
    from flask import Flask, Request

    from tenant_sentinel.flask import init_app

    class Ours(Request):
        @property
        def organisation(self):
            return self.headers["x-tenant-id"]

    app = Flask("service")
    app.request_class = Ours

    def early(environ, start_response):
        start_response("401 Unauthorized", [])
        return [b""]

    app.wsgi_app = early
    init_app(app, sentinel, tenant=lambda request: request.organisation)
    app.test_client().get("/", headers={"x-tenant-id": "acme"}).close()
    assert (sentinel.tenant("acme")["requests"], sentinel.stats()["adapter_failures"]) == (1, 0)


def test_nothing_of_the_server_stays_with_a_request_that_is_told_of(sentinel):
    kept = SimpleNamespace()

    async def app(scope, receive, send):
        kept.request = scope["tenant_sentinel.request"]
        assert kept.request.receive is not None
        await send(begin())
        await send(body())

    for tenant in ("x-tenant-id", lambda scope: "acme"):
        serve(app, sentinel, tenant=tenant)
        assert kept.request.done
        assert kept.request.receive is None
