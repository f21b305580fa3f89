"""A host whose logging records: what is logged in the middle of a call of the sentinel's calls it again; prints what counted."""

import asyncio
import json
import logging
import threading

from flask import Flask

from inside import Host, answers, rows
from tenant_sentinel import Sentinel, asgi, flask, wsgi

TIMES = 200
sentinel = Sentinel()
log = logging.getLogger("host")


class Records(logging.Handler):
    """Under the lock that every handler has."""

    emitted = 0

    def emit(self, record):
        self.emitted += 1
        sentinel.record("log", record.name, 200, Logs())
        # That was not logged: a handler may not log itself.
        assert sentinel.report(limit=1)["totals"]["requests"]


class Logs:
    """A number that says so when it is read, unless it is read in the handler."""

    def __float__(self):
        if not getattr(inside, "handler", False):
            inside.handler = True
            log.info("read")
            inside.handler = False
        return 1.0

    def __index__(self):
        return 200 * int(float(self))


def tenant(request):
    log.info("whose is it?")
    return "acme"


async def tenant_later(request):
    return tenant(request)


def serves(environ, start_response):
    log.warning("served")
    start_response("200 OK", [])
    return [b"ok"]


async def visits():
    for function in (tenant, tenant_later):
        await Host(asgi.SentinelMiddleware(answers, sentinel, tenant=function)).ask()
    # Those that look in a task of their own.
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})


def work():
    for _ in range(TIMES):
        sentinel.record("acme", "/", Logs(), Logs())
        sentinel.start("acme").finish("/", Logs())


inside = threading.local()
handler = Records()
logging.basicConfig(level=logging.DEBUG, handlers=[handler])

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
asyncio.run(visits())
for function in (tenant, tenant_later):
    list(wsgi.SentinelMiddleware(serves, sentinel, tenant=function)({}, lambda *_: None))
app = Flask("service")
flask.init_app(app, sentinel, tenant=tenant)
app.add_url_rule("/fails", view_func=lambda: 1 / 0)
# It logs what its views raise.
with app.test_client().get("/fails") as response:
    assert (response.status_code, bool(response.data)) == (500, True)
for thread in threads:
    thread.join()

print(json.dumps([handler.emitted, rows(sentinel), sentinel.stats()["adapter_failures"]]))
