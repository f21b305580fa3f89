"""What passes between an ASGI server and an app for one request: how it was answered, and when that was over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from tenant_sentinel._request import ABORTED, FAILED, UPGRADED, count_failure
from tenant_sentinel._routes import endpoint_of, redirects_to_view

if TYPE_CHECKING:
    from tenant_sentinel.asgi import SentinelMiddleware

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FORBIDDEN = 403

_STARTS = frozenset(("http.response.start", "websocket.http.response.start"))
_GONE = frozenset(("http.disconnect", "websocket.disconnect"))
# What the adapter waits for. The rest it hands on as it comes.
_ANSWERS = frozenset(
    (
        "http.response.body",
        "http.response.pathsend",
        "websocket.accept",
        "websocket.close",
        "websocket.http.response.body",
    )
)


class Exchange:
    """What passes between the server and the app for one request, until it is told of: once, however it ends.

    Apart from the request, which a child task keeps with its context, and this with it would be the server's connection.
    """

    __slots__ = (
        "given_receive",
        "given_send",
        "gone",
        "headers",
        "middleware",
        "request",
        "scope",
        "servers",
        "status",
        "streamed",
    )

    request: Any
    middleware: SentinelMiddleware
    # None: it is told of.
    scope: Any
    # What this was given to receive and to send with, and what the server gave to who is outermost.
    given_receive: Receive
    given_send: Send
    servers: Any
    # What the answer began with. The message itself is the app's, which may use it again.
    status: int
    headers: Any
    # Whether the client is.
    gone: bool
    # Bytes of the answer that are out, but for the last ones.
    streamed: int

    def send(self, message: Message) -> Awaitable[None]:
        """What the app sends with. No coroutine of its own for what needs none."""
        kind = message["type"]
        if kind in _STARTS:
            try:
                self.status = message["status"]
                self.headers = message.get("headers", ())
            except Exception:
                self.middleware.sentinel.adapter_failed()
        elif kind in _ANSWERS and self.scope is not None:
            return self.answer(message, kind)
        send = self.given_send
        return send(message)

    async def receive(self) -> Message:
        """What the app receives with."""
        receive = self.given_receive
        message = await receive()
        try:
            if message["type"] in _GONE:
                self.gone = True
        except Exception:
            self.middleware.sentinel.adapter_failed()
        return message

    async def answer(self, message: Message, kind: str) -> None:
        """Sends a part of the answer, and tells of the request when that was its last."""
        raise NotImplementedError

    def ended(self, error: BaseException | None) -> None:
        """The app is done with it, and has not answered it to the end."""
        cancelled = error is not None and not isinstance(error, Exception)
        self.finish(ABORTED if self.gone or cancelled else FAILED)

    def finish(self, status: int) -> None:
        """Tells of it, with its template as it is known now, unless that is excluded. Waits for nothing."""
        scope, middleware, request = self.scope, self.middleware, self.request
        if scope is None:
            return
        self.scope = None
        template = request.template
        try:
            if middleware.endpoint is not None and not request.done:
                template = middleware.endpoint(middleware.subject(scope))
            if template is None:
                template = endpoint_of(scope, request.root)
                if template is None and 300 < self.status < 309 and redirects_to_view(scope, request.root):
                    request.discard()
            if template in middleware.exclude:
                request.discard()
        except BaseException as error:
            count_failure(middleware.sentinel, error)
        request.finish(template, status)


class Http(Exchange):
    """A request that is answered by one response."""

    __slots__ = ()

    async def answer(self, message: Message, kind: str) -> None:
        last, status = False, FAILED
        try:
            last = "more_body" not in message or not message["more_body"] or kind == "http.response.pathsend"
            # Both of uvicorn's protocols say when the client is gone. Nothing is received for it: what comes is the app's,
            # whoever of it reads.
            connection = getattr(self.servers, "__self__", None)
            if getattr(connection, "disconnected", False) is True and (last or not self.streamed):
                self.gone = self.gone or not self._has_all()
            # Once the answer is complete, that a client is gone is what servers say of every request.
            status = ABORTED if self.gone else self.status
        except Exception:
            self.middleware.sentinel.adapter_failed()
        send = self.given_send
        try:
            await send(message)
        except OSError:
            # How servers say that the client went away.
            self.gone = True
            raise
        if last:
            self.finish(status)
        elif self.scope is not None:
            self._goes_on(message, status)

    def _goes_on(self, message: Message, status: int) -> None:
        try:
            if not self.streamed and self._header(b"content-type").startswith(b"text/event-stream"):
                self.finish(status)
            self.streamed += len(message.get("body", b""))
        except Exception:
            self.middleware.sentinel.adapter_failed()

    def _header(self, wanted: bytes) -> bytes:
        try:
            headers = () if self.headers is None else self.headers
            return next((bytes(value) for name, value in headers if name.lower() == wanted), b"")
        except Exception:
            self.middleware.sentinel.adapter_failed()
            return b""

    def _has_all(self) -> bool:
        """Whether the client got as much as it was told to expect."""
        length = self._header(b"content-length")
        return length.isdigit() and 0 < int(length) <= self.streamed


class WebSocket(Exchange):
    """A connection that lives on: its handshake counts."""

    __slots__ = ()

    async def answer(self, message: Message, kind: str) -> None:
        send = self.given_send
        await send(message)
        if kind == "websocket.accept":
            self.finish(UPGRADED)
        elif kind == "websocket.close":
            self.finish(ABORTED if self.gone else FORBIDDEN)
        elif kind == "websocket.http.response.body" and not message.get("more_body", False):
            self.finish(self.status)
