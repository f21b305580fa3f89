"""A host inside the test's own process: what goes on in it can be looked at, and its clients are real sockets."""

import asyncio
import contextlib
import socket
import threading

import uvicorn

from service import PATIENCE, within


@contextlib.contextmanager
def uvicorn_of(app, **options):
    """Serves on loopback; gives the port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off", **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    within(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.force_exit = server.should_exit = True
        thread.join(PATIENCE)


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def get(port, target="/", tenant=None, method="GET"):
    """The whole answer."""
    said = "" if tenant is None else f"x-tenant-id: {tenant}\r\n"
    with connect(port) as connection:
        connection.sendall(f"{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{said}\r\n".encode())
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return answer


def totals(sentinel):
    """(requests, errors, aborted), of all tenants."""
    found = sentinel.report()["totals"]
    return found["requests"], found["errors"], found["aborted"]


def rows(sentinel):
    """(requests, errors) by tenant."""
    return {row["tenant_id"]: (row["requests"], row["errors"]) for row in sentinel.report()["tenants"]}


class Host:
    """Calls an ASGI app as a server does, without one."""

    def __init__(self, app):
        self.app = app
        self.sent = []

    async def receive(self):
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message):
        self.sent.append(message)

    async def ask(self, path="/", tenant=None, **scope):
        headers = [] if tenant is None else [(b"x-tenant-id", tenant.encode())]
        scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "query_string": b"", "headers": headers} | scope
        await self.app(scope, self.receive, self.send)

    def run(self, *args, **kwargs):
        asyncio.run(self.ask(*args, **kwargs))


async def answers(scope, receive, send):
    """An app that answers at once."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
