"""The adapter for WSGI apps. Flask has one of its own, ``tenant_sentinel.flask``, which knows the routes.

Each request counts once, when the server has read the response to its end, with its status (500 when the app raised, 499 when
the server gave up before the end) and its latency. A WebSocket counts as 101, without a latency. A file that the server sends by
itself (``wsgi.file_wrapper``) counts when it is handed over: the server does not report whether the client got it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import Token
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tenant_sentinel import _current
from tenant_sentinel._admin import respond_with_length
from tenant_sentinel._current import WatchedRequest, current, leave_request
from tenant_sentinel._request import ABORTED, FAILED, UPGRADED, BlockingRequest, count_failure
from tenant_sentinel._tenant import (
    checked_endpoint,
    checked_sentinel,
    environ_key,
    excluded_templates,
    header_bytes,
    header_or_function,
    tenant_in_environ,
)

if TYPE_CHECKING:
    from tenant_sentinel._native import Sentinel
    from tenant_sentinel._types import TenantFrom

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class SentinelMiddleware:
    """Counts every request that ``app`` answers.

    - ``tenant``: the name of a header (most servers join several by commas), or a function of the environ, async or not. The
      function is called when the response is complete, so after authentication. When an async one takes longer than 5 seconds,
      the request counts without a tenant. ``tenant_sentinel.set_tenant`` takes precedence.
    - ``exclude``: templates that do not count, such as health checks. The admin view never counts.
    - ``endpoint``: a function of the environ that returns the route template, never the raw path, or ``None``.

    Raises ``ConfigError`` for an argument that cannot be used.

    >>> from tenant_sentinel import Sentinel
    >>> def app(environ, start_response):
    ...     start_response("503 Service Unavailable", [])
    ...     return [b"no database"]
    >>> sentinel = Sentinel()
    >>> app = SentinelMiddleware(app, sentinel, tenant="x-tenant-id", endpoint=lambda environ: "/v1/process")
    >>> list(app({"REQUEST_METHOD": "GET", "HTTP_X_TENANT_ID": "acme"}, lambda status, headers: None))
    [b'no database']
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
        header, self.tenant = header_or_function(tenant)
        self.header = None if header is None else environ_key(header)
        self.exclude = excluded_templates(exclude)
        self.endpoint = checked_endpoint(endpoint)

    def subject(self, environ: Environ) -> Any:
        """Give the argument of ``tenant``."""
        return environ

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, and count it."""
        request = Request.begin(self, environ, environ)
        if request is None:
            return self.app(environ, start_response)
        try:
            body = self.app(environ, partial(request.start_response, start_response))
        except BaseException:
            request.end(FAILED)
            raise
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper):
            # The server sends the file by itself only if it gets the wrapper unchanged.
            request.end(request.status)
            return body
        return _Body(request, body)


class Request(BlockingRequest):
    """A request that a WSGI app answers."""

    __slots__ = ("_context", "_has_no_body", "_is_upgrade", "_response_begun", "is_event_stream", "status")

    def __init__(self, middleware: SentinelMiddleware, outer: WatchedRequest | None, environ: Environ) -> None:
        """Begin a request, and make it the one of this context."""
        self.status = FAILED
        self.is_event_stream = self._response_begun = False
        self._has_no_body = environ.get("REQUEST_METHOD") == "HEAD"
        self._is_upgrade = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        # Not by `super()`, which costs three times as much.
        BlockingRequest.__init__(self, middleware, outer, environ, tenant_in_environ(environ, middleware.header))
        self._context: Token[WatchedRequest | None] | None = current.set(self)

    def subject(self) -> Any:
        """Give the argument of the service's ``tenant`` function."""
        return self.middleware.subject(self.source)

    def start_response(self, start_response: StartResponse, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """Read the status that the app begins its response with, and begin it."""
        self._response_begun = True
        try:
            self.status = int(status[:3])
            kind = next((value for name, value in headers if name.lower() == "content-type"), "")
            self.is_event_stream = kind.startswith("text/event-stream")
        except Exception:
            self.sentinel.adapter_failed()
        return start_response(status, headers, *exc_info)

    def end(self, status: int) -> None:
        """Leave the request's context, and count the request with this status unless it is done."""
        if self._context is not None:
            token, self._context = self._context, None
            leave_request(token)
        # An app that took over the connection has begun no response.
        self.finish(UPGRADED if self._is_upgrade and not self._response_begun else status)

    def find_template(self, status: int) -> bool:
        """Set the template that ``endpoint`` gives, or else keep the one that Flask has set; ``False`` where it is excluded."""
        middleware = self.middleware
        try:
            if middleware.endpoint is not None:
                self.template = middleware.endpoint(self.source) or self.template
            return self.template not in middleware.exclude
        except BaseException as error:
            count_failure(self.sentinel, error)
            return True

    def report(self, status: int, latency_ms: float | None) -> None:
        """Count the request; a WebSocket's life is no latency."""
        super().report(status, None if status == UPGRADED else latency_ms)

    def is_complete_without_body(self) -> bool:
        """Whether the server has no body to send, so that one it does not read was not cut off."""
        return self._has_no_body or self.status in (204, 304)


class _Body:
    """The body of a response, which finishes the request at its end."""

    def __init__(self, request: Request, body: Iterable[bytes]) -> None:
        self._request = request
        self._body = body
        self._chunks: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        request = self._request
        try:
            if self._chunks is None:
                self._chunks = iter(self._body)
            chunk = next(self._chunks)
        except StopIteration:
            request.end(request.status)
            raise
        except BaseException:
            request.end(FAILED)
            raise
        if request.is_event_stream:
            request.end(request.status)
        return chunk

    def close(self) -> None:
        request = self._request
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            request.end(request.status if request.is_complete_without_body() else ABORTED)


def admin(sentinel: Sentinel, *, public: bool = False) -> App:
    """Make the admin view a WSGI app, to be mounted.

    Requests need the ``admin_token`` of the sentinel; with ``public=True`` everybody who can reach the view may read it. Requests
    for the view do not count.

    >>> from tenant_sentinel import Sentinel
    >>> view = admin(Sentinel(admin_token="correct-horse-battery"))
    >>> body = view({"REQUEST_METHOD": "GET", "PATH_INFO": "/report"}, lambda status, headers: print(status))
    401 Unauthorized
    """
    view_of = checked_sentinel(sentinel).admin(public=public)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        _current.discard_current()
        path = quote(environ.get("PATH_INFO", "").encode("latin-1"))
        authorization = header_bytes(environ.get("HTTP_AUTHORIZATION"))
        method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
        status, headers, body = respond_with_length(view_of, method, path, query, authorization)
        start_response(f"{status} {_REASONS.get(status, '')}", headers)
        return [body]

    return app


_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}
