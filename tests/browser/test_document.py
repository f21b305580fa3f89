"""The handler over a real socket: its OpenAPI document is true, and bad input is a clear 4xx."""
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TOKEN


def test_the_document_is_true(base, tmp_path):
    ran = subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), "run", f"{base}/one/openapi.json", "--url", f"{base}/one",
         "--header", f"Authorization: Bearer {TOKEN}", "--checks", "all", "--phases", "examples,coverage,fuzzing",
         "--max-examples", "25", "--max-time", "30", "--seed", "1", "--generation-database", "none", "--no-color"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def answer(base, head):
    """The status, the headers and the body of what is sent as it stands."""
    host, port = base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        try:
            connection.sendall(head + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough
        got = b""
        try:
            while part := connection.recv(65_536):
                got += part
        except ConnectionResetError:
            pass
    head, _, body = got.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.lower(), body


def asked(base, target, method=b"GET"):
    return answer(base, method + b" " + target + b" HTTP/1.1\r\nAuthorization: Bearer " + TOKEN.encode())


@pytest.mark.parametrize("query", [
    b"by=%00", b"by=%ff", b"by=%", b"limit=-1", b"limit=" + b"9" * 9_000, b"window=NaN", b"window=1e999s", b"series=2",
    b"by=errors&by=load", b"%3Cscript%3E=1", b"by='%20or%201=1--", b"%zz", b"x" * 9_000, b"&".join([b"by=load"] * 900),
])
def test_a_hostile_query_is_refused(base, query):
    status, head, body = asked(base, b"/one/report?" + query)
    assert status == 400 and b"content-type: application/problem+json" in head
    assert json.loads(body)["status"] == 400 and len(body) < 1_000


@pytest.mark.parametrize("query", [b"series=2", b"limit=0", b"limit=10001", b"limit=%00", b"by=errors", b"series=1&series=1", b"x" * 9_000])
def test_a_hostile_query_about_uptime_is_refused(base, query):
    status, head, body = asked(base, b"/one/uptime?" + query)
    assert status == 400 and b"content-type: application/problem+json" in head and len(body) < 1_000


@pytest.mark.parametrize("tenant, status", [
    (b"team/a%252Fb%3Fwindow=1%23x", 200), (b"team%2fa%252Fb%3Fwindow=1%23x", 200), (b"%5C..", 200), (b"..", 200),
    (b"%2F", 404), (b"a//b", 404), (b"%00", 404), (b"%ff%fe", 404), (b"x" * 9_000, 404), (b"%C0%AF", 404), (b"", 404),
    (b"%", 400), (b"%2", 400), (b"%zz", 400), (b"%%30", 400), (b"tenant_acme%", 400),
])
def test_any_tenant_id_is_found_or_refused(base, tenant, status):
    got, head, body = asked(base, b"/one/tenants/" + tenant)
    assert got == status, body
    assert status == 200 or (b"application/problem+json" in head and len(body) < 1_000)


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"get", b"BREW"])
def test_a_wrong_method_is_refused(base, method):
    for route in [b"", b"/report", b"/tenants/x", b"/stats", b"/alerts", b"/uptime", b"/metrics", b"/openapi.json"]:
        status, head, _ = asked(base, b"/one" + route, method)
        assert status == 405 and b"allow: get, head" in head, route


@pytest.mark.parametrize("header", [b"Authorization: Bearer ", b"X-Long: "])
def test_headers_of_a_megabyte_are_refused(base, header):
    status, _, _ = answer(base, b"GET /one/report HTTP/1.1\r\n" + header + b"x" * (1 << 20))
    assert 400 <= status < 500


def test_a_strange_token_is_wrong(base):
    for token in [b"", b"\xff\xfe", b"x" * 50_000, TOKEN.encode() + b"2", TOKEN.upper().encode()]:
        status, _, body = answer(base, b"GET /one/report HTTP/1.1\r\nAuthorization: Bearer " + token)
        assert status == 401 and b"tenant_acme" not in body, token[:40]
