"""The adapter for FastAPI and Starlette: ``tenant_sentinel.asgi``, with the framework's ``Request`` for ``tenant``.

::

    app.add_middleware(SentinelMiddleware, sentinel=sentinel, tenant=lambda request: request.state.organisation)
    app.mount("/sentinel", admin(sentinel))
"""

from __future__ import annotations

from typing import Any

from starlette.requests import HTTPConnection, Request

from tenant_sentinel import asgi
from tenant_sentinel._exchange import Scope
from tenant_sentinel.asgi import admin

__all__ = ["SentinelMiddleware", "admin"]


class SentinelMiddleware(asgi.SentinelMiddleware):
    """Counts every request; as ``tenant_sentinel.asgi.SentinelMiddleware``, but ``tenant`` and ``endpoint`` get a ``Request``.

    >>> import asyncio
    >>> from fastapi import FastAPI
    >>> from tenant_sentinel import Sentinel
    >>> app, sentinel = FastAPI(), Sentinel()
    >>> app.add_middleware(SentinelMiddleware, sentinel=sentinel, tenant=lambda request: request.headers["x-tenant-id"])
    >>> scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"x-tenant-id", b"acme")]}
    >>> async def server(message=None): ...
    >>> asyncio.run(app(scope, server, server))
    >>> sentinel.tenant("acme")["endpoints"]
    [{'endpoint': 'unmatched', 'requests': 1, 'errors': 0}]
    """

    def subject(self, scope: Scope) -> Any:
        """Give the request, whose body cannot be read."""
        return Request(scope) if scope["type"] == "http" else HTTPConnection(scope)
