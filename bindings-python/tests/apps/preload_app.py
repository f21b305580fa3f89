"""Loaded before the workers are forked; has counted something by then."""

import json
import os

from tenant_sentinel import Sentinel
from tenant_sentinel.wsgi import SentinelMiddleware, admin

SENTINEL = Sentinel(admin_token="correct-horse-battery")
for _ in range(1_000):
    SENTINEL.record("of-the-parent", "/", 500, 1.0)
VIEW = admin(SENTINEL)


def answer(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/stats":
        environ["tenant_sentinel.request"].discard()
        found = {"pid": os.getpid(), "stats": SENTINEL.stats(), "parents": SENTINEL.tenant("of-the-parent")}
        start_response("200 OK", [("content-type", "application/json")])
        return [json.dumps(found).encode()]
    if path.startswith("/sentinel"):
        return VIEW(environ | {"PATH_INFO": path.removeprefix("/sentinel")}, start_response)
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"ok"]


app = SentinelMiddleware(answer, SENTINEL, tenant="x-tenant-id")
