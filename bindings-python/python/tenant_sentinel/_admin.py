"""The admin view, as every adapter serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tenant_sentinel._native import Admin

Answer = tuple[int, list[tuple[str, str]], bytes]
T = TypeVar("T")

# What a function that serves the view has. A framework that redirects to it, for the slash that was left out, has not called it;
# that redirect is no traffic of the service either.
_MARK = "tenant_sentinel_admin"


def marked(view: T) -> T:
    """One that serves it."""
    setattr(view, _MARK, True)
    return view


def is_view(app: Any) -> bool:
    """Whether this serves it."""
    return getattr(app, _MARK, False) is True


def redirects_to_view(app: Any, request: Any) -> bool:
    """Whether Flask or Quart redirect a request to it."""
    if getattr(request.routing_exception, "code", None) not in (301, 307, 308):
        return False
    path = request.path + "/"
    return any(rule.rule == path and is_view(app.view_functions.get(rule.endpoint)) for rule in app.url_map.iter_rules())


def whole(view: Admin, method: str, path: str, query: str, authorization: bytes | None) -> Answer:
    """Its status, its headers and its body, which to HEAD is the one that GET would have; frameworks take it off."""
    return view.respond("GET" if method == "HEAD" else method, path, query, authorization)


def answered(view: Admin, method: str, path: str, query: str, authorization: bytes | None) -> Answer:
    """The same with the length among the headers, and nothing but these to HEAD."""
    status, headers, body = whole(view, method, path, query, authorization)
    return status, [*headers, ("content-length", str(len(body)))], b"" if method == "HEAD" else body
