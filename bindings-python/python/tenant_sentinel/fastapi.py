"""FastAPI and Starlette: the middleware of ``tenant_sentinel.asgi``, whose ``tenant`` gets the ``Request`` of the framework.

::

    app.add_middleware(SentinelMiddleware, sentinel=sentinel, tenant=lambda request: request.state.organisation)
    app.mount("/sentinel", admin(sentinel))
"""

from __future__ import annotations

from typing import Any

from starlette.requests import HTTPConnection, Request

from tenant_sentinel import asgi
from tenant_sentinel.asgi import Scope, admin

__all__ = ["SentinelMiddleware", "admin"]


class SentinelMiddleware(asgi.SentinelMiddleware):
    """Tells a ``Sentinel`` of every request; as ``tenant_sentinel.asgi.SentinelMiddleware``, for functions of a request."""

    def subject(self, scope: Scope) -> Any:
        """The request: its head, without a body to read."""
        return Request(scope) if scope["type"] == "http" else HTTPConnection(scope)
