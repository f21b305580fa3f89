"""What the scenario services share. Each says its tenant in the way that TENANT_BY names."""

import asyncio
import os

import tenant_sentinel
from tenant_sentinel import _tenant

SENTINEL = tenant_sentinel.Sentinel(errors="4xx,5xx", admin_token="correct-horse-battery")
BY = os.environ.get("TENANT_BY", "header")


# Ids that no header can have, by what the header says instead.
MEANT = {"a-megabyte": "x" * (1 << 20), "a-surrogate": "\ud800"}


def meant(said):
    return MEANT.get(said.decode("latin-1") if isinstance(said, bytes) else said, said)


def tenant(header):
    """The tenant argument; `header` finds it in a request of the framework."""
    if BY == "header":
        return "X-Tenant-Id"
    if BY == "raises":

        def raising(request):
            raise RuntimeError("a bug in the extractor")

        return raising
    if BY == "never":
        # It is 5 seconds otherwise.
        _tenant.LOOKUP_TIMEOUT = 3.0

        async def never(request):
            await asyncio.sleep(3_600)

        return never
    if BY in ("async", "slow"):

        async def later(request):
            await asyncio.sleep(0.01 if BY == "async" else 2)
            return meant(header(request))

        return later
    return (lambda request: meant(header(request))) if BY == "sync" else None


class Early:
    """Answers by itself what asks for it."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        query = scope.get("query_string", b"")
        if not query.startswith(b"early="):
            await self.app(scope, receive, send)
            return
        status = int(query.removeprefix(b"early="))
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


async def chunks(pause, count=2):
    for i in range(count):
        if i:
            await asyncio.sleep(pause)
        yield b"chunk"


async def breaking():
    yield b"chunk"
    await asyncio.sleep(0.05)
    raise OSError("the disk is gone")


async def say_later(how):
    """Says the tenant from here, from a child task, from a thread."""
    name = f"said-{how}"
    if how == "here":
        tenant_sentinel.set_tenant(name)
    elif how == "task":
        await asyncio.create_task(_say(name))
    else:
        await asyncio.to_thread(tenant_sentinel.set_tenant, name)


async def _say(name):
    tenant_sentinel.set_tenant(name)
