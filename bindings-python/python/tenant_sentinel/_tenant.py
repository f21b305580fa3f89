"""The options of an adapter, and the look-up of a request's tenant."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from tenant_sentinel._errors import config_error
from tenant_sentinel._native import Sentinel

if TYPE_CHECKING:
    from tenant_sentinel._types import TenantFrom

# Seconds that an async function has; a request whose function takes longer counts without a tenant.
LOOKUP_TIMEOUT = 5.0

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# Strong references: event loops hold their tasks weakly.
_lookup_tasks: set[asyncio.Task[None]] = set()


def header_or_function(tenant: TenantFrom) -> tuple[str | None, Callable[[Any], Any] | None]:
    """The name of a header in lower case, or a function of the request; neither where only handlers set the tenant."""
    if tenant is None:
        return None, None
    if isinstance(tenant, str) and _HEADER_NAME.fullmatch(tenant):
        # `str.lower`, not the override of a subclass.
        return str.lower(tenant), None
    if callable(tenant):
        return None, tenant
    raise config_error("tenant", tenant, "a header name: letters, digits and -; or a function of the request")


def environ_key(header: str) -> str:
    """The name under which a WSGI environ, and Django's ``META``, have a header."""
    return "HTTP_" + header.upper().replace("-", "_")


def header_bytes(value: str | None) -> bytes | None:
    """The bytes of a header that a server has decoded as Latin-1."""
    return None if value is None else value.encode("latin-1", "replace")


def tenant_in_environ(environ: Mapping[str, Any], key: str | None) -> bytes | None:
    """The tenant that the header with this ``environ_key`` names; ``None`` without one."""
    value = None if key is None else environ.get(key)
    return None if value is None else value.encode("latin-1", "replace")


def excluded_templates(exclude: Iterable[str]) -> frozenset[str]:
    """The route templates that do not count."""
    if isinstance(exclude, str):
        return frozenset((exclude,))
    try:
        given = list(exclude)
    except Exception:
        # Not iterable, or the iteration fails.
        given = [None]  # type: ignore[list-item]
    if not all(isinstance(template, str) for template in given):
        raise config_error("exclude", exclude, "route templates, such as ['/health']")
    return frozenset(given)


def checked_sentinel(sentinel: Any) -> Sentinel:
    """The sentinel, where it is one."""
    if not isinstance(sentinel, Sentinel):
        raise config_error("sentinel", sentinel, "a tenant_sentinel.Sentinel")
    return sentinel


def check_app(app: Any, kind: type, called: str) -> None:
    """Refuse an app of another framework."""
    if not isinstance(app, kind):
        raise config_error("app", app, called)


def checked_name(name: Any) -> str:
    """The name, where a blueprint may have it."""
    if not isinstance(name, str) or not name or "." in name:
        raise config_error("name", name, "text without a dot")
    return name


def checked_endpoint(endpoint: Any) -> Callable[[Any], str | None] | None:
    """The function that names the endpoint, if any."""
    if endpoint is not None and not callable(endpoint):
        raise config_error("endpoint", endpoint, "a function that names the route template")
    return endpoint  # type: ignore[no-any-return]


def is_for_the_host(error: BaseException) -> bool:
    """Whether an exception from the service's function is meant for the host and must reach it."""
    # An interrupt, or a greenlet that is killed. Any other, SystemExit included, is a bug of the function and only counted.
    return any(kind.__name__ in ("KeyboardInterrupt", "GreenletExit") for kind in type(error).__mro__)


def is_loop_running() -> bool:
    """Whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def wait_for_tenant(found: Any) -> Any:
    """The tenant that a function returned, or that its awaitable gives within ``LOOKUP_TIMEOUT``, for a thread that may wait."""
    if not isawaitable(found):
        return found

    async def look() -> tuple[Any, BaseException | None]:
        try:
            return await found, None
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            # Returned, not raised: asyncio logs an exception of a task that is collected before it is read.
            return None, error

    if is_loop_running():
        # A second loop cannot run in this thread: the first is another greenlet's, or the host called this from its loop.
        return run_without_waiting(found)
    # Not asyncio.run, which would remove the event loop that the host has set for this thread.
    loop = asyncio.new_event_loop()
    try:
        task = loop.create_task(look())
        loop.run_until_complete(asyncio.wait({task}, timeout=LOOKUP_TIMEOUT))
        if not task.done():
            task.cancel()
            # Time to clean up; a task that does not end by then is abandoned.
            loop.run_until_complete(asyncio.wait({task}, timeout=0.05))
            raise asyncio.TimeoutError
        value, error = task.result()
        if error is not None:
            raise error
        return value
    finally:
        try:
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


def look_up_later(look_up: Callable[[], Any], report: Callable[[bool, Any], None]) -> None:
    """Look up a tenant in a task of its own, and call ``report(found, tenant)`` once, within ``LOOKUP_TIMEOUT``."""
    reported = False

    def once(found: bool, tenant: Any = None) -> None:
        nonlocal reported
        if not reported:
            reported = True
            timer.cancel()
            report(found, tenant)

    async def run() -> None:
        try:
            tenant = look_up()
            once(True, await tenant if isawaitable(tenant) else tenant)
        except BaseException as error:
            once(False)
            if is_for_the_host(error):
                raise

    def too_late() -> None:
        once(False)
        task.cancel()

    loop = asyncio.get_running_loop()
    timer = loop.call_later(LOOKUP_TIMEOUT, too_late)
    task = loop.create_task(run())
    _lookup_tasks.add(task)

    def ended(task: asyncio.Task[None]) -> None:
        _lookup_tasks.discard(task)
        # A task that is cancelled before it begins has not reported.
        once(False)

    task.add_done_callback(ended)


def run_without_waiting(found: Awaitable[Any]) -> Any:
    """The result of an awaitable that does not wait, where nothing can wait for it."""
    steps = found.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    close = getattr(found, "close", None)
    if close is not None:
        close()
    raise RuntimeError("the tenant function waits, and this thread cannot wait for it")
