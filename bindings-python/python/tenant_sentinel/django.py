"""Django, sync and async.

::

    MIDDLEWARE = ["tenant_sentinel.django.SentinelMiddleware", ...]  # the first one
    TENANT_SENTINEL = {"tenant": "x-tenant-id", "exclude": ["/health"], "options": {"window": "10m"}}
    urlpatterns = [path("sentinel/", include(tenant_sentinel.django.admin())), ...]

``TENANT_SENTINEL`` may name ``tenant`` (a header; a function of the request, or the dotted path of one), ``exclude`` (route
templates), and ``options`` (of the ``Sentinel``) or ``sentinel`` (one that there is, or the dotted path of it).
"""

from __future__ import annotations

import threading
from asyncio import CancelledError
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache
from inspect import isawaitable
from re import sub
from typing import Any
from urllib.parse import quote

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, re_path
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt

from tenant_sentinel import _current
from tenant_sentinel._current import current
from tenant_sentinel._native import Sentinel
from tenant_sentinel._tenant import header_or_function, templates, waited

__all__ = ["SentinelMiddleware", "admin", "sentinel"]

ABORTED = 499
FAILED = 500

_lock = threading.Lock()
_sentinel: Sentinel | None = None


def _setting(name: str, default: Any) -> Any:
    return getattr(settings, "TENANT_SENTINEL", {}).get(name, default)


def sentinel() -> Sentinel:
    """Give the sentinel of this process, as ``settings.TENANT_SENTINEL`` describes it."""
    global _sentinel
    with _lock:
        if _sentinel is None:
            given = _setting("sentinel", None)
            given = import_string(given) if isinstance(given, str) else given
            _sentinel = Sentinel(**_setting("options", {})) if given is None else given
        return _sentinel


class SentinelMiddleware:
    """Tells the sentinel of every request that the views and middlewares below it answer."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        """Read the settings."""
        self.get_response = get_response
        self.sentinel = sentinel()
        tenant = _setting("tenant", None)
        # A header's name has no dot.
        header, self.tenant = header_or_function(import_string(tenant) if isinstance(tenant, str) and "." in tenant else tenant)
        self.header = None if header is None else "HTTP_" + header.upper().replace("-", "_")
        self.exclude = templates(_setting("exclude", ()))
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Answer a request, and tell of it."""
        if self._is_async:
            return self._answer(request)
        watched = _Request(self, request)
        token = current.set(watched)
        try:
            response = self.get_response(request)
            watched.found()
        except BaseException:
            watched.finish(FAILED)
            raise
        finally:
            current.reset(token)
        watched.answered(response)
        return response

    async def _answer(self, request: HttpRequest) -> Any:
        watched = _Request(self, request)
        token = current.set(watched)
        try:
            response = await self.get_response(request)
            await watched.found_later()
        except BaseException as error:
            # Django cancels a request whose client went away.
            watched.finish(FAILED if isinstance(error, Exception) else ABORTED)
            raise
        finally:
            current.reset(token)
        watched.answered(response)
        return response


class _Request:
    """One request, until it is told of: once, however it ends."""

    __slots__ = ("done", "guard", "middleware", "named", "request", "template")

    def __init__(self, middleware: SentinelMiddleware, request: HttpRequest) -> None:
        self.middleware = middleware
        self.request = request
        self.done = self.named = False
        self.template: str | None = None
        value = request.META.get(middleware.header) if middleware.header is not None else None
        # Bytes come as text of their values.
        self.guard = middleware.sentinel.start(None if value is None else value.encode("latin-1", "replace"))

    def set_tenant(self, tenant_id: Any) -> None:
        self.named = True
        self.guard.tenant(tenant_id)

    def discard(self) -> None:
        self.done = True
        self.guard.discard()

    def found(self) -> None:
        """Asks the function for the tenant."""
        function = self.middleware.tenant
        if function is None or self.named or self.done:
            return
        try:
            self.set_tenant(waited(function(self.request)))
        except Exception:
            self.middleware.sentinel.adapter_failed()

    async def found_later(self) -> None:
        """Asks the function for the tenant; in a thread where it wants the database."""
        function = self.middleware.tenant
        if function is None or self.named or self.done:
            return
        try:
            try:
                found = function(self.request)
            except SynchronousOnlyOperation:
                found = await sync_to_async(function)(self.request)
            self.set_tenant(await found if isawaitable(found) else found)
        except Exception:
            self.middleware.sentinel.adapter_failed()

    def answered(self, response: HttpResponseBase) -> None:
        """The views are done; what is streamed is still to come."""
        if self.done:
            return
        status = response.status_code
        events = response.headers.get("content-type", "").startswith("text/event-stream")
        if not response.streaming or events or self.request.method == "HEAD" or status in (204, 304):
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
            close()
            self.finish(status if sends_file else ABORTED)

        streamed.close = closing

    def _chunks(self, status: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except Exception:
            self.finish(FAILED)
            raise
        except BaseException:
            self.finish(ABORTED)
            raise
        self.finish(status)

    async def _later(self, status: int, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield chunk
        except Exception:
            self.finish(FAILED)
            raise
        except (CancelledError, GeneratorExit):
            self.finish(ABORTED)
            raise
        self.finish(status)

    def _template(self) -> str | None:
        match = self.request.resolver_match
        return None if match is None else _template_of(match.route)

    def finish(self, status: int) -> None:
        """Tells of it."""
        if self.done:
            return
        self.done = True
        try:
            self.template = self._template()
            if self.template in self.middleware.exclude:
                self.guard.discard()
                return
        except Exception:
            self.middleware.sentinel.adapter_failed()
        self.guard.finish(self.template, status)


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
    """
    respond = sentinel().admin(public=public).respond

    @csrf_exempt
    def view(request: HttpRequest, path: str) -> HttpResponse:
        _current.discard()
        authorization = request.META.get("HTTP_AUTHORIZATION")
        given = None if authorization is None else authorization.encode("latin-1", "replace")
        query = request.META.get("QUERY_STRING", "")
        method = request.method or "GET"
        status, headers, body = respond(method, "/" + quote(path, errors="surrogatepass"), query, given)
        return HttpResponse(body, status=status, headers=dict(headers))

    return [re_path(r"^(?P<path>.*)$", view, name="tenant_sentinel")]
