"""The scenarios as a Flask service."""

import asyncio
import time
from contextvars import copy_context
from threading import Thread

from flask import Blueprint, Flask, Response, abort, redirect, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import tenant_sentinel
from apps import common
from tenant_sentinel.flask import admin, init_app

app = Flask(__name__)
api = Blueprint("api", __name__)
users = Blueprint("users", __name__)
sub = Flask("sub")


class Refused(Exception):
    pass


@app.errorhandler(Refused)
def refused(error):
    return "no database", 503


@app.before_request
def early():
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


def chunks(pause, count=2):
    for i in range(count):
        if i:
            time.sleep(pause)
        yield b"chunk"


def breaking():
    yield b"chunk"
    raise OSError("the disk is gone")


@app.get("/stream")
def stream():
    return Response(chunks(0.3))


@app.get("/endless")
def endless():
    return Response(chunks(0.2, 100))


@app.get("/breaks")
def breaks():
    return Response(breaking())


@app.get("/events")
def events():
    return Response(chunks(0.2, 100), mimetype="text/event-stream")


@app.get("/sized")
def sized():
    return Response(chunks(0.1), headers={"content-length": "10"})


class Taken(Response):
    """Of a connection that the view has taken, as flask-sock answers."""

    def __call__(self, environ, start_response):
        raise StopIteration


@app.get("/socket")
def socket():
    connection = request.environ["gunicorn.socket"]
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
    connection.recv(1)
    return Taken()


@app.get("/says/<how>")
def says(how):
    say(how)
    return how


@app.get("/says-in-pool")
def says_in_pool():
    say("thread", "said-in-pool")
    return "said"


def say(how, name=None):
    name = name or f"said-{how}"
    if how == "here":
        tenant_sentinel.set_tenant(name)
    elif how == "task":
        asyncio.run(asyncio.to_thread(tenant_sentinel.set_tenant, name))
    else:
        thread = Thread(target=copy_context().run, args=(tenant_sentinel.set_tenant, name))
        thread.start()
        thread.join()


@users.get("/<user>")
def user(version, user):
    return user


@sub.get("/<org>/users/<user>")
def sub_user(org, user):
    return user


api.register_blueprint(users, url_prefix="/users")
app.register_blueprint(api, url_prefix="/api/<version>")
app.register_blueprint(admin(common.SENTINEL), url_prefix="/sentinel")
app.wsgi_app = DispatcherMiddleware(
    app.wsgi_app, {"/mounted": sub, "/whole": lambda environ, start: Response("ok")(environ, start)}
)
for each in (app, sub):
    init_app(each, common.SENTINEL, tenant=common.tenant(lambda request: request.headers.get("x-tenant-id")), exclude=["/health"])
