"""The scenarios as a Starlette service."""

import asyncio

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute

import tenant_sentinel
from apps import common
from tenant_sentinel.asgi import SentinelMiddleware, admin


class Refused(Exception):
    pass


async def refused(request, error):
    return PlainTextResponse("no database", 503)


async def ok(request):
    return PlainTextResponse("ok")


async def thing(request):
    raise HTTPException(404)


async def number(request):
    try:
        return PlainTextResponse(str(int(request.path_params["number"])))
    except ValueError:
        raise HTTPException(422) from None


async def moved(request):
    return RedirectResponse("/ok")


async def raises(request):
    raise ValueError("a bug in the handler")


def refuse(request):
    raise Refused


async def slow(request):
    await asyncio.sleep(5)
    return PlainTextResponse("slow")


async def stream(request):
    return StreamingResponse(common.chunks(0.3))


async def endless(request):
    return StreamingResponse(common.chunks(1, 30))


async def breaks(request):
    return StreamingResponse(common.breaking())


async def events(request):
    return StreamingResponse(common.chunks(1, 30), media_type="text/event-stream")


async def sized(request):
    return StreamingResponse(common.chunks(0.1), headers={"content-length": "10"})


async def says(request):
    await common.say_later(request.path_params["how"])
    return PlainTextResponse("said")


def says_in_pool(request):
    tenant_sentinel.set_tenant("said-in-pool")
    return PlainTextResponse("said")


async def socket(websocket):
    await websocket.accept()
    await asyncio.sleep(2)
    await websocket.close()


async def closed(websocket):
    await websocket.close()


users = [Route("/users/{user}", ok)]
app = Starlette(
    routes=[
        Route("/ok", ok),
        Route("/things/{thing}", thing),
        Route("/post", ok, methods=["POST"]),
        Route("/moved", moved),
        Route("/numbers/{number}", number),
        Route("/raises", raises),
        Route("/refused", refuse),
        Route("/slow", slow),
        Route("/stream", stream),
        Route("/endless", endless),
        Route("/breaks", breaks),
        Route("/events", events),
        Route("/sized", sized),
        Route("/health", ok),
        Route("/says/{how}", says),
        Route("/says-in-pool", says_in_pool),
        WebSocketRoute("/socket", socket),
        WebSocketRoute("/closed", closed),
        Mount("/api/{version}", routes=users),
        Mount("/mounted/{org}", app=Starlette(routes=users)),
        Mount("/sentinel", app=admin(common.SENTINEL)),
    ],
    exception_handlers={Refused: refused},
    middleware=[
        Middleware(
            SentinelMiddleware,
            sentinel=common.SENTINEL,
            tenant=common.tenant(lambda scope: dict(scope["headers"]).get(b"x-tenant-id")),
            exclude=["/health"],
        ),
        Middleware(common.Early),
    ],
)
