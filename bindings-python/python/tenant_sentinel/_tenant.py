"""Where an adapter looks for a request's tenant."""

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

# Seconds. What an async function has not found by then is not waited for: the request is told of without it.
PATIENCE = 5.0

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# Loops hold their tasks weakly.
_looking: set[asyncio.Task[None]] = set()


def header_or_function(tenant: TenantFrom) -> tuple[str | None, Callable[[Any], Any] | None]:
    """The name of a header in lower case, or a function of the request; neither where only the handler says it."""
    if tenant is None:
        return None, None
    if isinstance(tenant, str) and _TOKEN.fullmatch(tenant):
        # That of `str`, whatever a subclass makes of it.
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


def templates(exclude: Iterable[str]) -> frozenset[str]:
    """Route templates that do not count."""
    if isinstance(exclude, str):
        return frozenset((exclude,))
    try:
        given = list(exclude)
    except Exception:
        # No iterable, or one that fails.
        given = [None]  # type: ignore[list-item]
    if not all(isinstance(template, str) for template in given):
        raise config_error("exclude", exclude, "route templates, such as ['/health']")
    return frozenset(given)


def given_sentinel(sentinel: Any) -> Sentinel:
    """One that can be told."""
    if not isinstance(sentinel, Sentinel):
        raise config_error("sentinel", sentinel, "a tenant_sentinel.Sentinel")
    return sentinel


def given_app(app: Any, kind: type, called: str) -> None:
    """One of that framework."""
    if not isinstance(app, kind):
        raise config_error("app", app, called)


def given_name(name: Any) -> str:
    """That of a blueprint."""
    if not isinstance(name, str) or not name or "." in name:
        raise config_error("name", name, "text without a dot")
    return name


def given_endpoint(endpoint: Any) -> Callable[[Any], str | None] | None:
    """A function that names the endpoint, if any."""
    if endpoint is not None and not callable(endpoint):
        raise config_error("endpoint", endpoint, "a function that names the route template")
    return endpoint  # type: ignore[no-any-return]


def is_the_hosts(error: BaseException) -> bool:
    """Whether what comes out of a function of the service's was meant for the host, and must reach it."""
    # An interrupt, or a greenlet that is killed. The rest, SystemExit too, is a bug of the function; no request hears of it.
    return any(kind.__name__ in ("KeyboardInterrupt", "GreenletExit") for kind in type(error).__mro__)


def loop_runs() -> bool:
    """Whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def waited(found: Any) -> Any:
    """What a function found, in a thread that may wait for it: ``PATIENCE`` at most."""
    if not isawaitable(found):
        return found

    async def look() -> tuple[Any, BaseException | None]:
        try:
            return await found, None
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            # What leaves the task, asyncio keeps for who asks for it: in the host's log, once nobody has.
            return None, error

    if loop_runs():
        # No second one beside it: that of another greenlet, or of a host that calls this from its own.
        return at_once(found)
    # Not asyncio.run: that takes away the event loop which the host has set for this thread.
    loop = asyncio.new_event_loop()
    try:
        task = loop.create_task(look())
        loop.run_until_complete(asyncio.wait({task}, timeout=PATIENCE))
        if not task.done():
            task.cancel()
            # For its clean-up; one that does not want to end is left.
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


def found_later(look: Callable[[], Any], tell: Callable[[bool, Any], None]) -> None:
    """Looks in a task that nobody waits for; tells once what was found, or that nothing was, within ``PATIENCE``."""
    told = False

    def once(found: bool, tenant: Any = None) -> None:
        nonlocal told
        if not told:
            told = True
            timer.cancel()
            tell(found, tenant)

    async def looked() -> None:
        try:
            tenant = look()
            once(True, await tenant if isawaitable(tenant) else tenant)
        except BaseException as error:
            once(False)
            if is_the_hosts(error):
                raise

    def too_late() -> None:
        once(False)
        task.cancel()

    loop = asyncio.get_running_loop()
    timer = loop.call_later(PATIENCE, too_late)
    task = loop.create_task(looked())
    _looking.add(task)

    def over(task: asyncio.Task[None]) -> None:
        _looking.discard(task)
        # Also of one that was cancelled before it began.
        once(False)

    task.add_done_callback(over)


def at_once(found: Awaitable[Any]) -> Any:
    """What it finds without waiting, where nothing can wait for it."""
    steps = found.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    close = getattr(found, "close", None)
    if close is not None:
        close()
    raise RuntimeError("it would have to be waited for")
