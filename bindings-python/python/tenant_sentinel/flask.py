"""Flask.

::

    init_app(app, sentinel, tenant=lambda request: g.organisation)
    app.register_blueprint(admin(sentinel), url_prefix="/sentinel")
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Blueprint, Flask, Response, request

from tenant_sentinel import _current, wsgi

if TYPE_CHECKING:
    from tenant_sentinel._native import Sentinel
    from tenant_sentinel._types import TenantFrom

__all__ = ["admin", "init_app"]


def init_app(app: Flask, sentinel: Sentinel, tenant: TenantFrom = None, exclude: Iterable[str] = ()) -> None:
    """Tell ``sentinel`` of every request that ``app`` answers.

    - ``tenant``: the name of a header, or a function of the ``request``, async or not, that is called while the request context
      is torn down, so after authentication. What ``tenant_sentinel.set_tenant`` said goes before it.
    - ``exclude``: rules that do not count, such as ``["/health"]``. The admin view never does.

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

    def read(_: BaseException | None) -> None:
        # While there is a request, and its rule: matching the URL again would fail where it failed before.
        watched = request.environ.get(wsgi.KEY)
        if watched is None or watched.done:
            return
        rule = request.url_rule
        if rule is not None:
            watched.template = request.environ.get("SCRIPT_NAME", "").rstrip("/") + rule.rule
        watched.found(request)

    middleware = wsgi.SentinelMiddleware(app.wsgi_app, sentinel, tenant, exclude)
    app.teardown_request(read)
    app.wsgi_app = middleware  # type: ignore[method-assign]


def admin(sentinel: Sentinel, *, public: bool = False, name: str = "tenant_sentinel") -> Blueprint:
    """Make the admin view a blueprint.

    It answers to who has the ``admin_token`` of the sentinel; with ``public=True`` to everybody who can reach it. Its own
    requests do not count.

    >>> from flask import Flask
    >>> from tenant_sentinel import Sentinel
    >>> view = admin(Sentinel(admin_token="correct-horse-battery"))
    >>> Flask("service").register_blueprint(view, url_prefix="/sentinel")
    """
    respond = sentinel.admin(public=public).respond
    blueprint = Blueprint(name, __name__)
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

    @blueprint.route("/", defaults={"path": ""}, methods=methods)
    @blueprint.route("/<path:path>", methods=methods)
    def view(path: str) -> Response:
        _current.discard()
        authorization = request.environ.get("HTTP_AUTHORIZATION")
        given = None if authorization is None else authorization.encode("latin-1", "replace")
        query = request.query_string.decode("latin-1")
        status, headers, body = respond(request.method, "/" + quote(path, errors="surrogatepass"), query, given)
        return Response(body, status, headers)

    return blueprint
