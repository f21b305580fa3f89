"""WSGI: any app of that kind; for Flask see ``tenant_sentinel.flask``, which knows the routes.

One event a request, when its answer was taken to the end: the status (500 when an exception came out, 499 when the server
gave up before the end), the time since the request came in. A WebSocket counts as 101, with no latency. A file that the server
sends by itself (``wsgi.file_wrapper``) counts when it is handed over: whether the client took it, the server does not say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import Token
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tenant_sentinel import _current
from tenant_sentinel._admin import answered
from tenant_sentinel._current import KEY, Watched, current, watching
from tenant_sentinel._tenant import given_endpoint, given_sentinel, header_or_function, is_the_hosts, templates, waited

if TYPE_CHECKING:
    from tenant_sentinel._native import Sentinel
    from tenant_sentinel._types import TenantFrom

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

UPGRADED = 101
ABORTED = 499
FAILED = 500


class SentinelMiddleware:
    """Tells a ``Sentinel`` of every request that the app below it answers.

    - ``tenant``: the name of a header (of several, what the server makes of them: most join them by commas), or a function of the
      environ, async or not, that is called when the answer is complete, so after authentication. An async one has 5 seconds; the
      request is told of without a tenant when it takes longer. What ``tenant_sentinel.set_tenant`` said goes before it.
    - ``exclude``: templates that do not count, such as health checks. The admin view never does.
    - ``endpoint``: a function of the environ that names the endpoint: a route template, never the raw path, or ``None``.

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
        self.sentinel = given_sentinel(sentinel)
        header, self.tenant = header_or_function(tenant)
        self.header = None if header is None else "HTTP_" + header.upper().replace("-", "_")
        self.exclude = templates(exclude)
        self.endpoint = given_endpoint(endpoint)

    def subject(self, environ: Environ) -> Any:
        """What ``tenant`` is called with."""
        return environ

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, and tell of it."""
        try:
            outer = environ.get(KEY)
            if outer is not None and outer.done:
                outer = None
            # Told of by who is further out.
            request = None if watching(outer, self.sentinel) is not None else Request(self, environ, outer)
        except Exception:
            self.sentinel.adapter_failed()
            request = None
        if request is None:
            return self.app(environ, start_response)
        environ[KEY] = request
        try:
            body = self.app(environ, partial(request.start, start_response))
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

    __slots__ = (
        "_begun",
        "_ends_early",
        "_looked",
        "_since",
        "_tenant",
        "_token",
        "done",
        "environ",
        "events",
        "guard",
        "middleware",
        "named",
        "outer",
        "sentinel",
        "status",
        "template",
        "upgrades",
    )

    def __init__(self, middleware: SentinelMiddleware, environ: Environ, outer: Watched | None) -> None:
        """Begin it."""
        self.middleware = middleware
        self.sentinel = middleware.sentinel
        self.outer = outer
        self.environ: Any = environ
        self.status = FAILED
        self.template: str | None = None
        self.done = self.named = self.events = self._begun = self._looked = False
        self._ends_early = environ.get("REQUEST_METHOD") == "HEAD"
        self.upgrades = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        value = environ.get(middleware.header) if middleware.header is not None else None
        # Bytes come as text of their values.
        self._tenant: Any = None if value is None else value.encode("latin-1", "replace")
        self._since = perf_counter()
        self.guard = middleware.sentinel.start(self._tenant)
        self._token: Token[Watched | None] | None = current.set(self)

    def start(self, start_response: StartResponse, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """What the app calls to begin its answer."""
        self._begun = True
        try:
            self.status = int(status[:3])
            kind = next((value for name, value in headers if name.lower() == "content-type"), "")
            self.events = kind.startswith("text/event-stream")
        except Exception:
            self.middleware.sentinel.adapter_failed()
        return start_response(status, headers, *exc_info)

    def set_tenant(self, tenant_id: Any) -> None:
        """Whose it is, whatever the request says."""
        self.named = True
        self._tenant = tenant_id
        self.guard.tenant(tenant_id)

    def discard(self) -> None:
        """It does not count."""
        self.done = True
        self.guard.discard()
        self.environ = None

    def found(self, subject: Any = None) -> None:
        """Asks the function for the tenant; of the request as the app below has it, if that has said it."""
        function = self.middleware.tenant
        if function is None or self.named or self._looked:
            return
        self._looked = True
        began = perf_counter()
        try:
            tenant = waited(function(self.middleware.subject(self.environ) if subject is None else subject))
            if not self.named:
                self._tenant = tenant
                if not self.done:
                    self.guard.tenant(tenant)
        except BaseException as error:
            self.sentinel.adapter_failed()
            if is_the_hosts(error):
                raise
        finally:
            # Not the answer's.
            self._since += perf_counter() - began

    def upgraded(self) -> None:
        """A WebSocket: it counts now, and how long it lives is no latency."""
        if not self.done:
            self._tell(UPGRADED)

    def finish(self, status: int) -> None:
        """Tells of it, with its template and its tenant as they are known now."""
        if self._token is not None:
            token, self._token = self._token, None
            # Another context may end it: the one it began in is no more.
            with suppress(ValueError):
                current.reset(token)
        if not self.done:
            # One that took the connection has begun no answer.
            self._tell(UPGRADED if self.upgrades and not self._begun else status)

    def _tell(self, status: int) -> None:
        self.done = True
        ended = perf_counter()
        environ, middleware = self.environ, self.middleware
        try:
            since = self._since
            self.found()
            ended += self._since - since
            self.environ = None
            if middleware.endpoint is not None:
                self.template = middleware.endpoint(environ) or self.template
            if self.template in middleware.exclude:
                self.guard.discard()
                return
        except BaseException as error:
            self.sentinel.adapter_failed()
            if is_the_hosts(error):
                raise
        if status == UPGRADED:
            latency = None
        elif self._looked:
            latency = (ended - self._since) * 1_000
        else:
            self.guard.finish(self.template, status)
            return
        self.guard.discard()
        self.sentinel.record(self._tenant, self.template, status, latency)

    def ends_with_its_head(self) -> bool:
        """Nothing follows that a server would have to take."""
        return self._ends_early or self.status in (204, 304)


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
    >>> body = view({"REQUEST_METHOD": "GET", "PATH_INFO": "/report"}, lambda status, headers: print(status))
    401 Unauthorized
    """
    view_of = given_sentinel(sentinel).admin(public=public)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        _current.discard()
        path = quote(environ.get("PATH_INFO", "").encode("latin-1"))
        authorization = environ.get("HTTP_AUTHORIZATION")
        given = None if authorization is None else authorization.encode("latin-1", "replace")
        status, headers, body = answered(view_of, environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), given)
        start_response(f"{status} {_REASONS.get(status, '')}", headers)
        return [body]

    return app


_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}
