"""The adapter for Django, sync and async.

::

    MIDDLEWARE = ["tenant_sentinel.django.SentinelMiddleware", ...]  # the first one
    TENANT_SENTINEL = {"tenant": "x-tenant-id", "exclude": ["/health"], "options": {"window": "10m"}}
    urlpatterns = [path("sentinel/", include(tenant_sentinel.django.admin())), ...]

The keys of ``TENANT_SENTINEL``: ``tenant`` (the name of a header; a function of the request, or its dotted path), ``exclude``
(route templates that do not count), and either ``options`` (arguments of a new ``Sentinel``) or ``sentinel`` (an existing one, or
its dotted path). Another key or a value that cannot be used is a ``ConfigError``.

The function may be async. Under ASGI no request waits for the function: it is called when the response is complete, in a thread
if it uses the database. Under WSGI the response waits for an async one. When it takes longer than 5 seconds, the request counts
without a tenant. Under WSGI a file that the server sends by itself (``FileResponse``) counts when it is closed: the server does
not report whether the client got it. Under ASGI a client that goes away is seen from Django 5.0 on.
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
from tenant_sentinel._admin import is_admin_view, mark_admin_view, respond_with_length
from tenant_sentinel._current import WatchedRequest, current, leave_request
from tenant_sentinel._errors import config_error
from tenant_sentinel._native import Sentinel
from tenant_sentinel._request import ABORTED, FAILED, BlockingRequest
from tenant_sentinel._tenant import (
    checked_sentinel,
    environ_key,
    excluded_templates,
    header_bytes,
    header_or_function,
    look_up_later,
    tenant_in_environ,
)

__all__ = ["SentinelMiddleware", "admin", "sentinel"]

MOVED_PERMANENTLY = 301

_lock = threading.Lock()
_sentinel: Sentinel | None = None


_SETTINGS = ("tenant", "exclude", "options", "sentinel")


def _setting(name: str, default: Any) -> Any:
    given = getattr(settings, "TENANT_SENTINEL", {})
    if not isinstance(given, Mapping):
        raise config_error("TENANT_SENTINEL", given, f"a dict of {', '.join(_SETTINGS)}")
    for key in given:
        if key not in _SETTINGS:
            raise config_error(f"TENANT_SENTINEL.{key}", given[key], ", ".join(_SETTINGS))
    return given.get(name, default)


def _import_setting(field: str, path: str) -> Any:
    try:
        return import_string(path)
    except Exception as error:
        raise config_error(field, path, "the dotted path of something that can be imported") from error


def _create_sentinel(options: Any) -> Sentinel:
    if not isinstance(options, Mapping):
        raise config_error("options", options, "a dict of the arguments of Sentinel")
    try:
        return Sentinel(**options)
    except TypeError as error:
        # Only the names of the options: a value may be a secret.
        raise config_error("options", list(options), f"the arguments of Sentinel ({error})") from None


def sentinel() -> Sentinel:
    """Give the sentinel of this process, as ``settings.TENANT_SENTINEL`` describes it.

    >>> sentinel().record("tenant_acme", "/v1/process", 503, 41.7)  # such as a job
    >>> sentinel().tenant("tenant_acme")["errors"]
    1
    """
    global _sentinel
    with _lock:
        if _sentinel is None:
            given = _setting("sentinel", None)
            given = _import_setting("sentinel", given) if isinstance(given, str) else given
            _sentinel = _create_sentinel(_setting("options", {})) if given is None else checked_sentinel(given)
        return _sentinel


class SentinelMiddleware:
    """Counts every request that the views and the middlewares below this one answer.

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
            _import_setting("tenant", tenant) if isinstance(tenant, str) and "." in tenant else tenant
        )
        self.header = None if header is None else environ_key(header)
        self.exclude = excluded_templates(_setting("exclude", ()))
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Answer a request, and count it."""
        if self._is_async:
            return self._answer(request)
        watched = self._begin(request)
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
            leave_request(token)
        watched.response_returned(response)
        return response

    async def _answer(self, request: HttpRequest) -> Any:
        watched = self._begin(request)
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
            leave_request(token)
        watched.response_returned(response)
        return response

    def _begin(self, request: HttpRequest) -> _Request | None:
        """Begin a request; ``None`` where another middleware counts it already, or where beginning fails."""
        # `META` is the environ under WSGI.
        return _Request.begin(self, getattr(request, "scope", None) or request.META, request)


class _Request(BlockingRequest):
    """A request that Django answers."""

    __slots__ = ("_is_complete", "_loop", "_task")

    def __init__(self, middleware: SentinelMiddleware, outer: WatchedRequest | None, request: HttpRequest) -> None:
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

    async def _find_tenant(self, request: HttpRequest) -> Any:
        """Ask the service's function for the tenant; in a thread if it uses the database."""
        function: Any = self.middleware.tenant
        try:
            found = function(request)
        except SynchronousOnlyOperation:
            # Not in the request's own thread, which ends with the request: the request would wait for the function.
            found = await sync_to_async(_call_with_database, thread_sensitive=False)(function, request)
        return await found if isawaitable(found) else found

    def response_returned(self, response: HttpResponseBase) -> None:
        """Finish the request, or watch its response where that is streamed."""
        if self.done:
            return
        status = response.status_code
        events = response.headers.get("content-type", "").startswith("text/event-stream")
        if not response.streaming or events or self.source.method == "HEAD" or status in (204, 304):
            self.finish(status)
            return
        # For a stream that is neither read to its end nor closed: the guard counts it when it is collected.
        self.guard.endpoint(self._template())
        streamed: Any = response
        sends_file = getattr(streamed, "file_to_stream", None) is not None
        if sends_file:
            pass  # the server sends the file by itself only if it gets the response unchanged
        elif streamed.is_async:
            streamed.streaming_content = self._watch_async_chunks(status, streamed.streaming_content)
        else:
            streamed.streaming_content = self._watch_chunks(status, streamed.streaming_content)
        close = response.close

        def closing() -> None:
            try:
                close()
            finally:
                self.finish(status if (sends_file or self._is_complete) and not self._is_cut_off() else ABORTED)

        streamed.close = closing

    def _is_cut_off(self) -> bool:
        """Whether Django has cancelled the sending task, because the client went away. Always false in Python 3.10."""
        cancelling = getattr(self._task, "cancelling", None)
        return cancelling is not None and cancelling() > 0

    def _watch_chunks(self, status: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
        try:
            each = iter(chunks)
            while True:
                # Chunks are made after the request's own context has ended, and must leave no request in this one.
                token = current.set(self)
                try:
                    chunk = next(each)
                except StopIteration:
                    break
                finally:
                    leave_request(token)
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
            # Under ASGI, Django reads all chunks of a sync iterator before it sends the first.
            self._is_complete = True

    async def _watch_async_chunks(self, status: int, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        try:
            each = chunks.__aiter__()
            while True:
                token = current.set(self)
                try:
                    chunk = await each.__anext__()
                except StopAsyncIteration:
                    break
                finally:
                    leave_request(token)
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
        return None if match is None else _template_of_route(match.route)

    def find_template(self, status: int) -> bool:
        try:
            self.template = self._template()
            redirected = self.template is None and status == MOVED_PERMANENTLY and _redirects_to_admin_view(self.source)
            return not redirected and self.template not in self.middleware.exclude
        except Exception:
            self.sentinel.adapter_failed()
            return True

    def report(self, status: int, latency_ms: float | None) -> None:
        if self._loop is None or self.middleware.tenant is None or self._tenant_is_set:
            super().report(status, latency_ms)
        else:
            self._look_up_later(partial(self._find_tenant, self.source), partial(self.report_found, status, latency_ms))

    def _look_up_later(self, find: Callable[[], Any], report: Callable[[bool, Any], None]) -> None:
        loop: Any = self._loop
        try:
            # Django closes responses in threads.
            if loop is _running_loop():
                look_up_later(find, report)
            else:
                loop.call_soon_threadsafe(look_up_later, find, report)
        except Exception:
            # The loop is closed.
            report(False, None)


def _running_loop() -> Any:
    try:
        return get_running_loop()
    except RuntimeError:
        return None


def _call_with_database(function: Callable[[HttpRequest], Any], request: HttpRequest) -> Any:
    """Call the function, and close the database connections of its thread, which no other code closes."""
    try:
        return function(request)
    finally:
        close_old_connections()


def _redirects_to_admin_view(request: Any) -> bool:
    """Whether the path with a slash at its end would be that of the admin view."""
    try:
        return is_admin_view(resolve(request.path_info + "/", getattr(request, "urlconf", None)).func)
    except Resolver404:
        return False


@lru_cache(maxsize=4_096)
def _template_of_route(route: str) -> str:
    """A route as it is written in the urlconf, with a slash in front and without the anchors of regular expressions.

    >>> _template_of_route("api/<version>/^users/(?P<user>[^/]+)/$")
    '/api/<version>/users/(?P<user>[^/]+)/'
    """
    return "/" + sub(r"(^|/)\^", r"\1", route).removesuffix("$")


def admin(*, public: bool = False) -> list[URLPattern]:
    """Give the admin view as urlpatterns, to be included.

    Requests need the ``admin_token`` of the sentinel; with ``public=True`` everybody who can reach the view may read it. Requests
    for the view do not count.

    >>> from django.urls import include, path
    >>> urlpatterns = [path("sentinel/", include(admin()))]
    >>> urlpatterns[0].resolve("sentinel/report").kwargs
    {'path': 'report'}
    """
    view_of = sentinel().admin(public=public)

    @csrf_exempt
    def view(request: HttpRequest, path: str) -> HttpResponse:
        _current.discard_current()
        authorization = header_bytes(request.META.get("HTTP_AUTHORIZATION"))
        query = request.META.get("QUERY_STRING", "")
        method = request.method or "GET"
        below = "/" + quote(path, errors="surrogatepass")
        status, headers, body = respond_with_length(view_of, method, below, query, authorization)
        return HttpResponse(body, status=status, headers=dict(headers))

    return [re_path(r"^(?P<path>.*)$", mark_admin_view(view), name="tenant_sentinel")]
