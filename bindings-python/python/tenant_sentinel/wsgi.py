"""WSGI: any app of that kind; for Flask see ``tenant_sentinel.flask``, which knows the routes.

One event a request, when its answer was taken to the end: the status (500 when an exception came out, 499 when the server
gave up before the end), the time since the request came in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import Token
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tenant_sentinel import _current
from tenant_sentinel._current import Watched, current
from tenant_sentinel._tenant import header_or_function, templates, waited

if TYPE_CHECKING:
    from tenant_sentinel._native import Sentinel
    from tenant_sentinel._types import TenantFrom

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

ABORTED = 499
FAILED = 500

# Where a request finds its own watcher.
KEY = "tenant_sentinel.request"


class SentinelMiddleware:
    """Tells a ``Sentinel`` of every request that the app below it answers.

    - ``tenant``: the name of a header, or a function of the environ, async or not, that is called when the answer is complete,
      so after authentication. What ``tenant_sentinel.set_tenant`` said goes before it.
    - ``exclude``: templates that do not count, such as health checks. The admin view never does.
    - ``endpoint``: a function of the environ that names the endpoint: a route template, never the raw path, or ``None``.
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
        header, self.tenant = header_or_function(tenant)
        self.header = None if header is None else "HTTP_" + header.upper().replace("-", "_")
        self.exclude = templates(exclude)
        self.endpoint = endpoint

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, and tell of it."""
        request = environ[KEY] = Request(self, environ, start_response)
        try:
            body = self.app(environ, request.start)
        except BaseException:
            request.finish(FAILED)
            raise
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper):
            # The server sends the file by itself, if it gets it as it is.
            request.finish(request.status)
            return body
        return _Body(request, body)


class Request:
    """One request, until it is told of: once, however it ends."""

    __slots__ = ("_token", "done", "environ", "events", "guard", "middleware", "named", "start_response", "status", "template")

    def __init__(self, middleware: SentinelMiddleware, environ: Environ, start_response: StartResponse) -> None:
        """Begin it."""
        self.middleware = middleware
        self.environ = environ
        self.start_response = start_response
        self.status = FAILED
        self.template: str | None = None
        self.done = self.named = self.events = False
        self._token: Token[Watched | None] | None = current.set(self)
        value = environ.get(middleware.header) if middleware.header is not None else None
        # Bytes come as text of their values.
        self.guard = middleware.sentinel.start(None if value is None else value.encode("latin-1", "replace"))

    def start(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """What the app calls to begin its answer."""
        try:
            self.status = int(status[:3])
            kind = next((value for name, value in headers if name.lower() == "content-type"), "")
            self.events = kind.startswith("text/event-stream")
        except Exception:
            self.middleware.sentinel.adapter_failed()
        return self.start_response(status, headers, *exc_info)

    def set_tenant(self, tenant_id: Any) -> None:
        """Whose it is, whatever the request says."""
        self.named = True
        self.guard.tenant(tenant_id)

    def discard(self) -> None:
        """It does not count."""
        self.done = True
        self.guard.discard()

    def found(self, subject: Any) -> None:
        """Asks the function for the tenant."""
        function = self.middleware.tenant
        if function is None or self.named:
            return
        try:
            tenant = waited(function(subject))
            if not self.named:
                self.set_tenant(tenant)
        except Exception:
            self.named = True
            self.middleware.sentinel.adapter_failed()

    def finish(self, status: int) -> None:
        """Tells of it, with its template and its tenant as they are known now."""
        if self._token is not None:
            token, self._token = self._token, None
            # Another context may end it: the one it began in is no more.
            with suppress(ValueError):
                current.reset(token)
        if self.done:
            return
        self.done = True
        middleware = self.middleware
        self.found(self.environ)
        try:
            if middleware.endpoint is not None:
                self.template = middleware.endpoint(self.environ) or self.template
            if self.template in middleware.exclude:
                self.guard.discard()
                return
        except Exception:
            middleware.sentinel.adapter_failed()
        self.guard.finish(self.template, status)

    def ends_with_its_head(self) -> bool:
        """Nothing follows that a server would have to take."""
        return self.environ.get("REQUEST_METHOD") == "HEAD" or self.status in (204, 304)


class _Body:
    """The body of an answer, watched until its end."""

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
            request.finish(request.status)
            raise
        except BaseException:
            request.finish(FAILED)
            raise
        if request.events:
            request.finish(request.status)
        return chunk

    def close(self) -> None:
        request = self._request
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            request.finish(request.status if request.ends_with_its_head() else ABORTED)


def admin(sentinel: Sentinel, *, public: bool = False) -> App:
    """Make the admin view a WSGI app, to be mounted.

    It answers to who has the ``admin_token`` of the sentinel; with ``public=True`` to everybody who can reach it. Its own
    requests do not count.

    >>> from tenant_sentinel import Sentinel
    >>> view = admin(Sentinel(admin_token="correct-horse-battery"))
    """
    respond = sentinel.admin(public=public).respond

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        _current.discard()
        path = quote(environ.get("PATH_INFO", "").encode("latin-1"))
        authorization = environ.get("HTTP_AUTHORIZATION")
        given = None if authorization is None else authorization.encode("latin-1", "replace")
        status, headers, body = respond(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), given)
        start_response(f"{status} {_REASONS.get(status, '')}", [*headers, ("content-length", str(len(body)))])
        return [body]

    return app


_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}
