"""The first snippet of the README, with the wheel and FastAPI in an otherwise empty environment: names who fails."""

import asyncio
import contextlib
import importlib.metadata
import json
import os
import sys
from pathlib import Path

os.environ["SENTINEL_ADMIN_TOKEN"] = TOKEN = "correct-horse-battery"
code = Path(sys.argv[1]).read_text().partition("```python\n")[2].partition("```")[0]
names = {}
exec(compile(code, "README.md", "exec"), names)
app = names["app"]


@app.get("/orders/{order}")
async def order(order: int):
    raise ValueError("a bug")


async def ask(path, headers):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": ""}
    with contextlib.suppress(ValueError):
        await app(scope | {"headers": headers, "http_version": "1.1", "scheme": "http", "server": ("test", 80)}, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def main():
    for _ in range(10):
        status, _ = await ask("/orders/7", [(b"x-tenant-id", b"tenant_acme")])
        assert status == 500
    assert (await ask("/sentinel/report", []))[0] == 401
    status, body = await ask("/sentinel/report", [(b"authorization", f"Bearer {TOKEN}".encode())])
    worst = json.loads(body)["tenants"][0]
    assert (status, worst["tenant_id"], worst["errors"]) == (200, "tenant_acme", 10)
    assert worst["top_endpoint"]["endpoint"] == "/orders/{order}"


asyncio.run(main())
print("installed:", importlib.metadata.version("tenant-sentinel"))
