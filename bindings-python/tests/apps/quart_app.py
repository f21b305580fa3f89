"""The scenarios as a Quart service."""

import asyncio

from hypercorn.middleware.dispatcher import AsyncioDispatcherMiddleware
from quart import Blueprint, Quart, Response, abort, redirect, request, websocket

import tenant_sentinel
from apps import common
from tenant_sentinel.quart import admin, init_app

app = Quart(__name__)
api = Blueprint("api", __name__)
users = Blueprint("users", __name__)
sub = Quart("sub")


class Refused(Exception):
    pass


@app.errorhandler(Refused)
def refused(error):
    return "no database", 503


@app.before_request
async def early():
    status = request.args.get("early")
    return ("", int(status)) if status else None


@app.get("/ok")
@app.get("/health")
def ok():
    return "ok"


@app.get("/things/<thing>")
def thing(thing):
    abort(404)


@app.post("/post")
def post():
    return "posted"


@app.get("/moved")
def moved():
    return redirect("/ok", 307)


@app.get("/numbers/<number>")
def number(number):
    return number if number.isdigit() else ("no number", 422)


@app.get("/raises")
def raises():
    raise ValueError("a bug in the handler")


@app.get("/refused")
def refuse():
    raise Refused


@app.get("/stream")
def stream():
    return Response(common.chunks(0.3))


@app.get("/endless")
def endless():
    return Response(common.chunks(0.2, 100))


@app.get("/breaks")
def breaks():
    return Response(common.breaking())


@app.get("/events")
def events():
    return Response(common.chunks(0.2, 100), mimetype="text/event-stream")


@app.get("/sized")
def sized():
    return Response(common.chunks(0.1), headers={"content-length": "10"})


@app.get("/slow")
async def slow():
    await asyncio.sleep(5)
    return "slow"


@app.get("/says/<how>")
async def says(how):
    await common.say_later(how)
    return how


@app.get("/says-in-pool")
def says_in_pool():
    tenant_sentinel.set_tenant("said-in-pool")
    return "said"


@app.websocket("/socket")
async def socket():
    await websocket.accept()
    await asyncio.sleep(2)


@app.websocket("/closed")
async def closed():
    abort(403)


@users.get("/<user>")
def user(version, user):
    return user


@sub.get("/<org>/users/<user>")
def sub_user(org, user):
    return user


api.register_blueprint(users, url_prefix="/users")
app.register_blueprint(api, url_prefix="/api/<version>")
app.register_blueprint(admin(common.SENTINEL), url_prefix="/sentinel")
TENANT = common.tenant(lambda scope: dict(scope["headers"]).get(b"x-tenant-id"))
app.asgi_app = AsyncioDispatcherMiddleware({"/mounted": sub, "": app.asgi_app})
for each in (app, sub):
    init_app(each, common.SENTINEL, tenant=TENANT, exclude=["/health"])
