"""Flask.

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
from tenant_sentinel._admin import marked, redirects_to_view, whole
from tenant_sentinel._current import KEY, watching
from tenant_sentinel._request import UPGRADED
from tenant_sentinel._tenant import given_app, given_name, given_sentinel, header_bytes

if TYPE_CHECKING:
    from tenant_sentinel._native import Sentinel
    from tenant_sentinel._types import TenantFrom

__all__ = ["admin", "init_app"]


class _Middleware(wsgi.SentinelMiddleware):
    """Whose function is one of a request of Flask, whatever answers that."""

    request_class = Request

    def subject(self, environ: wsgi.Environ) -> Any:
        return self.request_class(environ, populate_request=False)


def init_app(app: Flask, sentinel: Sentinel, tenant: TenantFrom = None, exclude: Iterable[str] = ()) -> None:
    """Tell ``sentinel`` of every request that ``app`` answers.

    - ``tenant``: the name of a header, or a function of the ``request``, async or not, that is called while the request context
      is torn down, so after authentication. The answer waits for an async one, 5 seconds at most. What
      ``tenant_sentinel.set_tenant`` said goes before it.
    - ``exclude``: rules that do not count, such as ``["/health"]``. The admin view never does.

    Apps that are dispatched to (``DispatcherMiddleware``) say their rules when this is called for each of them.
    A WebSocket (flask-sock) counts as 101 when its view begins; call this after what may refuse it.

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
        # While there is a request, and its rule: matching the URL again would fail where it failed before.
        watched = watching(request.environ.get(KEY), sentinel)
        if watched is None or watched.done:
            return None
        rule = request.url_rule
        if rule is None and redirects_to_view(app, request):
            watched.discard()
            return None
        if rule is not None:
            watched.template = request.environ.get("SCRIPT_NAME", "").rstrip("/") + rule.rule
        # A middleware of WSGI further out, for the same sentinel, has a function of its own.
        return watched if isinstance(watched.middleware, _Middleware) else None

    def read(_: BaseException | None) -> None:
        watched = read_rule()
        if watched is not None:
            watched.look_up_tenant(request)

    def read_upgrade() -> None:
        # The view lives as long as the socket. What is refused before, or no route matches, is an answer like any other.
        if request.url_rule is None or request.environ.get("HTTP_UPGRADE", "").lower() != "websocket":
            return
        watched = read_rule()
        if watched is not None:
            watched.look_up_tenant(request)
            watched.finish(UPGRADED)

    given_app(app, Flask, "a flask.Flask")
    middleware = _Middleware(app.wsgi_app, sentinel, tenant, exclude)
    middleware.request_class = app.request_class
    app.before_request(read_upgrade)
    app.teardown_request(read)
    app.wsgi_app = middleware  # type: ignore[method-assign]


def admin(sentinel: Sentinel, *, public: bool = False, name: str = "tenant_sentinel") -> Blueprint:
    """Make the admin view a blueprint.

    It answers to who has the ``admin_token`` of the sentinel; with ``public=True`` to everybody who can reach it. Its own
    requests do not count.

    >>> from flask import Flask
    >>> from tenant_sentinel import Sentinel
    >>> view = admin(Sentinel(admin_token="correct-horse-battery"))
    >>> app = Flask("service")
    >>> app.register_blueprint(view, url_prefix="/sentinel")
    >>> with app.test_client().get("/sentinel/report") as response:
    ...     response.status_code
    401
    """
    view_of = given_sentinel(sentinel).admin(public=public)
    blueprint = Blueprint(given_name(name), __name__)
    # Also of what the framework answers by itself, such as OPTIONS.
    blueprint.before_request(_current.discard)
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

    @blueprint.route("/", defaults={"path": ""}, methods=methods)
    @blueprint.route("/<path:path>", methods=methods)
    def view(path: str) -> Response:
        authorization = header_bytes(request.environ.get("HTTP_AUTHORIZATION"))
        query = request.query_string.decode("latin-1")
        status, headers, body = whole(view_of, request.method, "/" + quote(path, errors="surrogatepass"), query, authorization)
        return Response(body, status, headers)

    marked(view)
    return blueprint
