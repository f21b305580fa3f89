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
from tenant_sentinel._admin import answered
from tenant_sentinel._current import KEY, Watched, current, watching
from tenant_sentinel._routes import endpoint_of
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

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

UPGRADED = 101
FORBIDDEN = 403
ABORTED = 499
FAILED = 500


class SentinelMiddleware:
    """Tells a ``Sentinel`` of every request that the app below it answers.

    - ``tenant``: the name of a header (of several, the first), or a function of the ASGI scope, async or not, that is called when
      the answer is complete, so after authentication. No request waits for an async one: it runs in a task of its own, and the
      request is told of when that is done, without a tenant when it takes longer than 5 seconds. What
      ``tenant_sentinel.set_tenant`` said goes before it.
    - ``exclude``: route templates that do not count, such as health checks. The admin view never does.
    - ``endpoint``: a function of the scope that names the endpoint where the framework does not: a template, or ``None``.
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
        header, self.tenant = header_or_function(tenant)
        self.header = None if header is None else header.encode()
        self.exclude = templates(exclude)
        self.endpoint = given_endpoint(endpoint)

    def subject(self, scope: Scope) -> Any:
        """What ``tenant`` and ``endpoint`` are called with."""
        return scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and tell of it."""
        kind = scope["type"]
        if kind != "http" and kind != "websocket":
            await self.app(scope, receive, self._lifespan(send) if kind == "lifespan" else send)
            return
        request = self._watch(kind, scope, receive)
        if request is None:
            await self.app(scope, receive, send)
            return
        token = current.set(request)
        try:
            # The request holds neither of them: a child task that keeps the context would keep them with it.
            await self.app(scope, partial(request.receive, receive), partial(request.send, send))
        except BaseException as error:
            if not request.done:
                request.ended(error)
            raise
        else:
            if not request.done:
                request.ended(None)
        finally:
            try:  # noqa: SIM105 - a context manager costs a tenth of all the rest
                current.reset(token)
            except ValueError:
                # A coroutine that is closed may be so in another context.
                pass

    def _watch(self, kind: str, scope: Scope, receive: Receive) -> _Request | None:
        """Begin a request; ``None`` when the sentinel is told of it already, or when that fails."""
        try:
            outer = scope.get(KEY)
            if outer is not None:
                if outer.done:
                    outer = None
                elif watching(outer, self.sentinel) is not None:
                    return None
            request = scope[KEY] = (_Http if kind == "http" else _WebSocket)(self, scope, receive, outer)
        except Exception:
            self.sentinel.adapter_failed()
            return None
        return request

    def _lifespan(self, send: Send) -> Send:
        """Where the sentinel shares with other processes: heard of from the start, and published at the end."""

        async def told(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self.sentinel.start_exporter()
            elif message["type"] == "lifespan.shutdown.complete":
                self.sentinel.publish()
            await send(message)

        return told


class _Request:
    """One request, until it is told of: once, however it ends."""

    # How every request begins; not set for each, which is half of what one of these costs.
    aborted = done = named = _complete = False
    status = _streamed = 0
    tenant: Any = None
    outer: Watched | None = None
    # As the framework's own hook said it.
    template: str | None = None
    _headers: Iterable[tuple[bytes, bytes]] = ()

    def __init__(self, middleware: SentinelMiddleware, scope: Scope, receive: Receive, outer: Watched | None) -> None:
        self.middleware = middleware
        self.scope: Any = scope
        # The server's own, which knows of the client; what watches further out has it.
        if outer is None:
            self.connection: Any = getattr(receive, "__self__", None)
        else:
            self.outer = outer
            self.connection = getattr(outer, "connection", None)
        # What of the path is in front of the app; mounts add to it.
        self._root = scope.get("root_path", "")
        if middleware.tenant is not None:
            self._since = perf_counter()
        wanted = middleware.header
        if wanted is not None:
            for name, value in scope.get("headers", ()):
                if name == wanted:
                    # Now and not at the end, so that one that hangs is seen as this tenant's.
                    self.guard = middleware.start(value)
                    return
        self.guard = middleware.start()

    @property
    def sentinel(self) -> Sentinel:
        return self.middleware.sentinel

    def set_tenant(self, tenant_id: Any) -> None:
        self.named = True
        self.tenant = tenant_id
        self.guard.tenant(tenant_id)

    def discard(self) -> None:
        self.done = True
        self.guard.discard()
        self.scope = self.connection = None

    async def receive(self, receive: Receive) -> Message:
        raise NotImplementedError

    def send(self, send: Send, message: Message) -> Awaitable[None]:
        raise NotImplementedError

    def ended(self, error: BaseException | None) -> None:
        """The app is done with it, and has not answered it to the end."""
        cancelled = error is not None and not isinstance(error, Exception)
        self.finish(ABORTED if self.aborted or cancelled else FAILED)

    def finish(self, status: int) -> None:
        """Tells of it, with its template and its tenant as they are known now; the tenant may come later. Waits for nothing."""
        self.done = True
        middleware = self.middleware
        function = middleware.tenant
        if function is None or self.named:
            self.tell(status)
            return
        # The answer is complete; what the function takes is not its.
        latency = (perf_counter() - self._since) * 1_000
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

    def tell(self, status: int, latency: float | None = None, found: bool = True, tenant: Any = None) -> None:
        """Tells of it, with its template as it is known now; with a latency if that is over, and the tenant then known."""
        middleware = self.middleware
        sentinel = middleware.sentinel
        if not found:
            sentinel.adapter_failed()
        scope = self.scope
        self.scope = self.connection = None
        self._headers = ()
        template = self.template
        try:
            if middleware.endpoint is not None:
                template = middleware.endpoint(middleware.subject(scope))
            if template is None:
                template = endpoint_of(scope, self._root)
            if template in middleware.exclude:
                self.guard.discard()
                return
        except BaseException as error:
            sentinel.adapter_failed()
            if is_the_hosts(error):
                raise
        if latency is None:
            self.guard.finish(template, status)
        else:
            # What was said meanwhile goes before what was found.
            self.guard.discard()
            sentinel.record(self.tenant if self.named else tenant, template, status, latency)


class _Http(_Request):
    """A request that is answered by one response."""

    async def receive(self, receive: Receive) -> Message:
        message = await receive()
        # Once the answer is complete, it is what servers say of every request.
        if message["type"] == "http.disconnect" and not self._complete:
            self.aborted = True
        return message

    def send(self, send: Send, message: Message) -> Awaitable[None]:
        # No coroutine of its own for what needs none: each costs as much as all the rest of this.
        if self.done:
            return send(message)
        kind = message["type"]
        if kind == "http.response.body" or kind == "http.response.pathsend":
            return self._send_body(send, message, kind)
        if kind == "http.response.start":
            self.status = message["status"]
            self._headers = message.get("headers", ())
        return send(message)

    async def _send_body(self, send: Send, message: Message, kind: str) -> None:
        last = not message.get("more_body") or kind == "http.response.pathsend"
        # Both of uvicorn's protocols say when the client is gone. Nothing is received for it: what comes is the app's, whoever of
        # it reads.
        if getattr(self.connection, "disconnected", False) is True and (last or not self._streamed) and not self._has_all():
            self.aborted = True
        self._complete = last
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
            if not self._streamed and self._header(b"content-type").startswith(b"text/event-stream"):
                self.finish(self.status)
            self._streamed += len(message.get("body", b""))

    def _header(self, wanted: bytes) -> bytes:
        return next((bytes(value) for name, value in self._headers if name.lower() == wanted), b"")

    def _has_all(self) -> bool:
        """Whether the client got as much as it was told to expect."""
        length = self._header(b"content-length")
        return length.isdigit() and 0 < int(length) <= self._streamed


class _WebSocket(_Request):
    """A connection that lives on: its handshake counts."""

    async def receive(self, receive: Receive) -> Message:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            self.aborted = True
        return message

    async def send(self, send: Send, message: Message) -> None:
        await send(message)
        if self.done:
            return
        kind = message["type"]
        if kind == "websocket.accept":
            self.finish(UPGRADED)
        elif kind == "websocket.close":
            self.finish(ABORTED if self.aborted else FORBIDDEN)
        elif kind == "websocket.http.response.start":
            self.status = message["status"]
        elif kind == "websocket.http.response.body" and not message.get("more_body", False):
            self.finish(self.status)


def admin(sentinel: Sentinel, *, public: bool = False) -> App:
    """Make the admin view an ASGI app, to be mounted.

    It answers to who has the ``admin_token`` of the sentinel; with ``public=True`` to everybody who can reach it. Its own
    requests do not count.

    >>> from tenant_sentinel import Sentinel
    >>> view = admin(Sentinel(admin_token="correct-horse-battery"))
    """
    view = sentinel.admin(public=public)

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

    return app
