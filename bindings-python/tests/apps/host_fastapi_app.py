"""A FastAPI service whose workers answer as one; which service it is, the environment says."""

from fastapi import FastAPI, Response

from apps.worker import AsgiWorker
from tenant_sentinel import Sentinel
from tenant_sentinel.fastapi import SentinelMiddleware, admin

sentinel = Sentinel()
service = FastAPI()
service.add_middleware(SentinelMiddleware, sentinel=sentinel, tenant="x-tenant-id")
service.mount("/sentinel", admin(sentinel))


@service.get("/orders/{status}")
async def order(status: int):
    return Response(status_code=status)


app = AsgiWorker(service)
