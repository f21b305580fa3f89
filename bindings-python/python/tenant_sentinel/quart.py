"""The adapter for Quart.

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
from tenant_sentinel._admin import mark_admin_view, respond, rule_redirects_to_admin_view
from tenant_sentinel._current import current
from tenant_sentinel._routes import mount_prefix
from tenant_sentinel._tenant import check_app, checked_name, checked_sentinel, header_bytes
from tenant_sentinel.asgi import SentinelMiddleware

if TYPE_CHECKING:
    from tenant_sentinel._native import Sentinel
    from tenant_sentinel._types import TenantFrom

__all__ = ["admin", "init_app"]


def init_app(app: Quart, sentinel: Sentinel, tenant: TenantFrom = None, exclude: Iterable[str] = ()) -> None:
    """Count every request that ``app`` answers.

    Arguments as for ``tenant_sentinel.asgi.SentinelMiddleware``; ``exclude`` takes rules, such as ``["/health"]``.

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

    check_app(app, Quart, "a quart.Quart")
    # First, so that a refused argument leaves the app unchanged.
    middleware = SentinelMiddleware(app.asgi_app, sentinel, tenant, exclude)  # type: ignore[arg-type]

    def read_rule(connection: Any) -> None:
        # The rule is in Quart's request, not in the scope.
        watched, rule = current.get(), connection.url_rule
        if rule is None and rule_redirects_to_admin_view(app, connection):
            _current.discard_current()
        while watched is not None and rule is not None:
            watched.template = mount_prefix(connection.scope, getattr(watched, "root", "")) + rule.rule
            watched = watched.outer

    async def read_request() -> None:
        read_rule(request)

    async def read_websocket() -> None:
        read_rule(websocket)

    app.before_request_funcs.setdefault(None, []).insert(0, read_request)
    app.before_websocket_funcs.setdefault(None, []).insert(0, read_websocket)
    app.asgi_app = middleware  # type: ignore[method-assign, assignment]


def admin(sentinel: Sentinel, *, public: bool = False, name: str = "tenant_sentinel") -> Blueprint:
    """Make the admin view a blueprint.

    Requests need the ``admin_token`` of the sentinel; with ``public=True`` everybody who can reach the view may read it. Requests
    for the view do not count.

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
    view_of = checked_sentinel(sentinel).admin(public=public)
    blueprint = Blueprint(checked_name(name), __name__)

    async def uncounted() -> None:
        # Quart would call a plain function in a thread pool, outside the request's context.
        _current.discard_current()

    # Runs for responses of the framework itself too, such as to OPTIONS.
    blueprint.before_request(uncounted)
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

    @blueprint.route("/", defaults={"path": ""}, methods=methods)
    @blueprint.route("/<path:path>", methods=methods)
    async def view(path: str) -> Response:
        authorization = header_bytes(request.headers.get("Authorization"))
        below, query = "/" + quote(path, errors="surrogatepass"), request.query_string.decode("latin-1")
        status, headers, body = await asyncio.to_thread(respond, view_of, request.method, below, query, authorization)
        return Response(body, status, headers=dict(headers))

    mark_admin_view(view)
    return blueprint
