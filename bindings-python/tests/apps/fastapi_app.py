"""The scenarios as a FastAPI service."""

import asyncio
import threading

from fastapi import APIRouter, FastAPI, HTTPException, WebSocket
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse

import tenant_sentinel
from apps import common
from tenant_sentinel.fastapi import SentinelMiddleware, admin

app = FastAPI()
users = APIRouter(prefix="/api/{version}")
inner = APIRouter(prefix="/users")
sub = FastAPI()


class Refused(Exception):
    pass


@app.exception_handler(Refused)
async def refused(request, error):
    return PlainTextResponse("no database", 503)


@app.get("/ok")
async def ok():
    return {"ok": True}


@app.get("/things/{thing}")
async def thing(thing: str):
    raise HTTPException(404)


@app.post("/post")
def post():
    return "posted"


@app.get("/moved")
async def moved():
    return RedirectResponse("/ok")


@app.get("/numbers/{number}")
async def number(number: int):
    return number


@app.get("/raises")
async def raises():
    raise ValueError("a bug in the handler")


@app.get("/refused")
def refuse():
    raise Refused


@app.get("/slow")
async def slow():
    await asyncio.sleep(5)
    return "slow"


@app.get("/stream")
async def stream():
    return StreamingResponse(common.chunks(0.3))


@app.get("/endless")
async def endless():
    return StreamingResponse(common.chunks(1, 30))


@app.get("/breaks")
async def breaks():
    return StreamingResponse(common.breaking())


@app.get("/events")
async def events():
    return StreamingResponse(common.chunks(1, 30), media_type="text/event-stream")


@app.get("/sized")
async def sized():
    return StreamingResponse(common.chunks(0.1), headers={"content-length": "10"})


@app.get("/health")
async def health():
    return "healthy"


@app.get("/says/{how}")
async def says(how: str):
    await common.say_later(how)
    return how


@app.get("/says-in-pool")
def says_in_pool():
    tenant_sentinel.set_tenant("said-in-pool")
    assert threading.current_thread() is not threading.main_thread()
    return "said"


@app.websocket("/socket")
async def socket(websocket: WebSocket):
    await websocket.accept()
    await asyncio.sleep(2)
    await websocket.close()


@app.websocket("/closed")
async def closed(websocket: WebSocket):
    await websocket.close()


@inner.get("/{user}")
async def user(user: str):
    return user


@sub.get("/users/{user}")
async def sub_user(user: str):
    return user


users.include_router(inner)
app.include_router(users)
app.mount("/mounted/{org}", sub)
app.add_middleware(common.Early)
app.add_middleware(
    SentinelMiddleware,
    sentinel=common.SENTINEL,
    tenant=common.tenant(lambda request: request.headers.get("x-tenant-id")),
    exclude=["/health"],
)
app.mount("/sentinel", admin(common.SENTINEL))
