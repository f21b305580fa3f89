"""A Flask service whose workers answer as one; which service it is, the environment says."""

from flask import Flask

from apps.worker import WsgiWorker
from tenant_sentinel import Sentinel
from tenant_sentinel.flask import admin, init_app

sentinel = Sentinel()
service = Flask("service")
init_app(service, sentinel, tenant="x-tenant-id")
service.register_blueprint(admin(sentinel), url_prefix="/sentinel")


@service.get("/orders/<int:status>")
def order(status):
    return "", status


app = WsgiWorker(service)
