"""The adapter for ASGI: Starlette, Litestar and other frameworks. FastAPI and Quart have modules of their own.

::

    app.add_middleware(SentinelMiddleware, sentinel=sentinel, tenant="x-tenant-id")
    app.mount("/sentinel", admin(sentinel))

Each request counts once, when the last byte of its response is sent, with its route template (including the prefixes of mounts),
its status (500 when the app raised, 499 when the client went away before) and its latency. A WebSocket counts with its handshake
(101, or the status that refused it), a stream of server-sent events when it begins.
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
from tenant_sentinel._admin import mark_admin_view, respond_with_length
from tenant_sentinel._current import REQUEST_KEY, WatchedRequest, current
from tenant_sentinel._exchange import App, Exchange, HttpExchange, Message, Receive, Scope, Send, WebSocketExchange
from tenant_sentinel._request import FAILED, Request
from tenant_sentinel._tenant import (
    checked_endpoint,
    checked_sentinel,
    excluded_templates,
    header_or_function,
    is_for_the_host,
    is_loop_running,
    look_up_later,
    run_without_waiting,
)

if TYPE_CHECKING:
    from tenant_sentinel._native import Sentinel
    from tenant_sentinel._types import TenantFrom

# Bound once, and not for each request.
_enter, _leave = current.set, current.reset


class SentinelMiddleware:
    """Counts every request that ``app`` answers.

    - ``tenant``: the name of a header (the first of several counts), or a function of the ASGI scope, async or not. The function
      is called when the response is complete, so after authentication. An async one runs in a task of its own, for which no
      request waits; when it takes longer than 5 seconds, the request counts without a tenant. ``tenant_sentinel.set_tenant``
      takes precedence.
    - ``exclude``: route templates that do not count, such as health checks. The admin view never counts.
    - ``endpoint``: a function of the scope that returns the route template, or ``None``, where the framework leaves none.

    Raises ``ConfigError`` for an argument that cannot be used.

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
        self.sentinel = checked_sentinel(sentinel)
        self.begin = sentinel._begin
        header, self.tenant = header_or_function(tenant)
        self.header = None if header is None else header.encode()
        self.exclude = excluded_templates(exclude)
        self.endpoint = checked_endpoint(endpoint)

    def subject(self, scope: Scope) -> Any:
        """Give the argument of ``tenant`` and ``endpoint``."""
        return scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and count it."""
        # Read first and called later: calling an attribute as a method takes three times as long.
        app, begin = self.app, self.begin
        kind = scope["type"]
        if kind == "http":
            exchange: Exchange = HttpExchange()
        elif kind == "websocket":
            exchange = WebSocketExchange()
        else:
            await app(scope, receive, self._lifespan(send) if kind == "lifespan" else send)
            return
        # A native request where that is possible.
        request: Any = begin(scope, receive, REQUEST_KEY, self.header) if self.tenant is None else None
        server_receive: Any = receive
        if request is None:
            request = _Request.begin(self, scope, scope, receive)
            if request is None:
                await app(scope, receive, send)
                return
            server_receive = request.receive
        exchange.request = request
        exchange.middleware = self
        exchange.scope = scope
        exchange.next_receive = receive
        exchange.next_send = send
        exchange.server_receive = server_receive
        exchange.status = FAILED
        exchange.headers = ()
        exchange.client_gone = False
        exchange.sent_bytes = 0
        token = _enter(request)
        try:
            await app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.app_ended(error)
            raise
        else:
            if exchange.scope is not None:
                exchange.app_ended(None)
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
        """Start sharing with other processes when the app starts, and publish the last counts when it shuts down."""

        async def send_and_share(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self.sentinel.start_exporter()
            elif message["type"] == "lifespan.shutdown.complete":
                self.sentinel.publish()
            await send(message)

        return send_and_share


class _Request(Request):
    """A request whose tenant a function finds when the response is complete, or that two sentinels watch. Others are native
    objects with the same names.
    """

    __slots__ = ("receive", "root")

    def __init__(self, middleware: SentinelMiddleware, outer: WatchedRequest | None, scope: Scope, receive: Receive) -> None:
        tenant = None if middleware.header is None else middleware._tenant_in_headers(scope)
        # The server's own `receive`, for middlewares further in; None once the request is finished.
        self.receive: Receive | None = receive if outer is None else getattr(outer, "receive", None)
        # The scope's `root_path` when the request began; mounts add to the scope's.
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
                if is_loop_running():
                    look_up_later(lambda: tenant, report)
                    return
                tenant = run_without_waiting(tenant)
        except BaseException as error:
            report(False, None)
            if is_for_the_host(error):
                raise
            return
        report(True, tenant)


def admin(sentinel: Sentinel, *, public: bool = False) -> App:
    """Make the admin view an ASGI app, to be mounted.

    Requests need the ``admin_token`` of the sentinel; with ``public=True`` everybody who can reach the view may read it. Requests
    for the view do not count.

    >>> from tenant_sentinel import Sentinel
    >>> view = admin(Sentinel(admin_token="correct-horse-battery"))
    >>> import asyncio
    >>> async def server(message=None):
    ...     print(message.get("status", message["type"]))
    >>> asyncio.run(view({"type": "http", "method": "HEAD", "path": "/report", "headers": []}, server, server))
    401
    http.response.body
    """
    view = checked_sentinel(sentinel).admin(public=public)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        _current.discard_current()
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close"})
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path.endswith("/") and not scope.get("raw_path", b"/").partition(b"?")[0].endswith(b"/"):
            # Litestar adds a slash to every path of a mount.
            path = path[:-1]
        query = scope.get("query_string", b"").decode("latin-1")
        authorization = next((value for name, value in scope.get("headers", ()) if name == b"authorization"), None)
        respond = partial(respond_with_length, view, scope["method"], quote(path), query, authorization)
        # Takes milliseconds with many tenants, which should not block the event loop.
        loop = asyncio.get_running_loop() if is_loop_running() else None
        status, headers, body = respond() if loop is None else await loop.run_in_executor(None, respond)
        sent = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})

    return mark_admin_view(app)
