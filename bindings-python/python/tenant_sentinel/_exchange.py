"""The messages between an ASGI server and an app for one request: the status of its response, and when it is complete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from tenant_sentinel._request import ABORTED, FAILED, UPGRADED, count_failure
from tenant_sentinel._routes import route_redirects_to_admin_view, route_template

if TYPE_CHECKING:
    from tenant_sentinel.asgi import SentinelMiddleware

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FORBIDDEN = 403

_RESPONSE_STARTS = frozenset(("http.response.start", "websocket.http.response.start"))
_DISCONNECTS = frozenset(("http.disconnect", "websocket.disconnect"))
# Messages whose sending the adapter waits for; it passes on all others at once.
_RESPONSE_PARTS = frozenset(
    (
        "http.response.body",
        "http.response.pathsend",
        "websocket.accept",
        "websocket.close",
        "websocket.http.response.body",
    )
)


class Exchange:
    """The messages between the server and the app for one request, until the request is finished, exactly once.

    The request is an object of its own: a child task keeps it with its context, and must not keep the server's connection.
    """

    __slots__ = (
        "client_gone",
        "headers",
        "middleware",
        "next_receive",
        "next_send",
        "request",
        "scope",
        "sent_bytes",
        "server_receive",
        "status",
    )

    request: Any
    middleware: SentinelMiddleware
    # None once the request is finished.
    scope: Any
    # The callables that the middleware was called with, and the server's own `receive`.
    next_receive: Receive
    next_send: Send
    server_receive: Any
    # Copied from the start of the response: the app may change and send the same message again.
    status: int
    headers: Any
    client_gone: bool
    # Bytes of the body that are sent, without the last part.
    sent_bytes: int

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the app. A plain function, since most messages need no coroutine of their own."""
        kind = message["type"]
        if kind in _RESPONSE_STARTS:
            try:
                self.status = message["status"]
                self.headers = message.get("headers", ())
            except Exception:
                self.middleware.sentinel.adapter_failed()
        elif kind in _RESPONSE_PARTS and self.scope is not None:
            return self.send_part(message, kind)
        send = self.next_send
        return send(message)

    async def receive(self) -> Message:
        """Receive a message for the app."""
        receive = self.next_receive
        message = await receive()
        try:
            if message["type"] in _DISCONNECTS:
                self.client_gone = True
        except Exception:
            self.middleware.sentinel.adapter_failed()
        return message

    async def send_part(self, message: Message, kind: str) -> None:
        """Send a part of the response, and finish the request after the last one."""
        raise NotImplementedError

    def app_ended(self, error: BaseException | None) -> None:
        """Finish a request whose app has ended before the response was complete."""
        cancelled = error is not None and not isinstance(error, Exception)
        self.finish(ABORTED if self.client_gone or cancelled else FAILED)

    def finish(self, status: int) -> None:
        """Count the request, with its template as it is known now, unless that is excluded. Does not wait."""
        scope, middleware, request = self.scope, self.middleware, self.request
        if scope is None:
            return
        self.scope = None
        template = request.template
        try:
            if middleware.endpoint is not None and not request.done:
                template = middleware.endpoint(middleware.subject(scope))
            if template is None:
                template = route_template(scope, request.root)
                if template is None and 300 < self.status < 309 and route_redirects_to_admin_view(scope, request.root):
                    request.discard()
            if template in middleware.exclude:
                request.discard()
        except BaseException as error:
            count_failure(middleware.sentinel, error)
        request.finish(template, status)


class HttpExchange(Exchange):
    """An HTTP request, which one response answers."""

    __slots__ = ()

    async def send_part(self, message: Message, kind: str) -> None:
        last, status = False, FAILED
        try:
            last = "more_body" not in message or not message["more_body"] or kind == "http.response.pathsend"
            # Both of uvicorn's protocols have an attribute for a client that is gone. Calling `receive` instead would take a
            # message from the app.
            connection = getattr(self.server_receive, "__self__", None)
            if getattr(connection, "disconnected", False) is True and (last or not self.sent_bytes):
                self.client_gone = self.client_gone or not self._client_has_all()
            # Read before the last part is sent: after it, servers report every client as gone.
            status = ABORTED if self.client_gone else self.status
        except Exception:
            self.middleware.sentinel.adapter_failed()
        send = self.next_send
        try:
            await send(message)
        except OSError:
            # Servers raise this where the client went away.
            self.client_gone = True
            raise
        if last:
            self.finish(status)
        elif self.scope is not None:
            self._after_part(message, status)

    def _after_part(self, message: Message, status: int) -> None:
        try:
            if not self.sent_bytes and self._header(b"content-type").startswith(b"text/event-stream"):
                self.finish(status)
            self.sent_bytes += len(message.get("body", b""))
        except Exception:
            self.middleware.sentinel.adapter_failed()

    def _header(self, wanted: bytes) -> bytes:
        try:
            headers = () if self.headers is None else self.headers
            return next((bytes(value) for name, value in headers if name.lower() == wanted), b"")
        except Exception:
            self.middleware.sentinel.adapter_failed()
            return b""

    def _client_has_all(self) -> bool:
        """Whether the client has got as many bytes as `content-length` announced."""
        length = self._header(b"content-length")
        return length.isdigit() and 0 < int(length) <= self.sent_bytes


class WebSocketExchange(Exchange):
    """A WebSocket: its handshake counts, not its life."""

    __slots__ = ()

    async def send_part(self, message: Message, kind: str) -> None:
        send = self.next_send
        await send(message)
        if kind == "websocket.accept":
            self.finish(UPGRADED)
        elif kind == "websocket.close":
            self.finish(ABORTED if self.client_gone else FORBIDDEN)
        elif kind == "websocket.http.response.body" and not message.get("more_body", False):
            self.finish(self.status)
