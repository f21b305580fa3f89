"""A Django service with an incident: python examples/django_app/main.py"""

import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import include, path

sys.path.insert(0, str(Path(__file__).parents[1]))
import traffic

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for an example",
    LOGGING_CONFIG=None,
    MIDDLEWARE=["tenant_sentinel.django.SentinelMiddleware"],
    TENANT_SENTINEL={"tenant": "x-tenant-id", "options": {"admin_token": traffic.TOKEN}},
)

import tenant_sentinel.django


def order(request, order):
    """An order, unless it fails."""
    return HttpResponse(status=503) if request.GET["fail"] == "1" else HttpResponse(order)


urlpatterns = [
    path("orders/<int:order>", order),
    path("sentinel/", include(tenant_sentinel.django.admin())),
]
app = get_wsgi_application()


class Server(ThreadingMixIn, WSGIServer):
    """A thread a request."""


class Quiet(WSGIRequestHandler):
    """Without a line a request."""

    def log_message(self, *args):
        """Say nothing."""


if __name__ == "__main__":
    asked = traffic.options()
    traffic.begin(tenant_sentinel.django.sentinel(), asked)
    make_server("127.0.0.1", asked.port, app, Server, Quiet).serve_forever()
