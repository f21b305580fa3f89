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
from inspect import isawaitable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tenant_sentinel import _current
from tenant_sentinel._current import current
from tenant_sentinel._routes import endpoint_of
from tenant_sentinel._tenant import header_or_function, templates

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

# Loops hold their tasks weakly.
_telling: set[asyncio.Task[None]] = set()


class SentinelMiddleware:
    """Tells a ``Sentinel`` of every request that the app below it answers.

    - ``tenant``: the name of a header, or a function of the ASGI scope, async or not, that is called when the answer is
      complete, so after authentication. What ``tenant_sentinel.set_tenant`` said goes before it.
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
        self.sentinel = sentinel
        self.start = sentinel.start
        header, self.tenant = header_or_function(tenant)
        self.header = None if header is None else header.encode()
        self.exclude = templates(exclude)
        self.endpoint = endpoint

    def subject(self, scope: Scope) -> Any:
        """What ``tenant`` and ``endpoint`` are called with."""
        return scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and tell of it."""
        kind = scope["type"]
        if kind == "http":
            request: _Request = _Http(self, scope, receive, send)
        elif kind == "websocket":
            request = _WebSocket(self, scope, receive, send)
        else:
            await self.app(scope, receive, self._lifespan(send) if kind == "lifespan" else send)
            return
        token = current.set(request)
        try:
            await self.app(scope, request.receive, request.send)
        except BaseException as error:
            if not request.done:
                await request.ended(error)
            raise
        else:
            if not request.done:
                await request.ended(None)
        finally:
            current.reset(token)

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
    # As the framework's own hook said it.
    template: str | None = None
    _headers: Iterable[tuple[bytes, bytes]] = ()

    def __init__(self, middleware: SentinelMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
        self.middleware = middleware
        self.scope = scope
        self._receive = receive
        self._send = send
        # What of the path is in front of the app; mounts add to it.
        self._root = scope.get("root_path", "")
        wanted = middleware.header
        if wanted is not None:
            for name, value in scope["headers"]:
                if name == wanted:
                    # Now and not at the end, so that one that hangs is seen as this tenant's.
                    self.guard = middleware.start(value)
                    return
        self.guard = middleware.start()

    def set_tenant(self, tenant_id: Any) -> None:
        self.named = True
        self.guard.tenant(tenant_id)

    def discard(self) -> None:
        self.done = True
        self.guard.discard()

    async def receive(self) -> Message:
        raise NotImplementedError

    def send(self, message: Message) -> Awaitable[None]:
        raise NotImplementedError

    async def ended(self, error: BaseException | None) -> None:
        """The app is done with it, and has not answered it to the end."""
        cancelled = error is not None and not isinstance(error, Exception)
        # A coroutine that is closed must not wait any more.
        await self.finish(ABORTED if self.aborted or cancelled else FAILED, not isinstance(error, GeneratorExit))

    async def finish(self, status: int, may_wait: bool = True) -> None:
        """Tells of it, with its template and its tenant as they are known now."""
        self.done = True
        middleware = self.middleware
        if middleware.tenant is not None and not self.named:
            try:
                found = middleware.tenant(middleware.subject(self.scope))
                if may_wait and isawaitable(found):
                    await self._found_later(found, status)
                    return
                self.guard.tenant(found)
            except Exception:
                middleware.sentinel.adapter_failed()
        self.tell(status)

    async def _found_later(self, found: Awaitable[Any], status: int) -> None:
        async def tell() -> None:
            try:
                tenant = await found
                if not self.named:
                    self.guard.tenant(tenant)
            except Exception:
                self.middleware.sentinel.adapter_failed()
            finally:
                self.tell(status)

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            await tell()
            return
        # By itself: once an answer is complete, frameworks (Quart) cancel what is still at it.
        task = loop.create_task(tell())
        _telling.add(task)
        task.add_done_callback(_telling.discard)
        await asyncio.shield(task)

    def tell(self, status: int) -> None:
        """Tells of it, with its template as it is known now."""
        self.done = True
        middleware = self.middleware
        template = self.template
        try:
            if middleware.endpoint is not None:
                template = middleware.endpoint(middleware.subject(self.scope))
            if template is None:
                template = endpoint_of(self.scope, self._root)
            if template in middleware.exclude:
                self.guard.discard()
                return
        except Exception:
            middleware.sentinel.adapter_failed()
        self.guard.finish(template, status)


class _Http(_Request):
    """A request that is answered by one response."""

    async def receive(self) -> Message:
        message = await self._receive()
        # Once the answer is complete, it is what servers say of every request.
        if message["type"] == "http.disconnect" and not self._complete:
            self.aborted = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        # No coroutine of its own for what needs none: each costs as much as all the rest of this.
        if self.done:
            return self._send(message)
        kind = message["type"]
        if kind == "http.response.body" or kind == "http.response.pathsend":
            return self._send_body(message, kind)
        if kind == "http.response.start":
            self.status = message["status"]
            self._headers = message.get("headers", ())
        return self._send(message)

    async def _send_body(self, message: Message, kind: str) -> None:
        last = not message.get("more_body") or kind == "http.response.pathsend"
        if (last or not self._streamed) and not self.aborted:
            self.aborted = self._is_gone()
        self._complete = last
        try:
            await self._send(message)
        except OSError:
            # How servers say that the client went away.
            self.aborted = True
            raise
        if last:
            status = ABORTED if self.aborted else self.status
            if self.middleware.tenant is None:
                self.tell(status)
            else:
                await self.finish(status)
        elif not self.done:
            if not self._streamed and self._header(b"content-type").startswith(b"text/event-stream"):
                await self.finish(self.status)
            self._streamed += len(message.get("body", b""))

    def _header(self, wanted: bytes) -> bytes:
        return next((bytes(value) for name, value in self._headers if name.lower() == wanted), b"")

    def _is_gone(self) -> bool:
        """Whether the client went away before it had everything."""
        # Both of uvicorn's protocols say so. Nothing is received for it: what comes is the app's, whoever of it reads.
        if not getattr(getattr(self._receive, "__self__", None), "disconnected", False):
            return False
        length = self._header(b"content-length")
        return not (length.isdigit() and 0 < int(length) <= self._streamed)


class _WebSocket(_Request):
    """A connection that lives on: its handshake counts."""

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self.aborted = True
        return message

    async def send(self, message: Message) -> None:
        await self._send(message)
        if self.done:
            return
        kind = message["type"]
        if kind == "websocket.accept":
            await self.finish(UPGRADED)
        elif kind == "websocket.close":
            await self.finish(ABORTED if self.aborted else FORBIDDEN)
        elif kind == "websocket.http.response.start":
            self.status = message["status"]
        elif kind == "websocket.http.response.body" and not message.get("more_body", False):
            await self.finish(self.status)


def admin(sentinel: Sentinel, *, public: bool = False) -> App:
    """Make the admin view an ASGI app, to be mounted.

    It answers to who has the ``admin_token`` of the sentinel; with ``public=True`` to everybody who can reach it. Its own
    requests do not count.

    >>> from tenant_sentinel import Sentinel
    >>> view = admin(Sentinel(admin_token="correct-horse-battery"))
    """
    respond = sentinel.admin(public=public).respond

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
        authorization = next((value for name, value in scope["headers"] if name == b"authorization"), None)
        try:
            # It takes milliseconds when there are many tenants: not those of the event loop.
            loop = asyncio.get_running_loop()
        except RuntimeError:
            status, headers, body = respond(scope["method"], quote(path), query, authorization)
        else:
            answer = loop.run_in_executor(None, respond, scope["method"], quote(path), query, authorization)
            status, headers, body = await answer
        sent = [(name.encode(), value.encode()) for name, value in headers]
        sent.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})

    return app
