"""The parts of the admin view that all adapters share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tenant_sentinel._native import Admin

AdminResponse = tuple[int, list[tuple[str, str]], bytes]
T = TypeVar("T")

# An attribute of functions that serve the admin view. A framework that redirects to the view, for a missing slash at the end,
# does not call the function; the adapters recognise the view by this attribute, and do not count the redirect either.
_ADMIN_VIEW_ATTRIBUTE = "tenant_sentinel_admin"


def mark_admin_view(view: T) -> T:
    """Mark a function that serves the admin view."""
    setattr(view, _ADMIN_VIEW_ATTRIBUTE, True)
    return view


def is_admin_view(app: Any) -> bool:
    """Whether this function serves the admin view."""
    return getattr(app, _ADMIN_VIEW_ATTRIBUTE, False) is True


def rule_redirects_to_admin_view(app: Any, request: Any) -> bool:
    """Whether Flask or Quart redirect this request to the admin view."""
    if getattr(request.routing_exception, "code", None) not in (301, 307, 308):
        return False
    path = request.path + "/"
    return any(rule.rule == path and is_admin_view(app.view_functions.get(rule.endpoint)) for rule in app.url_map.iter_rules())


def respond(view: Admin, method: str, path: str, query: str, authorization: bytes | None) -> AdminResponse:
    """The status, headers and body of the view. HEAD has the body of GET, which frameworks remove."""
    return view.respond("GET" if method == "HEAD" else method, path, query, authorization)


def respond_with_length(view: Admin, method: str, path: str, query: str, authorization: bytes | None) -> AdminResponse:
    """The same with ``content-length``, and without a body for HEAD."""
    status, headers, body = respond(view, method, path, query, authorization)
    return status, [*headers, ("content-length", str(len(body)))], b"" if method == "HEAD" else body
