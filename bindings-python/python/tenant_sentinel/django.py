"""Django, sync and async.

::

    MIDDLEWARE = ["tenant_sentinel.django.SentinelMiddleware", ...]  # the first one
    TENANT_SENTINEL = {"tenant": "x-tenant-id", "exclude": ["/health"], "options": {"window": "10m"}}
    urlpatterns = [path("sentinel/", include(tenant_sentinel.django.admin())), ...]

``TENANT_SENTINEL`` may name ``tenant`` (a header; a function of the request, or the dotted path of one), ``exclude`` (route
templates), and ``options`` (of the ``Sentinel``) or ``sentinel`` (one that there is, or the dotted path of it).

The function may be async. Under ASGI no request waits for it: it is called when the answer is complete, in a thread where it
wants the database. Under WSGI the answer waits for an async one. In both it has 5 seconds; the request is told of without a
tenant when it takes longer. Under WSGI a file that the server sends by itself (``FileResponse``) counts when it is closed:
whether the client took it, the server does not say. Under ASGI a client that goes away is seen from Django 5.0 on.
"""

from __future__ import annotations

import threading
from asyncio import CancelledError, current_task, get_running_loop
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from inspect import isawaitable
from re import sub
from typing import Any
from urllib.parse import quote

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import Resolver404, URLPattern, re_path, resolve
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt

from tenant_sentinel import _current
from tenant_sentinel._admin import answered, is_view, marked
from tenant_sentinel._current import Watched, current, leave
from tenant_sentinel._errors import config_error
from tenant_sentinel._native import Sentinel
from tenant_sentinel._request import ABORTED, FAILED, BlockingRequest
from tenant_sentinel._tenant import (
    environ_key,
    found_later,
    given_sentinel,
    header_bytes,
    header_or_function,
    templates,
    tenant_in_environ,
)

__all__ = ["SentinelMiddleware", "admin", "sentinel"]

MOVED = 301

_lock = threading.Lock()
_sentinel: Sentinel | None = None


_KNOWN = ("tenant", "exclude", "options", "sentinel")


def _setting(name: str, default: Any) -> Any:
    given = getattr(settings, "TENANT_SENTINEL", {})
    if not isinstance(given, Mapping):
        raise config_error("TENANT_SENTINEL", given, f"a dict of {', '.join(_KNOWN)}")
    for key in given:
        if key not in _KNOWN:
            raise config_error(f"TENANT_SENTINEL.{key}", given[key], ", ".join(_KNOWN))
    return given.get(name, default)


def _imported(field: str, path: str) -> Any:
    try:
        return import_string(path)
    except Exception as error:
        raise config_error(field, path, "the path of what can be imported") from error


def _made(options: Any) -> Sentinel:
    if not isinstance(options, Mapping):
        raise config_error("options", options, "a dict of what Sentinel takes")
    try:
        return Sentinel(**options)
    except TypeError as error:
        # Without the values: one is a secret.
        raise config_error("options", list(options), f"what Sentinel takes ({error})") from None


def sentinel() -> Sentinel:
    """Give the sentinel of this process, as ``settings.TENANT_SENTINEL`` describes it.

    >>> sentinel().record("tenant_acme", "/v1/process", 503, 41.7)  # what is no request
    >>> sentinel().tenant("tenant_acme")["errors"]
    1
    """
    global _sentinel
    with _lock:
        if _sentinel is None:
            given = _setting("sentinel", None)
            given = _imported("sentinel", given) if isinstance(given, str) else given
            _sentinel = _made(_setting("options", {})) if given is None else given_sentinel(given)
        return _sentinel


class SentinelMiddleware:
    """Tells the sentinel of every request that the views and middlewares below it answer.

    >>> import tenant_sentinel
    >>> from django.test import RequestFactory
    >>> def view(request):
    ...     tenant_sentinel.set_tenant("acme")
    ...     return HttpResponse("no database", status=503)
    >>> SentinelMiddleware(view)(RequestFactory().get("/v1/process")).status_code
    503
    >>> sentinel().tenant("acme")["errors"]
    1
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        """Read the settings."""
        self.get_response = get_response
        self.sentinel = sentinel()
        tenant = _setting("tenant", None)
        # A header's name has no dot.
        header, self.tenant = header_or_function(
            _imported("tenant", tenant) if isinstance(tenant, str) and "." in tenant else tenant
        )
        self.header = None if header is None else environ_key(header)
        self.exclude = templates(_setting("exclude", ()))
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Answer a request, and tell of it."""
        if self._is_async:
            return self._answer(request)
        watched = self._watch(request)
        if watched is None:
            return self.get_response(request)
        token = current.set(watched)
        try:
            response = self.get_response(request)
            if not watched.done:
                watched.look_up_tenant()
        except BaseException:
            watched.finish(FAILED)
            raise
        finally:
            leave(token)
        watched.answered(response)
        return response

    async def _answer(self, request: HttpRequest) -> Any:
        watched = self._watch(request)
        if watched is None:
            return await self.get_response(request)
        token = current.set(watched)
        try:
            response = await self.get_response(request)
        except BaseException as error:
            # Django cancels a request whose client went away.
            watched.finish(FAILED if isinstance(error, Exception) else ABORTED)
            raise
        finally:
            leave(token)
        watched.answered(response)
        return response

    def _watch(self, request: HttpRequest) -> _Request | None:
        """Begin a request; ``None`` when the sentinel is told of it already, or when that fails."""
        # `META` is the environ under WSGI.
        return _Request.begin(self, getattr(request, "scope", None) or request.META, request)


class _Request(BlockingRequest):
    """A request that Django answers."""

    __slots__ = ("_is_complete", "_loop", "_task")

    def __init__(self, middleware: SentinelMiddleware, outer: Watched | None, request: HttpRequest) -> None:
        # The loop that looks up the tenant once the response is complete; None where the thread may wait for it.
        self._loop = get_running_loop() if middleware._is_async else None
        self._task = None if self._loop is None else current_task()
        # Whether Django has taken all of a streamed response.
        self._is_complete = False
        BlockingRequest.__init__(self, middleware, outer, request, tenant_in_environ(request.META, middleware.header))

    def release(self) -> None:
        self.source = self._task = None

    def look_up_tenant(self, subject: Any = None) -> None:
        if self._loop is None:
            super().look_up_tenant(subject)

    async def _find(self, request: HttpRequest) -> Any:
        """Asks the function for the tenant; in a thread where it wants the database."""
        function: Any = self.middleware.tenant
        try:
            found = function(request)
        except SynchronousOnlyOperation:
            # Not in the request's own thread: that ends with the request, which would wait for this.
            found = await sync_to_async(_with_database, thread_sensitive=False)(function, request)
        return await found if isawaitable(found) else found

    def answered(self, response: HttpResponseBase) -> None:
        """The views are done; what is streamed is still to come."""
        if self.done:
            return
        status = response.status_code
        events = response.headers.get("content-type", "").startswith("text/event-stream")
        if not response.streaming or events or self.source.method == "HEAD" or status in (204, 304):
            self.finish(status)
            return
        # For one that nobody takes to the end and nobody closes.
        self.guard.endpoint(self._template())
        streamed: Any = response
        sends_file = getattr(streamed, "file_to_stream", None) is not None
        if sends_file:
            pass  # the server sends it by itself, if it gets it as it is
        elif streamed.is_async:
            streamed.streaming_content = self._later(status, streamed.streaming_content)
        else:
            streamed.streaming_content = self._chunks(status, streamed.streaming_content)
        close = response.close

        def closing() -> None:
            try:
                close()
            finally:
                self.finish(status if (sends_file or self._is_complete) and not self._is_cut_off() else ABORTED)

        streamed.close = closing

    def _is_cut_off(self) -> bool:
        """Whether Django has cancelled what sends it, because the client went away. Python 3.10 does not know."""
        cancelling = getattr(self._task, "cancelling", None)
        return cancelling is not None and cancelling() > 0

    def _chunks(self, status: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
        try:
            each = iter(chunks)
            while True:
                # The request's own context is no more; what is yielded leaves none behind.
                token = current.set(self)
                try:
                    chunk = next(each)
                except StopIteration:
                    break
                finally:
                    leave(token)
                yield chunk
        except Exception:
            self.finish(FAILED)
            raise
        except BaseException:
            self.finish(ABORTED)
            raise
        if self._task is None:
            self.finish(status)
        else:
            # Django takes all of it before it sends any.
            self._is_complete = True

    async def _later(self, status: int, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        try:
            each = chunks.__aiter__()
            while True:
                token = current.set(self)
                try:
                    chunk = await each.__anext__()
                except StopAsyncIteration:
                    break
                finally:
                    leave(token)
                yield chunk
        except Exception:
            self.finish(FAILED)
            raise
        except (CancelledError, GeneratorExit):
            self.finish(ABORTED)
            raise
        self.finish(status)

    def _template(self) -> str | None:
        match = self.source.resolver_match
        return None if match is None else _template_of(match.route)

    def find_template(self, status: int) -> bool:
        try:
            self.template = self._template()
            redirected = self.template is None and status == MOVED and _is_view(self.source)
            return not redirected and self.template not in self.middleware.exclude
        except Exception:
            self.sentinel.adapter_failed()
            return True

    def report(self, status: int, latency_ms: float | None) -> None:
        if self._loop is None or self.middleware.tenant is None or self._tenant_is_set:
            super().report(status, latency_ms)
        else:
            self._look_later(partial(self._find, self.source), partial(self.report_found, status, latency_ms))

    def _look_later(self, find: Callable[[], Any], tell: Callable[[bool, Any], None]) -> None:
        loop: Any = self._loop
        try:
            # Django closes responses in threads.
            if loop is _running():
                found_later(find, tell)
            else:
                loop.call_soon_threadsafe(found_later, find, tell)
        except Exception:
            # That loop is no more.
            tell(False, None)


def _running() -> Any:
    try:
        return get_running_loop()
    except RuntimeError:
        return None


def _with_database(function: Callable[[HttpRequest], Any], request: HttpRequest) -> Any:
    """Calls it in a thread whose connections nobody else closes."""
    try:
        return function(request)
    finally:
        close_old_connections()


def _is_view(request: Any) -> bool:
    """Whether a slash at its end is all that the path lacks to be that of the admin view."""
    try:
        return is_view(resolve(request.path_info + "/", getattr(request, "urlconf", None)).func)
    except Resolver404:
        return False


@lru_cache(maxsize=4_096)
def _template_of(route: str) -> str:
    """A route as it is written in the urlconf, with a slash in front and without the anchors of regular expressions.

    >>> _template_of("api/<version>/^users/(?P<user>[^/]+)/$")
    '/api/<version>/users/(?P<user>[^/]+)/'
    """
    return "/" + sub(r"(^|/)\^", r"\1", route).removesuffix("$")


def admin(*, public: bool = False) -> list[URLPattern]:
    """Give the admin view as urlpatterns, to be included.

    It answers to who has the ``admin_token`` of the sentinel; with ``public=True`` to everybody who can reach it. Its own
    requests do not count.

    >>> from django.urls import include, path
    >>> urlpatterns = [path("sentinel/", include(admin()))]
    >>> urlpatterns[0].resolve("sentinel/report").kwargs
    {'path': 'report'}
    """
    view_of = sentinel().admin(public=public)

    @csrf_exempt
    def view(request: HttpRequest, path: str) -> HttpResponse:
        _current.discard()
        authorization = header_bytes(request.META.get("HTTP_AUTHORIZATION"))
        query = request.META.get("QUERY_STRING", "")
        method = request.method or "GET"
        below = "/" + quote(path, errors="surrogatepass")
        status, headers, body = answered(view_of, method, below, query, authorization)
        return HttpResponse(body, status=status, headers=dict(headers))

    return [re_path(r"^(?P<path>.*)$", marked(view), name="tenant_sentinel")]
