"""What a request costs below an adapter: the app is called as a server calls it, without one."""

import asyncio
import gc
import json
import sys
import time

case, contender = sys.argv[1:3]
REQUESTS = 500 if "--quick" in sys.argv else 10_000
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


def asgi():
    async def bare(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    if contender == "sentinel":
        from tenant_sentinel import Sentinel
        from tenant_sentinel.asgi import SentinelMiddleware

        return SentinelMiddleware(bare, Sentinel(), TENANT)
    return {"nothing": Nothing, "clocks": Clocks}[contender](bare)


def fastapi():
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/items/{item}")
    async def item(item: str):
        return item

    if contender == "nothing":
        app.add_middleware(Nothing)
    elif contender == "sentinel":
        from tenant_sentinel import Sentinel
        from tenant_sentinel.fastapi import SentinelMiddleware

        app.add_middleware(SentinelMiddleware, sentinel=Sentinel(), tenant=TENANT)
    elif contender == "instrumentator":
        from prometheus_fastapi_instrumentator import Instrumentator

        Instrumentator().instrument(app)
    else:
        from starlette_exporter import PrometheusMiddleware

        app.add_middleware(PrometheusMiddleware)
    return app


def flask():
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


def django():
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


async def ask_asgi(app, times):
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        pass

    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET"}
    scope |= {"scheme": "http", "path": "/items/7", "raw_path": b"/items/7", "query_string": b"", "root_path": ""}
    scope |= {"headers": HEADERS, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}
    start = time.process_time_ns()
    for _ in range(times):
        await app(dict(scope), receive, send)
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


app = globals()[case]()
ask = (lambda times: asyncio.run(ask_asgi(app, times))) if case in ("asgi", "fastapi") else (lambda times: ask_wsgi(app, times))
ask(REQUESTS // 10)
gc.collect()
print(json.dumps({"ns": ask(REQUESTS * (10 if case == "asgi" else 1))}))
