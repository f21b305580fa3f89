"""Plays whoever is told of alerts: a web server on loopback that keeps what it gets."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.messages = []
        self.headers = []
        # Until it is set nothing is answered.
        self.answers = threading.Event()
        self.answers.set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook?key=canary-7f3a"

    def handle_error(self, request, client_address):
        """Who asked is gone; that is what some tests do."""


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.headers.append((dict(self.headers), body))
        self.server.messages.append(json.loads(body))
        self.server.answers.wait(20)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def receiving():
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.answers.set()
            receiver.shutdown()
            thread.join()
