"""The route template of an ASGI request, from what frameworks leave in its scope. Never the raw path."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from tenant_sentinel._admin import is_view

Scope = MutableMapping[str, Any]


def endpoint_of(scope: Scope, root: str) -> str | None:
    """The template, with the prefixes of mounts below ``root``; ``None`` when no route matched."""
    route = scope.get("route")
    if route is None:
        # Litestar leaves the template itself; a Starlette of old the endpoint only.
        if scope.get("path_template"):
            return scope["path_template"]  # type: ignore[no-any-return]
        return _sought(scope, root) if "endpoint" in scope else None
    context = scope["fastapi"].get("effective_route_context") if "fastapi" in scope else None
    if context is not None and context.original_route is route:
        # The route of a router that was included: only this knows the prefix of the inclusion.
        route = context
    elif getattr(route, "routes", None):
        # A mounted app with routes of its own, and none of them matched.
        return None
    path: str | None = getattr(route, "path_format", None) or getattr(route, "path", None)
    if path is None or scope.get("root_path", "") == root:
        return path
    mounted = _mounts(scope, root)
    # Of an app that is mounted whole, such as one of static files, the mount is the route.
    return mounted if hasattr(route, "app") and hasattr(route, "routes") else mounted + path


def _mounts(scope: Scope, root: str) -> str:
    """The templates of the mounts that were passed."""
    passed: str = scope["root_path"].removeprefix(root)
    if not scope.get("path_params"):
        return passed
    # It holds what the parameters were in this request; the mounts know their names.
    return _template(getattr(scope.get("router"), "routes", ()), passed) or "/{mount}"


def _template(routes: Iterable[Any], passed: str) -> str | None:
    for route in routes:
        regex, inner = getattr(route, "path_regex", None), getattr(route, "routes", None)
        match = regex.match(passed + "/") if regex is not None and inner is not None else None
        if match is None:
            continue
        rest = match.groupdict().get("path", "").rstrip("/")
        if not rest:
            return str(route.path)
        below = _template(inner or (), f"/{rest}")
        if below is not None:
            return f"{route.path}{below}"
    return None


def _sought(scope: Scope, root: str) -> str | None:
    """Where no route was left, the one of that endpoint which matches the path."""
    endpoint, router = scope.get("endpoint"), scope.get("router")
    if endpoint is None or router is None:
        return None
    return _with_endpoint(router.routes, endpoint, scope["path"].removeprefix(root))


def redirects_to_view(scope: Scope, root: str) -> bool:
    """Whether a slash at its end is all that the path lacks to be that of an admin view."""
    return _view_at(getattr(scope.get("router"), "routes", ()), scope["path"].removeprefix(root) + "/")


def _view_at(routes: Iterable[Any], path: str) -> bool:
    for route in routes:
        regex = getattr(route, "path_regex", None)
        match = regex.match(path) if regex is not None else None
        if match is None:
            continue
        rest = match.groupdict().get("path", "")
        if is_view(getattr(route, "app", None)):
            return not rest
        if _view_at(getattr(route, "routes", None) or (), f"/{rest}"):
            return True
    return False


def _with_endpoint(routes: Iterable[Any], endpoint: Any, path: str) -> str | None:
    for route in routes:
        regex = getattr(route, "path_regex", None)
        match = regex.match(path) if regex is not None else None
        if match is None:
            continue
        if getattr(route, "endpoint", None) is endpoint:
            return str(route.path)
        below = _with_endpoint(getattr(route, "routes", None) or (), endpoint, "/" + match.groupdict().get("path", ""))
        if below is not None:
            return f"{route.path}{below}"
    return None
