"""The request that this code runs for, as the adapters know it."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from tenant_sentinel._native import Sentinel
    from tenant_sentinel._types import TenantId

# Where a request (an ASGI scope, a WSGI environ) has who watches it.
KEY = "tenant_sentinel.request"


class Watched(Protocol):
    """A request that an adapter watches."""

    done: bool
    template: str | None

    @property
    def sentinel(self) -> Sentinel:
        """Who is told of it."""

    @property
    def outer(self) -> Watched | None:
        """Who watches the same request further out, for another sentinel."""

    def set_tenant(self, tenant_id: Any) -> None:
        """Whose it is, whatever the request says."""

    def discard(self) -> None:
        """It does not count."""


W = TypeVar("W", bound=Watched)

# It holds an object and not an id: what a child task or a thread sets in its copy of the context, nobody else would see.
current: ContextVar[Watched | None] = ContextVar("tenant_sentinel_request", default=None)


def watching(watched: W | None, sentinel: Sentinel) -> W | None:
    """The one of those who watch a request that tells this sentinel."""
    while watched is not None and watched.sentinel is not sentinel:
        watched = watched.outer  # type: ignore[assignment]
    return watched


def leave(token: Token[Watched | None]) -> None:
    """Make the request that was current before ``token`` the current one again."""
    try:  # noqa: SIM105 - a context manager costs more than all the rest
        current.reset(token)
    except ValueError:
        # A request may end in another context than it began in, which has nothing to reset.
        pass


def set_tenant(tenant_id: TenantId) -> None:
    """Say whose request this is; it goes before what the adapter was told, and the last word counts.

    Works in a handler, in a thread pool and in child tasks, as long as they run in the request's context
    (``asyncio.to_thread`` and the frameworks' pools do, a bare ``threading.Thread`` does not), until the answer is complete.
    Outside a request it does nothing. Where several sentinels are told of a request, all of them are told.

    >>> import tenant_sentinel
    >>> tenant_sentinel.set_tenant("tenant_acme")
    """
    request = current.get()
    while request is not None:
        request.set_tenant(tenant_id)
        request = request.outer


def discard() -> None:
    """For the admin views: the request does not count."""
    request = current.get()
    while request is not None:
        request.discard()
        request = request.outer
