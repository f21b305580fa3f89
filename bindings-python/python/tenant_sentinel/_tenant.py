"""Where an adapter looks for a request's tenant."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from tenant_sentinel._errors import config_error

if TYPE_CHECKING:
    from tenant_sentinel._types import TenantFrom

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def header_or_function(tenant: TenantFrom) -> tuple[str | None, Callable[[Any], Any] | None]:
    """The name of a header in lower case, or a function of the request; neither where only the handler says it."""
    if tenant is None:
        return None, None
    if isinstance(tenant, str) and _TOKEN.fullmatch(tenant):
        return tenant.lower(), None
    if callable(tenant):
        return None, tenant
    raise config_error("tenant", tenant, "a header name: letters, digits and -; or a function of the request")


def templates(exclude: Iterable[str]) -> frozenset[str]:
    """Route templates that do not count."""
    if isinstance(exclude, str):
        return frozenset((exclude,))
    try:
        given = frozenset(exclude)
    except TypeError:
        given = None
    if given is None or not all(isinstance(template, str) for template in given):
        raise config_error("exclude", exclude, "route templates, such as ['/health']")
    return given


def waited(found: Any) -> Any:
    """What a function found, in a thread that may wait for it."""
    if not isawaitable(found):
        return found

    async def wait() -> Any:
        return await found

    return asyncio.run(wait())
