"""ASGI: Starlette, Litestar and whatever else speaks it; for FastAPI and Quart see also the modules of that name.

::

    app.add_middleware(SentinelMiddleware, sentinel=sentinel, tenant="x-tenant-id")
    app.mount("/sentinel", admin(sentinel))

One event a request, when the last byte of its answer is out: the route template with the prefixes of mounts, the status (500
when an exception came out, 499 when the client went away before), the time since the request came in. A WebSocket counts
its handshake (101, or what refused it), a stream of server-sent events counts when it begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from inspect import isawaitable
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tenant_sentinel import _current
from tenant_sentinel._admin import answered, marked
from tenant_sentinel._current import KEY, Watched, current
from tenant_sentinel._exchange import App, Exchange, Http, Message, Receive, Scope, Send, WebSocket
from tenant_sentinel._request import FAILED, Request
from tenant_sentinel._tenant import (
    at_once,
    found_later,
    given_endpoint,
    given_sentinel,
    header_or_function,
    is_the_hosts,
    loop_runs,
    templates,
)

if TYPE_CHECKING:
    from tenant_sentinel._native import Sentinel
    from tenant_sentinel._types import TenantFrom

# They are looked up once, and not for each request.
_enter, _leave = current.set, current.reset


class SentinelMiddleware:
    """Tells a ``Sentinel`` of every request that the app below it answers.

    - ``tenant``: the name of a header (of several, the first), or a function of the ASGI scope, async or not, that is called when
      the answer is complete, so after authentication. No request waits for an async one: it runs in a task of its own, and the
      request is told of when that is done, without a tenant when it takes longer than 5 seconds. What
      ``tenant_sentinel.set_tenant`` said goes before it.
    - ``exclude``: route templates that do not count, such as health checks. The admin view never does.
    - ``endpoint``: a function of the scope that names the endpoint where the framework does not: a template, or ``None``.

    >>> import asyncio
    >>> from tenant_sentinel import Sentinel
    >>> async def app(scope, receive, send):
    ...     await send({"type": "http.response.start", "status": 503, "headers": []})
    ...     await send({"type": "http.response.body", "body": b""})
    >>> sentinel = Sentinel()
    >>> app = SentinelMiddleware(app, sentinel, tenant="x-tenant-id", endpoint=lambda scope: "/v1/process")
    >>> scope = {"type": "http", "method": "GET", "path": "/v1/process", "headers": [(b"x-tenant-id", b"acme")]}
    >>> async def server(message=None): ...
    >>> asyncio.run(app(scope, server, server))
    >>> sentinel.tenant("acme")["endpoints"]
    [{'endpoint': '/v1/process', 'requests': 1, 'errors': 1}]
    """

    def __init__(
        self,
        app: App,
        sentinel: Sentinel,
        tenant: TenantFrom = None,
        exclude: Iterable[str] = (),
        endpoint: Callable[[Any], str | None] | None = None,
    ) -> None:
        """Wrap ``app``."""
        self.app = app
        self.sentinel = given_sentinel(sentinel)
        self.begin = sentinel._begin
        header, self.tenant = header_or_function(tenant)
        self.header = None if header is None else header.encode()
        self.exclude = templates(exclude)
        self.endpoint = given_endpoint(endpoint)

    def subject(self, scope: Scope) -> Any:
        """What ``tenant`` and ``endpoint`` are called with."""
        return scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and tell of it."""
        # Read and then called: as methods, attributes of an object take three times as long.
        app, begin = self.app, self.begin
        kind = scope["type"]
        if kind == "http":
            exchange: Exchange = Http()
        elif kind == "websocket":
            exchange = WebSocket()
        else:
            await app(scope, receive, self._lifespan(send) if kind == "lifespan" else send)
            return
        # As the native one, or as it has to be.
        request: Any = begin(scope, receive, KEY, self.header) if self.tenant is None else None
        servers: Any = receive
        if request is None:
            request = _Request.begin(self, scope, scope, receive)
            if request is None:
                await app(scope, receive, send)
                return
            servers = request.receive
        exchange.request = request
        exchange.middleware = self
        exchange.scope = scope
        exchange.given_receive = receive
        exchange.given_send = send
        exchange.servers = servers
        exchange.status = FAILED
        exchange.headers = ()
        exchange.gone = False
        exchange.streamed = 0
        token = _enter(request)
        try:
            await app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.ended(error)
            raise
        else:
            if exchange.scope is not None:
                exchange.ended(None)
        finally:
            try:  # noqa: SIM105 - a context manager costs a tenth of all the rest
                _leave(token)
            except ValueError:
                # A coroutine that is closed may be so in another context.
                pass

    def _tenant_in_headers(self, scope: Scope) -> Any:
        """Give the tenant that the header names; ``None`` where the headers are not what servers give."""
        headers = scope.get("headers")
        if headers is None:
            return None
        try:
            return next((value for name, value in headers if isinstance(name, bytes | bytearray) and name == self.header), None)
        except Exception:
            self.sentinel.adapter_failed()
            return None

    def _lifespan(self, send: Send) -> Send:
        """Where the sentinel shares with other processes: heard of from the start, and published at the end."""

        async def told(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self.sentinel.start_exporter()
            elif message["type"] == "lifespan.shutdown.complete":
                self.sentinel.publish()
            await send(message)

        return told


class _Request(Request):
    """A request whose tenant a function finds when the response is complete, or that two sentinels watch. Others are native
    objects with the same names.
    """

    __slots__ = ("receive", "root")

    def __init__(self, middleware: SentinelMiddleware, outer: Watched | None, scope: Scope, receive: Receive) -> None:
        tenant = None if middleware.header is None else middleware._tenant_in_headers(scope)
        # The server's own `receive`, for middlewares further in; None once the request is done.
        self.receive: Receive | None = receive if outer is None else getattr(outer, "receive", None)
        # The part of the path in front of the app; mounts add to it.
        self.root = scope.get("root_path", "")
        Request.__init__(self, middleware, outer, scope, tenant)

    def release(self) -> None:
        self.source = self.receive = None

    def finish(self, template: str | None, status: int) -> None:
        """Count the request, with its tenant as it is known now, or once its function has found one. Waits for nothing."""
        if self.done:
            return
        self.done = True
        scope, self.source, self.receive = self.source, None, None
        function = self.middleware.tenant
        if function is None or self._tenant_is_set:
            self.guard.finish(template, status)
            return
        self.template = template
        # The response is complete; the time that the function takes is no part of it.
        report = partial(self.report_found, status, (perf_counter() - self._began) * 1_000)
        try:
            tenant: Any = function(self.middleware.subject(scope))
            if isawaitable(tenant):
                if loop_runs():
                    found_later(lambda: tenant, report)
                    return
                tenant = at_once(tenant)
        except BaseException as error:
            report(False, None)
            if is_the_hosts(error):
                raise
            return
        report(True, tenant)


def admin(sentinel: Sentinel, *, public: bool = False) -> App:
    """Make the admin view an ASGI app, to be mounted.

    It answers to who has the ``admin_token`` of the sentinel; with ``public=True`` to everybody who can reach it. Its own
    requests do not count.

    >>> from tenant_sentinel import Sentinel
    >>> view = admin(Sentinel(admin_token="correct-horse-battery"))
    >>> import asyncio
    >>> async def server(message=None):
    ...     print(message.get("status", message["type"]))
    >>> asyncio.run(view({"type": "http", "method": "HEAD", "path": "/report", "headers": []}, server, server))
    401
    http.response.body
    """
    view = given_sentinel(sentinel).admin(public=public)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        _current.discard()
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close"})
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path.endswith("/") and not scope.get("raw_path", b"/").partition(b"?")[0].endswith(b"/"):
            # Litestar gives every path of a mount one.
            path = path[:-1]
        query = scope.get("query_string", b"").decode("latin-1")
        authorization = next((value for name, value in scope.get("headers", ()) if name == b"authorization"), None)
        asked = partial(answered, view, scope["method"], quote(path), query, authorization)
        # It takes milliseconds when there are many tenants: not those of the event loop.
        loop = asyncio.get_running_loop() if loop_runs() else None
        status, headers, body = asked() if loop is None else await loop.run_in_executor(None, asked)
        sent = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})

    return marked(app)
