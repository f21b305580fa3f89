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
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import partial
from inspect import isawaitable
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tenant_sentinel import _current
from tenant_sentinel._admin import answered, marked
from tenant_sentinel._current import KEY, Watched, current, watching
from tenant_sentinel._routes import endpoint_of, redirects_to_view
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
    from tenant_sentinel._native import Guard, Sentinel
    from tenant_sentinel._types import TenantFrom

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

UPGRADED = 101
FORBIDDEN = 403
ABORTED = 499
FAILED = 500

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
        self.start = sentinel.start
        self.start_by_header = sentinel._start_by_header
        header, self.tenant = header_or_function(tenant)
        self.header = None if header is None else header.encode()
        self.exclude = templates(exclude)
        self.endpoint = given_endpoint(endpoint)
        self._http, self._websocket = (_Http, _WebSocket) if self.tenant is None else (_LookingHttp, _LookingWebSocket)

    def subject(self, scope: Scope) -> Any:
        """What ``tenant`` and ``endpoint`` are called with."""
        return scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and tell of it."""
        # Read and then called: as methods, attributes of an object take three times as long.
        app, http = self.app, self._http
        kind = scope["type"]
        if kind == "http":
            request: _Request = http()
        elif kind == "websocket":
            request = self._websocket()
        else:
            await app(scope, receive, self._lifespan(send) if kind == "lifespan" else send)
            return
        try:
            begun = request.begin(self, scope, receive)
        except Exception:
            self.sentinel.adapter_failed()
            begun = False
        if not begun:
            await app(scope, receive, send)
            return

        # The request holds neither of them: a child task that keeps the context would keep them with it.
        def receiving() -> Awaitable[Message]:
            return request.receive(receive)

        def sending(message: Message) -> Awaitable[None]:
            # No coroutine of its own for what needs none.
            kind = message["type"]
            if kind == "http.response.start":
                request.status = message["status"]
                if "headers" in message:
                    request.headers = message["headers"]
            elif kind in _ANSWERS and not request.done:
                return request.send(send, message, kind)
            return send(message)

        token = _enter(request)
        try:
            await app(scope, receiving, sending)
        except BaseException as error:
            if not request.done:
                request.ended(error)
            raise
        else:
            if not request.done:
                request.ended(None)
        finally:
            try:  # noqa: SIM105 - a context manager costs a tenth of all the rest
                _leave(token)
            except ValueError:
                # A coroutine that is closed may be so in another context.
                pass

    def _lifespan(self, send: Send) -> Send:
        """Where the sentinel shares with other processes: heard of from the start, and published at the end."""

        async def told(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self.sentinel.start_exporter()
            elif message["type"] == "lifespan.shutdown.complete":
                self.sentinel.publish()
            await send(message)

        return told


# What the adapter waits for. The rest it hands on as it comes.
_ANSWERS = frozenset(
    (
        "http.response.body",
        "http.response.pathsend",
        "websocket.accept",
        "websocket.close",
        "websocket.http.response.start",
        "websocket.http.response.body",
    )
)


class _Request:
    """One request, until it is told of: once, however it ends."""

    # How requests begin. What every request reads is set in `begin` instead: from the class it takes three times as long.
    complete = named = False
    status = streamed = 0
    headers: Iterable[tuple[bytes, bytes]] | None = None
    outer: Watched | None = None
    middleware: SentinelMiddleware
    guard: Guard

    def begin(self, middleware: SentinelMiddleware, scope: Scope, receive: Receive) -> bool:
        """Begins it, unless the sentinel is told of it already."""
        outer = scope.get(KEY)
        if outer is None or outer.done:
            # The server's own, which knows of the client; what watches further out has it.
            self.connection: Any = getattr(receive, "__self__", None)
        elif watching(outer, middleware.sentinel) is not None:
            return False
        else:
            self.outer = outer
            self.connection = getattr(outer, "connection", None)
        self.middleware = middleware
        self.scope: Any = scope
        # What of the path is in front of the app; mounts add to it.
        self.root = scope.get("root_path", "")
        self.done = self.aborted = False
        # As the framework's own hook said it.
        self.template: str | None = None
        wanted, start = middleware.header, middleware.start
        headers = scope.get("headers")
        if wanted is not None and headers is not None:
            start_by_header = middleware.start_by_header
            # Now and not at the end, so that one that hangs is seen as this tenant's.
            guard = start_by_header(headers, wanted)
            if guard is None:
                # Not as servers give them.
                same = (value for name, value in headers if isinstance(name, bytes | bytearray) and name == wanted)
                guard = start(next(same, None))
        else:
            guard = start()
        self.guard = guard
        scope[KEY] = self
        return True

    @property
    def sentinel(self) -> Sentinel:
        return self.middleware.sentinel

    def set_tenant(self, tenant_id: Any) -> None:
        self.guard.tenant(tenant_id)

    def discard(self) -> None:
        self.done = True
        self.guard.discard()
        self.scope = self.connection = None

    async def receive(self, receive: Receive) -> Message:
        raise NotImplementedError

    def send(self, send: Send, message: Message, kind: str) -> Awaitable[None]:
        raise NotImplementedError

    def ended(self, error: BaseException | None) -> None:
        """The app is done with it, and has not answered it to the end."""
        cancelled = error is not None and not isinstance(error, Exception)
        self.finish(ABORTED if self.aborted or cancelled else FAILED)

    def finish(self, status: int) -> None:
        """Tells of it, with its template and its tenant as they are known now. Waits for nothing."""
        self.done = True
        if self.counts():
            self.guard.finish(self.template, status)
        else:
            self.guard.discard()

    def counts(self) -> bool:
        """Looks for its template, as it is known now: whether it is none that is excluded."""
        middleware, scope = self.middleware, self.scope
        self.scope = self.connection = self.headers = None
        try:
            if middleware.endpoint is not None:
                self.template = middleware.endpoint(middleware.subject(scope))
            if self.template is None:
                self.template = endpoint_of(scope, self.root)
                if self.template is None and 300 < self.status < 309 and redirects_to_view(scope, self.root):
                    return False
            return self.template not in middleware.exclude
        except BaseException as error:
            middleware.sentinel.adapter_failed()
            if is_the_hosts(error):
                raise
        return True


class _Looking(_Request):
    """A request whose tenant a function finds, when the answer is complete."""

    tenant: Any = None

    def begin(self, middleware: SentinelMiddleware, scope: Scope, receive: Receive) -> bool:
        self.since = perf_counter()
        return super().begin(middleware, scope, receive)

    def set_tenant(self, tenant_id: Any) -> None:
        self.named = True
        self.tenant = tenant_id
        self.guard.tenant(tenant_id)

    def finish(self, status: int) -> None:
        """Tells of it, with its template as it is known now; the tenant may come later. Waits for nothing."""
        if self.named:
            super().finish(status)
            return
        self.done = True
        middleware = self.middleware
        function: Any = middleware.tenant
        # The answer is complete; what the function takes is not its.
        latency = (perf_counter() - self.since) * 1_000
        try:
            found = function(middleware.subject(self.scope))
            if isawaitable(found):
                if loop_runs():
                    found_later(lambda: found, lambda ok, tenant: self.tell(status, latency, ok, tenant))
                    return
                found = at_once(found)
        except BaseException as error:
            self.tell(status, latency, False)
            if is_the_hosts(error):
                raise
            return
        self.tell(status, latency, True, found)

    def tell(self, status: int, latency: float, found: bool, tenant: Any = None) -> None:
        """Tells of it, once the function is done."""
        sentinel = self.middleware.sentinel
        if not found:
            sentinel.adapter_failed()
        self.guard.discard()
        if self.counts():
            # What was said meanwhile goes before what was found.
            sentinel.record(self.tenant if self.named else tenant, self.template, status, latency)


class _Http(_Request):
    """A request that is answered by one response."""

    async def receive(self, receive: Receive) -> Message:
        message = await receive()
        # Once the answer is complete, it is what servers say of every request.
        if message["type"] == "http.disconnect" and not self.complete:
            self.aborted = True
        return message

    async def send(self, send: Send, message: Message, kind: str) -> None:
        self.complete = last = "more_body" not in message or not message["more_body"] or kind == "http.response.pathsend"
        # Both of uvicorn's protocols say when the client is gone. Nothing is received for it: what comes is the app's, whoever of
        # it reads.
        connection = self.connection
        if connection is not None and getattr(connection, "disconnected", False) is True and (last or not self.streamed):
            self.aborted = self.aborted or not self._has_all()
        try:
            await send(message)
        except OSError:
            # How servers say that the client went away.
            self.aborted = True
            raise
        if self.done:
            return
        if last:
            self.finish(ABORTED if self.aborted else self.status)
        else:
            if not self.streamed and self._header(b"content-type").startswith(b"text/event-stream"):
                self.finish(self.status)
            self.streamed += len(message.get("body", b""))

    def _header(self, wanted: bytes) -> bytes:
        return next((bytes(value) for name, value in self.headers or () if name.lower() == wanted), b"")

    def _has_all(self) -> bool:
        """Whether the client got as much as it was told to expect."""
        length = self._header(b"content-length")
        return length.isdigit() and 0 < int(length) <= self.streamed


class _WebSocket(_Request):
    """A connection that lives on: its handshake counts."""

    async def receive(self, receive: Receive) -> Message:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            self.aborted = True
        return message

    async def send(self, send: Send, message: Message, kind: str) -> None:
        await send(message)
        if self.done:
            return
        if kind == "websocket.accept":
            self.finish(UPGRADED)
        elif kind == "websocket.close":
            self.finish(ABORTED if self.aborted else FORBIDDEN)
        elif kind == "websocket.http.response.start":
            self.status = message["status"]
        elif kind == "websocket.http.response.body" and not message.get("more_body", False):
            self.finish(self.status)


class _LookingHttp(_Looking, _Http):
    pass


class _LookingWebSocket(_Looking, _WebSocket):
    pass


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
