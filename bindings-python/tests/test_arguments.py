"""Every argument of every adapter works or is a `ValueError` that names it, and what its functions make of a request, no request
notices."""

import asyncio
import contextlib
import uuid

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tenant_sentinel
from anything import ANYTHING, Hostile
from inside import Host, answers, totals
from tenant_sentinel import ConfigError, Sentinel, asgi, fastapi, flask, quart, wsgi
from tenant_sentinel import django as django_adapter
from test_boundary import holds

SENTINEL = Sentinel()


class Unlisted:
    """Fails when it is gone through."""

    def __iter__(self):
        raise RuntimeError("touched")


ARGUMENT = st.one_of(
    ANYTHING,
    st.lists(ANYTHING, max_size=3),
    st.lists(st.text(), max_size=3),
    st.builds(Unlisted),
    st.sampled_from(["x-tenant-id", "X-Tenant-Id", "/health", "x tenant", "tenant.id", ""]),
)


def serves(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]


def flask_app(**arguments):
    from flask import Flask

    flask.init_app(**{"app": Flask("service")} | arguments)


def quart_app(**arguments):
    from quart import Quart

    quart.init_app(**{"app": Quart("service")} | arguments)


def django_with(given):
    """Settings of Django that say `given`."""
    from django.conf import settings as django_settings
    from django.test import override_settings

    if not django_settings.configured:
        django_settings.configure()

    @contextlib.contextmanager
    def overridden():
        django_adapter._sentinel = None
        try:
            with override_settings(TENANT_SENTINEL=given):
                yield
        finally:
            django_adapter._sentinel = None

    return overridden()


def django_admin(sentinel, **arguments):
    with django_with({"sentinel": sentinel}):
        return django_adapter.admin(**arguments)


def made(make, *below):
    return lambda **given: make(*below, **{"sentinel": SENTINEL} | given)


ADAPTERS = {
    "asgi": (made(asgi.SentinelMiddleware, answers), "sentinel tenant exclude endpoint"),
    "fastapi": (made(fastapi.SentinelMiddleware, answers), "sentinel tenant exclude endpoint"),
    "wsgi": (made(wsgi.SentinelMiddleware, serves), "sentinel tenant exclude endpoint"),
    "flask": (made(flask_app), "app sentinel tenant exclude"),
    "quart": (made(quart_app), "app sentinel tenant exclude"),
    "asgi admin": (made(asgi.admin), "sentinel public"),
    "fastapi admin": (made(fastapi.admin), "sentinel public"),
    "wsgi admin": (made(wsgi.admin), "sentinel public"),
    "flask admin": (made(flask.admin), "sentinel public name"),
    "quart admin": (made(quart.admin), "sentinel public name"),
    "django admin": (made(django_admin), "public"),
}
KEYWORDS = [(adapter, field) for adapter, (_, fields) in ADAPTERS.items() for field in fields.split()]


@pytest.mark.parametrize(("adapter", "field"), KEYWORDS)
@settings(max_examples=150, deadline=None)
@example(Unlisted())
@given(ARGUMENT)
def test_an_argument_works_or_is_an_error_that_names_it(adapter, field, value):
    make, _ = ADAPTERS[adapter]
    try:
        make(**{field: value})
    except ConfigError as error:
        assert isinstance(error, ValueError)
        assert error.field == field
        assert str(error).startswith(f"{field}: ")
        assert error.allowed


def test_an_app_of_another_framework_is_none():
    from flask import Flask
    from quart import Quart

    for adapter, app, allowed in [(flask, Quart("service"), "a flask.Flask"), (quart, Flask("service"), "a quart.Quart")]:
        with pytest.raises(ConfigError, match=r"^app: ") as refused:
            adapter.init_app(app, SENTINEL)
        assert (refused.value.field, refused.value.allowed) == ("app", allowed)


def test_of_what_is_refused_nothing_stays_in_the_app():
    from flask import Flask
    from quart import Quart

    for adapter, app, serves in [(flask, Flask("service"), "wsgi_app"), (quart, Quart("service"), "asgi_app")]:
        before = getattr(app, serves)
        with pytest.raises(ConfigError, match=r"^tenant: "):
            adapter.init_app(app, SENTINEL, tenant="not a header")
        assert getattr(app, serves) == before
        for hooks in ("before_request_funcs", "before_websocket_funcs", "teardown_request_funcs"):
            assert not any(getattr(app, hooks, {}).values()), hooks


@pytest.mark.parametrize("field", ["tenant", "exclude", "options", "sentinel", None])
@settings(max_examples=150, deadline=None)
@given(ARGUMENT)
def test_a_setting_of_django_works_or_is_an_error_that_names_it(field, value):
    with django_with(value if field is None else {field: value}):
        try:
            django_adapter.SentinelMiddleware(lambda request: None)
        except ConfigError as error:
            assert error.field == (field or "TENANT_SENTINEL") or (field is None and error.field.startswith("TENANT_SENTINEL."))
            assert error.allowed


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"tenant": "nowhere.at_all"}, "tenant"),
        ({"sentinel": "nowhere.at_all"}, "sentinel"),
        ({"options": {"window": "soon"}}, "window"),
        ({"options": {"windows": "10m"}}, "options"),
        ({"options": {1: "10m"}}, "options"),
        ({"tenants": "x-tenant-id"}, "TENANT_SENTINEL.tenants"),
        ({1: "x-tenant-id"}, "TENANT_SENTINEL.1"),
    ],
)
def test_a_setting_of_django_that_is_wrong(given, field):
    with django_with(given), pytest.raises(ConfigError, match=f"^{field}: ") as refused:
        django_adapter.SentinelMiddleware(lambda request: None)
    assert refused.value.field == field


# What functions say and raise.

SAID = st.one_of(ANYTHING, st.lists(ANYTHING, max_size=2), st.sampled_from([ValueError, SystemExit, RuntimeError]))


def function(said, later):
    def find(request):
        if isinstance(said, type) and issubclass(said, BaseException):
            raise said("a bug of the host's")
        return said

    async def find_later(request):
        return find(request)

    return find_later if later else find


async def answered(app):
    host = Host(app)
    await host.ask()
    # Those that look in a task of their own.
    for _ in range(3):
        await asyncio.sleep(0)
    return host.sent


@pytest.mark.parametrize("later", [False, True])
@settings(max_examples=300, deadline=None)
@example([], [])
@given(SAID, SAID)
def test_nothing_that_functions_say_leaves_asgi(later, tenant, endpoint):
    sentinel = SENTINEL
    before = sentinel.stats()["offered"]
    app = asgi.SentinelMiddleware(answers, sentinel, function(tenant, later), ["/health"], function(endpoint, False))
    sent = asyncio.run(answered(app))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sentinel.stats()["offered"] == before + (endpoint != "/health" if isinstance(endpoint, str) else 1)


@pytest.mark.parametrize("later", [False, True])
@settings(max_examples=300, deadline=None)
@example([], [])
@given(SAID, SAID)
def test_nothing_that_functions_say_leaves_wsgi(later, tenant, endpoint):
    sentinel = SENTINEL
    before = sentinel.stats()["offered"]
    app = wsgi.SentinelMiddleware(serves, sentinel, function(tenant, later), ["/health"], function(endpoint, False))
    assert b"".join(app({}, lambda *_: None)) == b"ok"
    assert sentinel.stats()["offered"] == before + (endpoint != "/health" if isinstance(endpoint, str) else 1)


class Tells:
    """An app whose handler says a tenant, twice where it is told to: before its answer, and in the middle of it."""

    def __init__(self, *said):
        self.said = list(said)

    def tell(self):
        if self.said:
            tenant_sentinel.set_tenant(self.said.pop(0))

    async def asgi(self, scope, receive, send):
        self.tell()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        self.tell()
        await send({"type": "http.response.body", "body": b"ok"})

    def wsgi(self, environ, start_response):
        self.tell()
        start_response("200 OK", [])
        self.tell()
        return [b"ok"]


def asks(kind, app, sentinel, **arguments):
    if kind == "asgi":
        return asyncio.run(answered(asgi.SentinelMiddleware(app.asgi, sentinel, **arguments)))[-1]["body"]
    return b"".join(wsgi.SentinelMiddleware(app.wsgi, sentinel, **arguments)({}, lambda *_: None))


def no_lookup(request):
    raise AssertionError("somebody has said it")


@pytest.mark.parametrize("tenant", ["x-tenant-id", no_lookup], ids=["header", "function"])
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
@settings(max_examples=300, deadline=None)
@given(st.lists(ANYTHING, min_size=1, max_size=2))
def test_nothing_that_a_handler_says_leaves(kind, tenant, said):
    before = holds(SENTINEL.stats())
    app = Tells(*said)
    assert asks(kind, app, SENTINEL, tenant=tenant) == b"ok"
    assert app.said == []
    after = holds(SENTINEL.stats())
    assert after["offered"] == before["offered"] + 1
    assert after["accepted"] == before["accepted"] + 1
    # What is no id is noted, each time that it is said.
    wrong = sum(not is_id(value) for value in said)
    assert after["adapter_failures"] == before["adapter_failures"] + wrong


def is_id(value):
    if isinstance(value, int) and abs(value) >= 10**4_300:
        # More digits than Python writes.
        return False
    return not isinstance(value, bool) and isinstance(value, str | bytes | bytearray | int | uuid.UUID | None)


@pytest.mark.parametrize("tenant", ["x-tenant-id", no_lookup], ids=["header", "function"])
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=6), st.binary(max_size=6), st.integers(), st.uuids()), st.one_of(st.none(), ANYTHING))
def test_the_last_word_of_a_handler_counts(kind, tenant, said, before):
    sentinel = Sentinel()
    asks(kind, Tells(before, said), sentinel, tenant=tenant)
    assert (totals(sentinel)[0], sentinel.tenant(said)["requests"]) == (1, 1)


# The admin view.

VIEWS = [SENTINEL.admin(public=True), Sentinel(admin_token="correct-horse-battery").admin()]
LINE = st.one_of(st.text(), st.text(st.characters(categories=["Cs", "Lu"])), ANYTHING)


@settings(max_examples=1_000, deadline=None)
@given(
    st.sampled_from(VIEWS),
    st.one_of(st.sampled_from(["GET", "HEAD", "POST", "OPTIONS"]), LINE),
    st.one_of(st.sampled_from(["/", "/report", "/tenant", "/stats", "/report/%ff", "/../"]), LINE),
    st.one_of(st.sampled_from(["by=errors", "limit=%", "limit=" + "9" * 20, "window=&&=&scope=host", "id=%ed%a0%80"]), LINE),
    st.one_of(st.none(), st.just(b"Bearer correct-horse-battery"), st.binary(), ANYTHING),
)
def test_the_admin_view_answers_or_names_the_argument(view, method, path, query, authorization):
    try:
        status, headers, body = view.respond(method, path, query, authorization)
    except ConfigError as error:
        wrong = {"method": method, "path": path, "query": query}
        if error.field == "authorization":
            assert not isinstance(authorization, bytes | None)
        else:
            assert not isinstance(wrong[error.field], str)
        return
    assert 200 <= status < 500
    assert all(isinstance(part, str) for header in headers for part in header)
    assert isinstance(body, bytes)


@settings(max_examples=200, deadline=None)
@given(ANYTHING)
def test_flags_are_true_or_false(value):
    for ask, field in [(lambda: SENTINEL.admin(public=value), "public"), (lambda: SENTINEL.report(series=value), "series")]:
        if isinstance(value, bool | None):
            ask()
            continue
        with pytest.raises(ConfigError) as refused:
            ask()
        assert refused.value.field == field


# What a server may hand over instead of headers.


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        ANYTHING,
        st.lists(st.one_of(ANYTHING, st.tuples(ANYTHING), st.tuples(ANYTHING, ANYTHING), st.tuples(st.binary(), ANYTHING))),
    )
)
def test_headers_of_any_kind_are_answered(headers):
    host = Host(asgi.SentinelMiddleware(answers, SENTINEL, tenant="x-tenant-id"))
    host.run(headers=headers)
    assert len(host.sent) == 2


def test_a_header_is_compared_where_it_is_bytes():
    host = Host(asgi.SentinelMiddleware(answers, SENTINEL, tenant="x-tenant-id"))
    host.run(headers=[(Hostile(), b"acme")])
    assert len(host.sent) == 2


@pytest.mark.parametrize("kind", [list, tuple, iter])
@pytest.mark.parametrize("pair", [tuple, list])
@pytest.mark.parametrize("text", [bytes, bytearray])
def test_the_first_header_of_that_name_says_the_tenant(kind, pair, text):
    sentinel = Sentinel()
    headers = [(b"host", b"x"), (b"x-tenant-id", b"first"), (b"x-tenant-id", b"second")]
    headers = kind([pair((text(name), text(value))) for name, value in headers])
    Host(asgi.SentinelMiddleware(answers, sentinel, tenant="X-Tenant-Id")).run(headers=headers)
    assert sentinel.tenant("first")["requests"] == totals(sentinel)[0] == 1


def test_a_redirect_of_django_to_the_admin_view_does_not_count():
    from django.http import HttpResponse
    from django.test import Client, override_settings
    from django.urls import include, path

    sentinel = Sentinel()
    middleware = ["tenant_sentinel.django.SentinelMiddleware", "django.middleware.common.CommonMiddleware"]
    with django_with({"sentinel": sentinel}):
        view = path("sentinel/", include(django_adapter.admin(public=True)))
        urls = (view, path("other/", lambda request: HttpResponse("ok")))
        with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=middleware, ALLOWED_HOSTS=["*"]):
            assert [Client().get(path).status_code for path in ("/sentinel", "/sentinel/")] == [301, 200]
            assert totals(sentinel)[0] == 0
            assert [Client().get(path).status_code for path in ("/other", "/other/", "/nowhere")] == [301, 200, 404]
    assert totals(sentinel)[0] == 3
