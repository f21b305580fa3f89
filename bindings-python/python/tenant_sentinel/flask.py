"""The adapter for Flask.

::

    init_app(app, sentinel, tenant=lambda request: g.organisation)
    app.register_blueprint(admin(sentinel), url_prefix="/sentinel")
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flask import Blueprint, Flask, Request, Response, request

from tenant_sentinel import _current, wsgi
from tenant_sentinel._admin import mark_admin_view, respond, rule_redirects_to_admin_view
from tenant_sentinel._current import REQUEST_KEY, watched_by
from tenant_sentinel._request import UPGRADED
from tenant_sentinel._tenant import check_app, checked_name, checked_sentinel, header_bytes

if TYPE_CHECKING:
    from tenant_sentinel._native import Sentinel
    from tenant_sentinel._types import TenantFrom

__all__ = ["admin", "init_app"]


class _Middleware(wsgi.SentinelMiddleware):
    """A middleware whose ``tenant`` function gets a request of Flask."""

    request_class = Request

    def subject(self, environ: wsgi.Environ) -> Any:
        return self.request_class(environ, populate_request=False)


def init_app(app: Flask, sentinel: Sentinel, tenant: TenantFrom = None, exclude: Iterable[str] = ()) -> None:
    """Count every request that ``app`` answers.

    - ``tenant``: the name of a header, or a function of the ``request``, async or not. The function is called while the request
      context is torn down, so after authentication. The response waits for an async one, 5 seconds at most.
      ``tenant_sentinel.set_tenant`` takes precedence.
    - ``exclude``: rules that do not count, such as ``["/health"]``. The admin view never counts.

    Call this for each app of a ``DispatcherMiddleware``, so that all their rules are known. A WebSocket (flask-sock) counts as
    101 when its view begins: call this after registering hooks that may refuse it. Raises ``ConfigError`` for an argument that
    cannot be used.

    >>> from flask import Flask
    >>> from tenant_sentinel import Sentinel
    >>> app, sentinel = Flask("service"), Sentinel()
    >>> init_app(app, sentinel, tenant="x-tenant-id")
    >>> with app.test_client().get("/", headers={"x-tenant-id": "acme"}) as response:
    ...     response.status_code
    404
    >>> sentinel.tenant("acme")["requests"]
    1
    """

    def read_rule() -> Any:
        # Read while the request context exists: matching the URL again would fail where it failed before.
        watched = watched_by(request.environ.get(REQUEST_KEY), sentinel)
        if watched is None or watched.done:
            return None
        rule = request.url_rule
        if rule is None and rule_redirects_to_admin_view(app, request):
            watched.discard()
            return None
        if rule is not None:
            watched.template = request.environ.get("SCRIPT_NAME", "").rstrip("/") + rule.rule
        # A WSGI middleware further out, for the same sentinel, has a `tenant` function of its own.
        return watched if isinstance(watched.middleware, _Middleware) else None

    def read_tenant(_: BaseException | None) -> None:
        watched = read_rule()
        if watched is not None:
            watched.look_up_tenant(request)

    def read_upgrade() -> None:
        # The view runs as long as the socket. A request that is refused before, or that no route matches, has a normal response.
        if request.url_rule is None or request.environ.get("HTTP_UPGRADE", "").lower() != "websocket":
            return
        watched = read_rule()
        if watched is not None:
            watched.look_up_tenant(request)
            watched.finish(UPGRADED)

    check_app(app, Flask, "a flask.Flask")
    middleware = _Middleware(app.wsgi_app, sentinel, tenant, exclude)
    middleware.request_class = app.request_class
    app.before_request(read_upgrade)
    app.teardown_request(read_tenant)
    app.wsgi_app = middleware  # type: ignore[method-assign]


def admin(sentinel: Sentinel, *, public: bool = False, name: str = "tenant_sentinel") -> Blueprint:
    """Make the admin view a blueprint.

    Requests need the ``admin_token`` of the sentinel; with ``public=True`` everybody who can reach the view may read it. Requests
    for the view do not count.

    >>> from flask import Flask
    >>> from tenant_sentinel import Sentinel
    >>> view = admin(Sentinel(admin_token="correct-horse-battery"))
    >>> app = Flask("service")
    >>> app.register_blueprint(view, url_prefix="/sentinel")
    >>> with app.test_client().get("/sentinel/report") as response:
    ...     response.status_code
    401
    """
    view_of = checked_sentinel(sentinel).admin(public=public)
    blueprint = Blueprint(checked_name(name), __name__)
    # Runs for responses of the framework itself too, such as to OPTIONS.
    blueprint.before_request(_current.discard_current)
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

    @blueprint.route("/", defaults={"path": ""}, methods=methods)
    @blueprint.route("/<path:path>", methods=methods)
    def view(path: str) -> Response:
        authorization = header_bytes(request.environ.get("HTTP_AUTHORIZATION"))
        query = request.query_string.decode("latin-1")
        status, headers, body = respond(view_of, request.method, "/" + quote(path, errors="surrogatepass"), query, authorization)
        return Response(body, status, headers)

    mark_admin_view(view)
    return blueprint
