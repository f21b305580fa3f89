"""The request that this code runs for, as the adapters know it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tenant_sentinel._types import TenantId


class Watched(Protocol):
    """A request that an adapter watches."""

    template: str | None

    def set_tenant(self, tenant_id: Any) -> None:
        """Whose it is, whatever the request says."""

    def discard(self) -> None:
        """It does not count."""


# It holds an object and not an id: what a child task or a thread sets in its copy of the context, nobody else would see.
current: ContextVar[Watched | None] = ContextVar("tenant_sentinel_request", default=None)


def set_tenant(tenant_id: TenantId) -> None:
    """Say whose request this is; it goes before what the adapter was told, and the last word counts.

    Works in a handler, in a thread pool and in child tasks, as long as they run in the request's context
    (``asyncio.to_thread`` and the frameworks' pools do, a bare ``threading.Thread`` does not), until the answer is complete.
    Outside a request it does nothing.

    >>> import tenant_sentinel
    >>> tenant_sentinel.set_tenant("tenant_acme")
    """
    request = current.get()
    if request is not None:
        request.set_tenant(tenant_id)


def discard() -> None:
    """For the admin views: the request does not count."""
    request = current.get()
    if request is not None:
        request.discard()
