"""The life of a request that an adapter watches. The adapters say only how their framework begins, names and ends one.

::

    begin ──> set_tenant, or the service's function ──> finish: counted once, with its template and status
        └──────────────────────────────────────────────> discard: not counted

``done`` is set by the first of ``finish`` and ``discard``; every later call does nothing. A request that the adapter loses in
between counts as aborted (499) when its guard is collected. A failure of the adapter, or of a function of the service, counts
in ``adapter_failures`` and does not reach the host, unless it was meant for the host (``is_for_the_host``).

Most ASGI requests are native objects with the same names (``Sentinel._begin``), which cost less. An ASGI request is a
``Request`` where a function finds its tenant or where two sentinels watch it.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tenant_sentinel._current import REQUEST_KEY, WatchedRequest, watched_by
from tenant_sentinel._tenant import is_for_the_host, wait_for_tenant

if TYPE_CHECKING:
    from typing_extensions import Self

    from tenant_sentinel._native import Sentinel

# Statuses that no application has said.
UPGRADED = 101
ABORTED = 499
FAILED = 500


def count_failure(sentinel: Sentinel, error: BaseException) -> None:
    """Count a failure, in its ``except`` block; raise it again if it was meant for the host."""
    sentinel.adapter_failed()
    if is_for_the_host(error):
        raise error


class Request:
    """One request, from its begin until it is finished or discarded."""

    __slots__ = (
        "_began",
        "_looked_up",
        "_tenant",
        "_tenant_is_set",
        "done",
        "guard",
        "middleware",
        "outer",
        "sentinel",
        "source",
        "template",
    )

    @classmethod
    def begin(cls, middleware: Any, carrier: MutableMapping[str, Any], *arguments: Any) -> Self | None:
        """Begin a request and leave it in ``carrier``, the ASGI scope or the WSGI environ, for middlewares further in.

        ``None`` where a middleware further out reports it to the same sentinel, or where beginning fails.
        """
        sentinel = middleware.sentinel
        try:
            outer = carrier.get(REQUEST_KEY)
            if outer is not None and outer.done:
                outer = None
            if watched_by(outer, sentinel) is not None:
                return None
            request = carrier[REQUEST_KEY] = cls(middleware, outer, *arguments)
        except Exception:
            sentinel.adapter_failed()
            return None
        return request

    def __init__(self, middleware: Any, outer: WatchedRequest | None, source: Any, tenant: Any) -> None:
        """Begin a request for the tenant that its header names, if any."""
        self.middleware = middleware
        self.sentinel: Sentinel = middleware.sentinel
        # The same request, as a middleware further out watches it for another sentinel.
        self.outer = outer
        # The framework's own: a scope, an environ or an `HttpRequest`; None once the request is done.
        self.source = source
        self.template: str | None = None
        self.done = self._tenant_is_set = self._looked_up = False
        self._tenant = tenant
        # Seconds of `perf_counter`; the time that the service's function takes is added.
        self._began = perf_counter()
        # Started now, and not at the end, so that a request that hangs counts as in flight for its tenant.
        self.guard = middleware.sentinel.start(tenant)

    def set_tenant(self, tenant_id: Any) -> None:
        """Set the tenant, in place of the one that the header or the function names."""
        self._tenant_is_set = True
        self._tenant = tenant_id
        self.guard.tenant(tenant_id)

    def discard(self) -> None:
        """End the request without counting it."""
        self.done = True
        self.guard.discard()
        self.release()

    def release(self) -> None:
        """Drop what is the framework's: a child task may keep this object with its context."""
        self.source = None

    def report_found(self, status: int, latency_ms: float | None, found: bool, tenant: Any) -> None:
        """Count the request, once its function has found a tenant or has failed to."""
        if not found:
            self.sentinel.adapter_failed()
        self.guard.discard()
        # `set_tenant` goes before the function, also when it was called meanwhile.
        self.sentinel.record(self._tenant if self._tenant_is_set else tenant, self.template, status, latency_ms)


class BlockingRequest(Request):
    """A request whose thread may wait for the service's function, as under WSGI and in Django."""

    __slots__ = ()

    def subject(self) -> Any:
        """Give the argument of the service's ``tenant`` function."""
        return self.source

    def look_up_tenant(self, subject: Any = None) -> None:
        """Ask the service's function for the tenant, once, unless ``set_tenant`` has said it."""
        function = self.middleware.tenant
        if function is None or self._tenant_is_set or self._looked_up:
            return
        self._looked_up = True
        began = perf_counter()
        try:
            tenant = wait_for_tenant(function(self.subject() if subject is None else subject))
            if not self._tenant_is_set:
                self._tenant = tenant
                if not self.done:
                    self.guard.tenant(tenant)
        except BaseException as error:
            count_failure(self.sentinel, error)
        finally:
            self._began += perf_counter() - began

    def find_template(self, status: int) -> bool:
        """Set the route template, as it is known at the end; ``False`` where the request does not count."""
        raise NotImplementedError

    def finish(self, status: int) -> None:
        """Count the request, with the template and the tenant that are known now, unless its template is excluded."""
        if self.done:
            return
        self.done = True
        has_function = self.middleware.tenant is not None
        try:
            if has_function:
                self.look_up_tenant()
            latency_ms = (perf_counter() - self._began) * 1_000
            if not self.find_template(status):
                self.guard.discard()
            elif has_function or status == UPGRADED:
                self.report(status, latency_ms)
            else:
                # The same as `report` does here, without the cost of its call.
                self.guard.finish(self.template, status)
        finally:
            self.release()

    def report(self, status: int, latency_ms: float | None) -> None:
        """Count the request; ``latency_ms`` is without the time that the function took."""
        if self._looked_up or latency_ms is None:
            self.guard.discard()
            self.sentinel.record(self._tenant, self.template, status, latency_ms)
        else:
            self.guard.finish(self.template, status)
