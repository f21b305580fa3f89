"""The cost of an adapter for a request: the app is called as a server calls it, without a server.

An app below a middleware that does nothing and the same app below the contender take turns, a few requests at a time, so that
other load on the machine affects both alike; the result is the median difference of those pairs. Django allows one
configuration a process, and is measured alone.
"""

import asyncio
import gc
import json
import statistics
import sys
import time

case, contender = sys.argv[1:3]
REQUESTS = 500 if "--quick" in sys.argv else 10_000
# Requests in a turn, and pairs of turns.
TURN = 250 if case == "asgi" else 50
PAIRS = 20 if "--quick" in sys.argv else 300
TENANT = "x-tenant-id"
HEADERS = [(b"host", b"localhost"), (b"user-agent", b"bench"), (b"accept", b"*/*"), (b"x-tenant-id", b"tenant_acme")]


class Nothing:
    """A pure ASGI middleware that does nothing."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


class Clocks(Nothing):
    """A wrapped send and two clocks: the least that measures anything."""

    async def __call__(self, scope, receive, send):
        begin = time.perf_counter()

        async def sending(message):
            await send(message)
            if message["type"] == "http.response.body":
                self.took = time.perf_counter() - begin

        await self.app(scope, receive, sending)


ABOVE_NOTHING = {"nothing": Nothing, "clocks": Clocks}


def asgi(contender):
    async def bare(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    if contender == "sentinel":
        from tenant_sentinel import Sentinel
        from tenant_sentinel.asgi import SentinelMiddleware

        return SentinelMiddleware(bare, Sentinel(), TENANT)
    return ABOVE_NOTHING[contender](bare)


def fastapi(contender):
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/items/{item}")
    async def item(item: str):
        return item

    if contender in ABOVE_NOTHING:
        app.add_middleware(ABOVE_NOTHING[contender])
    elif contender == "sentinel":
        from tenant_sentinel import Sentinel
        from tenant_sentinel.fastapi import SentinelMiddleware

        app.add_middleware(SentinelMiddleware, sentinel=Sentinel(), tenant=TENANT)
    elif contender == "instrumentator":
        from prometheus_fastapi_instrumentator import Instrumentator

        Instrumentator().instrument(app)
    elif contender == "apitally":
        # The last release with a middleware, installed apart from the one that `record` is compared with. The client sends
        # nothing before the app's startup event, which never comes here.
        sys.path.insert(0, "target/python-peers")
        from apitally.fastapi import ApitallyMiddleware

        key = "00000000-0000-4000-8000-000000000000"
        app.add_middleware(ApitallyMiddleware, client_id=key, consumer_callback=lambda request: request.headers.get(TENANT))
    else:
        from starlette_exporter import PrometheusMiddleware

        app.add_middleware(PrometheusMiddleware)
    return app


def flask(contender):
    from flask import Flask

    app = Flask("bench")

    @app.get("/items/<item>")
    def item(item):
        return item

    if contender == "nothing":
        inner = app.wsgi_app
        app.wsgi_app = lambda environ, start_response: inner(environ, start_response)
    elif contender == "sentinel":
        from tenant_sentinel import Sentinel
        from tenant_sentinel.flask import init_app

        init_app(app, Sentinel(), tenant=TENANT)
    else:
        from prometheus_flask_exporter import PrometheusMetrics

        PrometheusMetrics(app, path=None)
    return app


def django(contender):
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    middleware = {
        "nothing": ["__main__.nothing"],
        "sentinel": ["tenant_sentinel.django.SentinelMiddleware"],
        "django_prometheus": [
            "django_prometheus.middleware.PrometheusBeforeMiddleware",
            "django_prometheus.middleware.PrometheusAfterMiddleware",
        ],
    }
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="bench",
        LOGGING_CONFIG=None,
        MIDDLEWARE=middleware[contender],
        TENANT_SENTINEL={"tenant": TENANT},
    )
    globals()["urlpatterns"] = [path("items/<item>", lambda request, item: HttpResponse(item))]
    return get_wsgi_application()


def nothing(get_response):
    return lambda request: get_response(request)


class Cycle:
    """A request and its answer, as uvicorn has them."""

    def __init__(self):
        self.disconnected = False

    async def receive(self):
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message):
        pass


async def ask_asgi(app, times):
    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET"}
    scope |= {"scheme": "http", "path": "/items/7", "raw_path": b"/items/7", "query_string": b"", "root_path": ""}
    scope |= {"headers": HEADERS, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}
    start = time.process_time_ns()
    for _ in range(times):
        cycle = Cycle()
        await app(dict(scope), cycle.receive, cycle.send)
    return (time.process_time_ns() - start) / times


def ask_wsgi(app, times):
    from werkzeug.test import create_environ

    environ = create_environ("/items/7", headers={TENANT: "tenant_acme"})
    start = time.process_time_ns()
    for _ in range(times):
        body = app(dict(environ), lambda status, headers, exc_info=None: None)
        for _ in body:
            pass
        body.close()
    return (time.process_time_ns() - start) / times


def ask(app, times):
    return asyncio.run(ask_asgi(app, times)) if case in ("asgi", "fastapi") else ask_wsgi(app, times)


def pairs(app, base):
    """Nanoseconds of a request below each, and the median of what the one takes longer."""
    own, others = [], []
    for _ in range(PAIRS):
        own.append(ask(app, TURN))
        others.append(ask(base, TURN))
    over = statistics.median(one - other for one, other in zip(own, others, strict=True))
    return {"ns": statistics.median(own), "over_nothing_ns": over}


app = globals()[case](contender)
ask(app, REQUESTS // 10)
if case == "django":
    gc.collect()
    found = {"ns": ask(app, REQUESTS)}
else:
    base = globals()[case]("nothing")
    ask(base, REQUESTS // 10)
    gc.collect()
    found = pairs(app, base)
print(json.dumps(found))
