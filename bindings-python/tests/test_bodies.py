"""The host's bodies are the host's: nothing of a request is taken away, and who goes away is seen all the same."""

import asyncio
import contextlib
import time

import pytest

from inside import connect, totals, uvicorn_of
from service import within
from tenant_sentinel import Sentinel
from tenant_sentinel.asgi import SentinelMiddleware


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_reader_beside_the_answer_gets_the_whole_body(http):
    bodies, answers = [], []

    async def app(scope, receive, send):
        body, whole, answer = b"", asyncio.Event(), asyncio.Event()

        async def read():
            nonlocal body
            while True:
                message = await receive()
                body += message.get("body", b"<gone>")
                if not message.get("more_body"):
                    return whole.set()

        reader = asyncio.create_task(read())
        loop = asyncio.get_running_loop()
        answers.append(lambda: loop.call_soon_threadsafe(answer.set))
        # Others compute meanwhile, so that the rest of the body and the reason to answer come in one turn of the loop.
        loop.call_later(0.07, time.sleep, 0.03)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await answer.wait()
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(whole.wait(), 0.5)
        bodies.append(body)
        reader.cancel()
        await send({"type": "http.response.body", "body": b"last"})

    sentinel = Sentinel()
    with uvicorn_of(SentinelMiddleware(app, sentinel), http=http) as port:
        for _ in range(8):
            with connect(port) as connection:
                connection.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nAAAAA")
                time.sleep(0.085)
                answers.pop()()
                connection.sendall(b"BBBBB")
                answer = b""
                while b"last" not in answer:
                    answer += connection.recv(65_536)
    assert bodies == [b"AAAAABBBBB"] * 8
    assert totals(sentinel) == (8, 0, 0)


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("begun", [False, True])
def test_who_goes_away_is_seen_without_a_reader(http, begun):
    asked = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if begun:
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
        asked.append(True)
        await asyncio.sleep(0.3)
        await send({"type": "http.response.body", "body": b"last"})

    sentinel = Sentinel()
    with uvicorn_of(SentinelMiddleware(app, sentinel), http=http) as port:
        connection = connect(port)
        connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        within(lambda: asked)
        connection.close()
        within(lambda: totals(sentinel)[0])
        assert totals(sentinel) == (1, 0, 1)
        with connect(port) as patient:
            patient.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            answer = b""
            while b"last" not in answer:
                answer += patient.recv(65_536)
        within(lambda: totals(sentinel)[0] == 2)
    assert totals(sentinel) == (2, 0, 1)
