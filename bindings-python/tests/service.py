"""Runs a scenario service in a process of its own, and asks it: over real sockets, byte by byte where it matters."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).parent
TOKEN = "correct-horse-battery"
# Seconds: long enough for anything on a busy machine. Whatever waits goes on as soon as it may.
PATIENCE = 60.0


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Service:
    """A server that answers on loopback until it is closed."""

    def __init__(self, command, env=None, cwd=HERE):
        self.port = free_port()
        self.asked = 0
        command = [part.replace("PORT", str(self.port)) for part in command]
        # A module, or a program by its path.
        command = command if "/" in command[0] else [sys.executable, "-m", *command]
        environment = os.environ | {"PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"} | (env or {})
        # A file and not a pipe: what nobody reads would fill it.
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=self.log, stderr=self.log)
        try:
            within(self._answers)
        except AssertionError:
            self.close()
            self.log.seek(0)
            raise AssertionError(f"{command} does not answer: {self.log.read().decode()}") from None

    def _answers(self):
        assert self.process.poll() is None
        try:
            return self.ask("/sentinel/")[0] == 200
        except OSError:
            return False

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                # Killed in the middle of its end, it would lose what its workers still publish.
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def send(self, target, headers=(), method="GET"):
        """A connection on which a request was sent."""
        connection = self.connect()
        connection.sendall(request(target, headers, method))
        return connection

    def ask(self, target, headers=(), method="GET"):
        """Status (0 when the connection just ends) and body of one answer."""
        status, _, body = self.exchange(target, headers, method)
        return status, body

    def exchange(self, target, headers=(), method="GET"):
        """Status (0 when the connection just ends), headers and body of one answer."""
        with self.send(target, headers, method) as connection:
            answer = b""
            try:
                while part := connection.recv(65_536):
                    answer += part
            except ConnectionError:
                pass
        head, _, body = answer.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            body = dechunked(body)
        lines = (line.partition(b":") for line in head.lower().splitlines()[1:])
        found = {name.decode(): value.strip().decode() for name, _, value in lines}
        return (int(head.split()[1]) if head else 0), found, body

    def visit(self, target, tenant, method="GET"):
        return self.ask(target, [("x-tenant-id", tenant)], method)[0]

    def data(self, target):
        status, body = self.ask("/sentinel" + target, [("authorization", f"Bearer {TOKEN}")])
        return json.loads(body) if status == 200 else None

    def tenant(self, name):
        return self.data(f"/tenants/{quote(name, safe='')}")

    def recorded(self, name, requests=1):
        """The tenant, when so many requests of it have been recorded; they stay that many."""
        found = within(lambda: (found := self.tenant(name)) and found["requests"] >= requests and found)
        assert found["requests"] == requests
        return found

    def counts(self, name, requests=1):
        """Its only endpoint, with requests and errors."""
        found = self.recorded(name, requests)
        (counts,) = found["endpoints"]
        return counts["endpoint"], counts["requests"], counts["errors"]

    def aborted(self):
        # Another limit each time: what was just asked is answered from memory.
        self.asked = self.asked % 1_000 + 1
        return self.data(f"/report?limit={self.asked}")["totals"]["aborted"]

    def failures(self):
        return self.data("/stats")["adapter_failures"]


def request(target, headers=(), method="GET"):
    head = f"{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n".encode()
    for name, value in headers:
        head += name.encode() + b": " + (value.encode() if isinstance(value, str) else value) + b"\r\n"
    return head + b"\r\n"


def dechunked(body):
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return whole


def within(ask, seconds=PATIENCE):
    """What `ask` says, as soon as that is something."""
    end = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)
    return found
