"""Quart.

::

    init_app(app, sentinel, tenant="x-tenant-id")
    app.register_blueprint(admin(sentinel), url_prefix="/sentinel")
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from quart import Blueprint, Quart, Response, request, websocket

from tenant_sentinel import _current
from tenant_sentinel._admin import marked, redirects_to_view, whole
from tenant_sentinel._current import current
from tenant_sentinel._routes import mounts_of
from tenant_sentinel._tenant import given_app, given_name, given_sentinel, header_bytes
from tenant_sentinel.asgi import SentinelMiddleware

if TYPE_CHECKING:
    from tenant_sentinel._native import Sentinel
    from tenant_sentinel._types import TenantFrom

__all__ = ["admin", "init_app"]


def init_app(app: Quart, sentinel: Sentinel, tenant: TenantFrom = None, exclude: Iterable[str] = ()) -> None:
    """Tell ``sentinel`` of every request that ``app`` answers.

    Arguments as for ``tenant_sentinel.asgi.SentinelMiddleware``; what is excluded are rules, such as ``["/health"]``.

    >>> import asyncio
    >>> from quart import Quart
    >>> from tenant_sentinel import Sentinel
    >>> app, sentinel = Quart("service"), Sentinel()
    >>> init_app(app, sentinel, tenant="x-tenant-id")
    >>> async def visit():
    ...     return await app.test_client().get("/", headers={"x-tenant-id": "acme"})
    >>> asyncio.run(visit()).status_code
    404
    >>> sentinel.tenant("acme")["requests"]
    1
    """

    given_app(app, Quart, "a quart.Quart")
    # First: of what is refused nothing stays in the app.
    middleware = SentinelMiddleware(app.asgi_app, sentinel, tenant, exclude)  # type: ignore[arg-type]

    def read(asked: Any) -> None:
        # The scope does not say the rule; the request does.
        watched, rule = current.get(), asked.url_rule
        if rule is None and redirects_to_view(app, asked):
            _current.discard()
        while watched is not None and rule is not None:
            watched.template = mounts_of(asked.scope, getattr(watched, "root", "")) + rule.rule
            watched = watched.outer

    async def read_request() -> None:
        read(request)

    async def read_websocket() -> None:
        read(websocket)

    app.before_request_funcs.setdefault(None, []).insert(0, read_request)
    app.before_websocket_funcs.setdefault(None, []).insert(0, read_websocket)
    app.asgi_app = middleware  # type: ignore[method-assign, assignment]


def admin(sentinel: Sentinel, *, public: bool = False, name: str = "tenant_sentinel") -> Blueprint:
    """Make the admin view a blueprint.

    It answers to who has the ``admin_token`` of the sentinel; with ``public=True`` to everybody who can reach it. Its own
    requests do not count.

    >>> import asyncio
    >>> from quart import Quart
    >>> from tenant_sentinel import Sentinel
    >>> view = admin(Sentinel(admin_token="correct-horse-battery"))
    >>> app = Quart("service")
    >>> app.register_blueprint(view, url_prefix="/sentinel")
    >>> async def visit():
    ...     return await app.test_client().get("/sentinel/report")
    >>> asyncio.run(visit()).status_code
    401
    """
    view_of = given_sentinel(sentinel).admin(public=public)
    blueprint = Blueprint(given_name(name), __name__)

    async def uncounted() -> None:
        # No plain function: a thread pool is where Quart would call it.
        _current.discard()

    # Also of what the framework answers by itself, such as OPTIONS.
    blueprint.before_request(uncounted)
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

    @blueprint.route("/", defaults={"path": ""}, methods=methods)
    @blueprint.route("/<path:path>", methods=methods)
    async def view(path: str) -> Response:
        authorization = header_bytes(request.headers.get("Authorization"))
        below, query = "/" + quote(path, errors="surrogatepass"), request.query_string.decode("latin-1")
        status, headers, body = await asyncio.to_thread(whole, view_of, request.method, below, query, authorization)
        return Response(body, status, headers=dict(headers))

    marked(view)
    return blueprint
