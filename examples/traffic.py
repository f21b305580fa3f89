"""Clients for the Python examples: thirty tenants, one of which begins to fail, and the verdict as it changes."""

import argparse
import http.client
import itertools
import os
import random
import threading
import time

TENANTS = [f"tenant_{i:02}" for i in range(29)] + ["tenant_acme"]
TOKEN = "correct-horse-battery"


def options():
    """What the examples can be told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so long")
    parser.add_argument("--fails-after", type=float, default=10.0, help="seconds until tenant_acme begins to fail")
    return parser.parse_args()


def begin(sentinel, asked):
    """Starts the clients and who prints the verdicts."""
    print(f"http://127.0.0.1:{asked.port}/sentinel/ with the token {TOKEN}; tenant_acme fails in {asked.fails_after:.0f} s")
    for _ in range(4):
        threading.Thread(target=_client, args=(asked,), daemon=True).start()
    threading.Thread(target=_watch, args=(sentinel, asked), daemon=True).start()


def _client(asked):
    start = time.monotonic()
    for i in itertools.count():
        tenant = random.choice(TENANTS)
        failing = tenant == "tenant_acme" and time.monotonic() - start > asked.fails_after
        path = f"/orders/{i}?fail={int(failing or random.random() < 0.002)}"
        try:
            connection = http.client.HTTPConnection("127.0.0.1", asked.port, timeout=5)
            connection.request("GET", path, headers={"x-tenant-id": tenant})
            connection.getresponse().read()
            connection.close()
        except OSError:
            time.sleep(0.1)  # not up yet
        time.sleep(0.02)


def _watch(sentinel, asked):
    said, end = "", time.monotonic() + asked.seconds
    while time.monotonic() < end:
        time.sleep(1)
        sentinel.tick()
        verdict = sentinel.verdict()
        if verdict["kind"] != said:
            said = verdict["kind"]
            print(sentinel.text(limit=3), flush=True)
    # Servers differ in how they are asked to end.
    os._exit(0)
