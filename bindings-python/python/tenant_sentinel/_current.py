"""The request that the current context belongs to."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from tenant_sentinel._native import Sentinel
    from tenant_sentinel._types import TenantId

# The key of the watched request in an ASGI scope or a WSGI environ.
REQUEST_KEY = "tenant_sentinel.request"


class WatchedRequest(Protocol):
    """A request that an adapter watches, native or of ``_request.py``."""

    done: bool
    template: str | None

    @property
    def sentinel(self) -> Sentinel:
        """The sentinel that counts the request."""

    @property
    def outer(self) -> WatchedRequest | None:
        """The same request, as a middleware further out watches it for another sentinel."""

    def set_tenant(self, tenant_id: Any) -> None:
        """Set the tenant, in place of the one that the header or the function names."""

    def discard(self) -> None:
        """End the request without counting it."""


W = TypeVar("W", bound=WatchedRequest)

# Holds the request and not a tenant id: an id that a child task or a thread sets in its copy of the context would stay there.
current: ContextVar[WatchedRequest | None] = ContextVar("tenant_sentinel_request", default=None)


def watched_by(watched: W | None, sentinel: Sentinel) -> W | None:
    """The request, or the one further out, that this sentinel counts; ``None`` where there is none."""
    while watched is not None and watched.sentinel is not sentinel:
        watched = watched.outer  # type: ignore[assignment]
    return watched


def leave_request(token: Token[WatchedRequest | None]) -> None:
    """Make the request that was current before ``token`` the current one again."""
    try:  # noqa: SIM105 - a context manager costs more than all the rest
        current.reset(token)
    except ValueError:
        # A request may end in another context than it began in, which has nothing to reset.
        pass


def set_tenant(tenant_id: TenantId) -> None:
    """Set the tenant of the current request, in place of the one that the adapter finds. The last call counts.

    Works in a handler, in a thread pool and in child tasks, as long as they run in the request's context
    (``asyncio.to_thread`` and the frameworks' pools do, a bare ``threading.Thread`` does not), until the response is complete.
    Outside a request it does nothing. Where several sentinels count the request, the tenant is set for all of them.

    >>> import tenant_sentinel
    >>> tenant_sentinel.set_tenant("tenant_acme")
    """
    request = current.get()
    while request is not None:
        request.set_tenant(tenant_id)
        request = request.outer


def discard_current() -> None:
    """End the current request without counting it, for the admin views."""
    request = current.get()
    while request is not None:
        request.discard()
        request = request.outer
