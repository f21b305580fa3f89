"""The route template of an ASGI request, from what frameworks leave in its scope. Never the raw path."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from tenant_sentinel._admin import is_view

Scope = MutableMapping[str, Any]


def endpoint_of(scope: Scope, root: str) -> str | None:
    """The template, with the prefixes of mounts below ``root``; ``None`` when no route matched."""
    route = scope.get("route")
    if route is None:
        # Litestar leaves the template itself, an empty one of what is mounted; a Starlette of old the endpoint only.
        template: str | None = scope.get("path_template")
        if template is not None:
            return template or _of_litestar(scope, root)
        return _sought(scope, root) if "endpoint" in scope else None
    if "path_template" in scope:
        return _of_litestar(scope, root)
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


def mounts_of(scope: Scope, root: str) -> str:
    """The templates of the mounts below ``root``, for a framework that says the rest by itself."""
    return "" if scope.get("root_path", "") == root else _mounts(scope, root)


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


# What Litestar leaves in a scope, besides what others leave as well.
_LITESTARS = frozenset(("litestar_app", "path_template", "route_handler"))


def _of_litestar(scope: Scope, root: str) -> str | None:
    """Where Litestar has mounted an app, or is mounted itself."""
    handler = scope.get("route_handler")
    template: str | None = scope["path_template"]
    if getattr(handler, "is_mount", False):
        # The scope may not say it any more: the app that is mounted may have said itself there.
        app: Any = handler
        while getattr(app, "owner", None) is not None:
            app = app.owner
        template, routes = _place(app, handler, scope), getattr(getattr(handler, "fn", None), "routes", None)
        others = {name: value for name, value in scope.items() if name not in _LITESTARS}
        if scope.get("app") is not app:
            # A Starlette that got this scope. What was a parameter before Litestar took over nobody knows any more.
            others["path_params"] = {**scope.get("path_params", {}), "": ""}
            return _joined(template, endpoint_of(others, root))
        if routes and hasattr(routes[0], "matches"):
            # One that got a copy, of which nothing comes back.
            template = _joined(template, _matching(routes, others))
    passed = scope.get("root_path", "").removeprefix(root)
    if "route" in scope and passed:
        # Below a Starlette, of whose parameters Litestar has left nothing.
        return _joined(_template(getattr(scope.get("router"), "routes", ()), passed) or "/{mount}", template)
    return template or None


def _joined(mount: str | None, below: str | None) -> str | None:
    return None if mount is None or below is None else mount.rstrip("/") + below


def _place(app: Any, handler: Any, scope: Scope) -> str | None:
    """Where Litestar has mounted this; of several places the one that was asked for."""
    places = [route for route in getattr(app, "routes", ()) if getattr(route, "route_handler", None) is handler]
    if len(places) == 1:
        return str(places[0].path_format)
    asked = unquote_to_bytes(scope.get("raw_path") or b"")
    # The first one in there, and of two that begin there the longer one.
    places.sort(key=lambda place: len(place.path))
    found = {asked.find(place.path.encode()): str(place.path_format) for place in places}
    found.pop(-1, None)
    return found[min(found)] if found else None


def _matching(routes: Iterable[Any], scope: Scope) -> str | None:
    """The template of the route that Starlette or FastAPI choose among these."""
    other_method = None
    for route in routes:
        included = getattr(route, "effective_route_contexts", None)
        for each in (route,) if included is None else [context.starlette_route or context for context in included()]:
            match, below = each.matches(scope)
            if match.value == 0:
                continue
            if not hasattr(each, "routes"):
                template = str(getattr(each, "path_format", each.path))
            elif each.routes:
                inner = _matching(each.routes, {**scope, **below})
                if inner is None:
                    return None
                template = each.path + inner
            else:
                template = each.path
            if match.value == 2:
                return template
            other_method = other_method or template
    return other_method


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
