"""The scenarios as a Litestar service."""

import asyncio

from litestar import Litestar, Request, Response, Router, WebSocket, asgi, get, post, websocket
from litestar.exceptions import NotFoundException
from litestar.response import Redirect, Stream
from litestar.types import Receive, Scope, Send
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import tenant_sentinel
from apps import common
from tenant_sentinel.asgi import SentinelMiddleware, admin


class Refused(Exception):
    pass


def refused(request: Request, error: Refused) -> Response:
    return Response("no database", status_code=503)


async def early(request: Request) -> Response | None:
    status = request.query_params.get("early")
    return Response(None, status_code=int(status)) if status else None


@get("/ok")
async def ok() -> str:
    return "ok"


@get("/things/{thing:str}")
async def thing(thing: str) -> str:
    raise NotFoundException


@post("/post", status_code=200)
async def posted() -> str:
    return "posted"


@get("/moved")
async def moved() -> Redirect:
    return Redirect("/ok", status_code=307)


@get("/numbers/{number:str}")
async def number(number: str, limit: int = 1) -> str:
    return number


@get("/raises")
async def raises() -> None:
    raise ValueError("a bug in the handler")


@get("/refused", sync_to_thread=True)
def refuse() -> None:
    raise Refused


@get("/slow")
async def slow() -> str:
    await asyncio.sleep(5)
    return "slow"


@get("/stream")
async def stream() -> Stream:
    return Stream(common.chunks(0.3))


@get("/endless")
async def endless() -> Stream:
    return Stream(common.chunks(1, 30))


@get("/breaks")
async def breaks() -> Stream:
    return Stream(common.breaking())


@get("/events")
async def events() -> Stream:
    return Stream(common.chunks(1, 30), media_type="text/event-stream")


@get("/sized")
async def sized() -> Stream:
    return Stream(common.chunks(0.1), headers={"content-length": "10"})


@get("/health")
async def health() -> str:
    return "healthy"


@get("/says/{how:str}")
async def says(how: str) -> str:
    await common.say_later(how)
    return how


@get("/says-in-pool", sync_to_thread=True)
def says_in_pool() -> str:
    tenant_sentinel.set_tenant("said-in-pool")
    return "said"


@websocket("/socket")
async def socket(socket: WebSocket) -> None:
    await socket.accept()
    await asyncio.sleep(2)
    await socket.close()


@websocket("/closed")
async def closed(socket: WebSocket) -> None:
    await socket.close()


@get("/{user:str}")
async def user(user: str) -> str:
    return user


async def mounted_user(request):
    return PlainTextResponse("ok")


# What Litestar mounts has no parameters in its own path, and a slash at the end of every path below.
mounted = asgi("/mounted", is_mount=True, copy_scope=True)(
    Starlette(routes=[Mount("/{org}", routes=[Route("/users/{user}/", mounted_user)])])
)


@asgi("/whole", is_mount=True, copy_scope=True)
async def whole(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("ok")(scope, receive, send)


view = admin(common.SENTINEL)


@asgi("/sentinel", is_mount=True, copy_scope=False)
async def sentinel(scope: Scope, receive: Receive, send: Send) -> None:
    await view(scope, receive, send)


app = SentinelMiddleware(
    Litestar(
        [
            ok, thing, posted, moved, number, raises, refuse, slow, stream, endless, breaks, events, sized, health, says,
            says_in_pool, socket, closed, sentinel, mounted, whole,
            Router("/api/{version:str}", route_handlers=[Router("/users", route_handlers=[user])]),
        ],
        exception_handlers={Refused: refused},
        before_request=early,
        openapi_config=None,
    ),
    sentinel=common.SENTINEL,
    tenant=common.tenant(lambda scope: dict(scope["headers"]).get(b"x-tenant-id")),
    exclude=["/health"],
)  # fmt: skip
