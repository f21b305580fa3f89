"""A FastAPI service with an incident: python examples/fastapi_app/main.py"""

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException

from tenant_sentinel import Sentinel
from tenant_sentinel.fastapi import SentinelMiddleware, admin

sys.path.insert(0, str(Path(__file__).parents[1]))
import traffic

sentinel = Sentinel(admin_token=traffic.TOKEN)
app = FastAPI()
app.add_middleware(SentinelMiddleware, sentinel=sentinel, tenant="x-tenant-id")
app.mount("/sentinel", admin(sentinel))


@app.get("/orders/{order}")
async def order(order: int, fail: bool = False):
    """An order, unless it fails."""
    if fail:
        raise HTTPException(503)
    return order


if __name__ == "__main__":
    asked = traffic.options()
    traffic.begin(sentinel, asked)
    uvicorn.run(app, port=asked.port, log_level="warning")
