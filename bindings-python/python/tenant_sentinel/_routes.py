"""The route template of an ASGI request, from the entries that frameworks leave in its scope. Never the raw path."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from tenant_sentinel._admin import is_admin_view

Scope = MutableMapping[str, Any]


def route_template(scope: Scope, root: str) -> str | None:
    """The template, with the prefixes of mounts below ``root``; ``None`` when no route matched."""
    route = scope.get("route")
    if route is None:
        # Litestar leaves the template itself, empty for a mounted app; old versions of Starlette leave only the endpoint.
        template: str | None = scope.get("path_template")
        if template is not None:
            return template or _litestar_template(scope, root)
        return _template_of_endpoint(scope, root) if "endpoint" in scope else None
    if "path_template" in scope:
        return _litestar_template(scope, root)
    context = scope["fastapi"].get("effective_route_context") if "fastapi" in scope else None
    if context is not None and context.original_route is route:
        # The route of an included router: only its context has the prefix of the inclusion.
        route = context
    elif getattr(route, "routes", None):
        # A mounted app with routes of its own, none of which matched.
        return None
    path: str | None = getattr(route, "path_format", None) or getattr(route, "path", None)
    if path is None or scope.get("root_path", "") == root:
        return path
    mounted = _mount_templates(scope, root)
    # For a mounted app without routes, such as static files, the mount is the route.
    return mounted if hasattr(route, "app") and hasattr(route, "routes") else mounted + path


def mount_prefix(scope: Scope, root: str) -> str:
    """The templates of the mounts below ``root``, for a framework that gives the rest of the template itself."""
    return "" if scope.get("root_path", "") == root else _mount_templates(scope, root)


def _mount_templates(scope: Scope, root: str) -> str:
    """The templates of the mounts that the request passed."""
    passed: str = scope["root_path"].removeprefix(root)
    if not scope.get("path_params"):
        return passed
    # `root_path` has the values of the mounts' parameters; the mounts have their names.
    return _matching_mounts(getattr(scope.get("router"), "routes", ()), passed) or "/{mount}"


def _matching_mounts(routes: Iterable[Any], passed: str) -> str | None:
    for route in routes:
        regex, inner = getattr(route, "path_regex", None), getattr(route, "routes", None)
        match = regex.match(passed + "/") if regex is not None and inner is not None else None
        if match is None:
            continue
        rest = match.groupdict().get("path", "").rstrip("/")
        if not rest:
            return str(route.path)
        below = _matching_mounts(inner or (), f"/{rest}")
        if below is not None:
            return f"{route.path}{below}"
    return None


# The entries of a scope that only Litestar leaves.
_LITESTAR_KEYS = frozenset(("litestar_app", "path_template", "route_handler"))


def _litestar_template(scope: Scope, root: str) -> str | None:
    """The template where Litestar mounts an app, or is mounted itself."""
    handler = scope.get("route_handler")
    template: str | None = scope["path_template"]
    if getattr(handler, "is_mount", False):
        # From the handler's owners: the mounted app may have replaced `scope["app"]` with itself.
        app: Any = handler
        while getattr(app, "owner", None) is not None:
            app = app.owner
        template, routes = _litestar_mount(app, handler, scope), getattr(getattr(handler, "fn", None), "routes", None)
        others = {name: value for name, value in scope.items() if name not in _LITESTAR_KEYS}
        if scope.get("app") is not app:
            # A Starlette app that got this scope. Parameters from before Litestar are no longer known.
            others["path_params"] = {**scope.get("path_params", {}), "": ""}
            return _join(template, route_template(others, root))
        if routes and hasattr(routes[0], "matches"):
            # A Starlette app that got a copy of the scope, where its route is not seen.
            template = _join(template, _starlette_template(routes, others))
    passed = scope.get("root_path", "").removeprefix(root)
    if "route" in scope and passed:
        # Litestar below a Starlette app, whose parameters Litestar has removed from the scope.
        return _join(_matching_mounts(getattr(scope.get("router"), "routes", ()), passed) or "/{mount}", template)
    return template or None


def _join(mount: str | None, below: str | None) -> str | None:
    return None if mount is None or below is None else mount.rstrip("/") + below


def _litestar_mount(app: Any, handler: Any, scope: Scope) -> str | None:
    """The template of the path where Litestar mounts this handler; of several, the one that the request names."""
    mounts = [route for route in getattr(app, "routes", ()) if getattr(route, "route_handler", None) is handler]
    if len(mounts) == 1:
        return str(mounts[0].path_format)
    path = unquote_to_bytes(scope.get("raw_path") or b"")
    # The mount whose path occurs first in the request's, and the longer one of two at the same position.
    mounts.sort(key=lambda mount: len(mount.path))
    found = {path.find(mount.path.encode()): str(mount.path_format) for mount in mounts}
    found.pop(-1, None)
    return found[min(found)] if found else None


def _starlette_template(routes: Iterable[Any], scope: Scope) -> str | None:
    """The template of the route that Starlette or FastAPI would choose."""
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
                inner = _starlette_template(each.routes, {**scope, **below})
                if inner is None:
                    return None
                template = each.path + inner
            else:
                template = each.path
            if match.value == 2:
                return template
            other_method = other_method or template
    return other_method


def _template_of_endpoint(scope: Scope, root: str) -> str | None:
    """The template of the route with the scope's endpoint, where the scope has no route."""
    endpoint, router = scope.get("endpoint"), scope.get("router")
    if endpoint is None or router is None:
        return None
    return _template_with_endpoint(router.routes, endpoint, scope["path"].removeprefix(root))


def route_redirects_to_admin_view(scope: Scope, root: str) -> bool:
    """Whether the path with a slash at its end would be that of an admin view."""
    return _is_admin_view_at(getattr(scope.get("router"), "routes", ()), scope["path"].removeprefix(root) + "/")


def _is_admin_view_at(routes: Iterable[Any], path: str) -> bool:
    for route in routes:
        regex = getattr(route, "path_regex", None)
        match = regex.match(path) if regex is not None else None
        if match is None:
            continue
        rest = match.groupdict().get("path", "")
        if is_admin_view(getattr(route, "app", None)):
            return not rest
        if _is_admin_view_at(getattr(route, "routes", None) or (), f"/{rest}"):
            return True
    return False


def _template_with_endpoint(routes: Iterable[Any], endpoint: Any, path: str) -> str | None:
    for route in routes:
        regex = getattr(route, "path_regex", None)
        match = regex.match(path) if regex is not None else None
        if match is None:
            continue
        if getattr(route, "endpoint", None) is endpoint:
            return str(route.path)
        below = _template_with_endpoint(getattr(route, "routes", None) or (), endpoint, "/" + match.groupdict().get("path", ""))
        if below is not None:
            return f"{route.path}{below}"
    return None
