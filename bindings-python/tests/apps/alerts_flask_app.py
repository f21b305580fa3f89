"""A Flask service whose workers tell of a tenant with ten errors; where, the environment says."""

from flask import Flask

from apps.worker import WsgiWorker
from tenant_sentinel import Sentinel
from tenant_sentinel.flask import admin, init_app

alerts = {"tenant_errors": {"at_least": 10, "for": 0}, "grouping": {"first": 0, "then": 0}}
sentinel = Sentinel(alerts=alerts | {"sinks": [{"type": "webhook", "url": {"env": "RECEIVER"}}]})
service = Flask("service")
init_app(service, sentinel, tenant="x-tenant-id")
service.register_blueprint(admin(sentinel), url_prefix="/sentinel")


@service.get("/orders/<int:status>")
def order(status):
    return "", status


app = WsgiWorker(service)
