"""The views of both Django services."""

import asyncio
import os
from io import BytesIO

from asgiref.sync import sync_to_async
from django.http import (
    FileResponse,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import include, path
from django.utils.decorators import sync_and_async_middleware

import tenant_sentinel
import tenant_sentinel.django
from apps import common
from apps.flask_app import breaking, chunks, say

IS_ASYNC = "DJANGO_ASYNC" in os.environ


class Refused(Exception):
    pass


@sync_and_async_middleware
def early(get_response):
    def answer(request):
        status = request.GET.get("early")
        return HttpResponse(status=int(status)) if status else None

    if asyncio.iscoroutinefunction(get_response):

        async def middleware(request):
            return answer(request) or await get_response(request)
    else:

        def middleware(request):
            return answer(request) or get_response(request)

    def process_exception(request, error):
        return HttpResponse("no database", status=503) if isinstance(error, Refused) else None

    middleware.process_exception = process_exception
    return middleware


def view(answer):
    """As a view of the kind that is tested."""
    if not IS_ASYNC:
        return answer

    async def later(request, **parameters):
        return answer(request, **parameters)

    return later


def moved(request):
    response = HttpResponseRedirect("/ok")
    response.status_code = 307
    return response


def number(request, number):
    return JsonResponse({}) if number.isdigit() else JsonResponse({}, status=422)


def raises(request):
    raise ValueError("a bug in the handler")


def refuse(request):
    raise Refused


def post(request):
    return HttpResponse("posted") if request.method == "POST" else HttpResponseNotAllowed(["POST"])


async def slow(request):
    await asyncio.sleep(5)
    return HttpResponse("slow")


def streamed(sync, later, **headers):
    def answer(request):
        return StreamingHttpResponse(later() if IS_ASYNC else sync(), headers=headers)

    return view(answer)


async def says(request, how):
    await common.say_later(how)
    return HttpResponse("said")


def says_sync(request, how):
    say(how)
    return HttpResponse("said")


def says_in_pool(request):
    tenant_sentinel.set_tenant("said-in-pool")
    return HttpResponse("said")


async def says_in_pool_async(request):
    return await sync_to_async(says_in_pool)(request)


def saying():
    yield b"chunk"
    tenant_sentinel.set_tenant("said-in-stream")
    yield b"chunk"


async def saying_later():
    for chunk in saying():
        yield chunk


def ok(request, **parameters):
    return HttpResponse("ok")


urlpatterns = [
    path("ok", view(ok)),
    path("health", view(ok)),
    path("things/<thing>", view(lambda request, thing: HttpResponse("no such thing", status=404))),
    path("post", view(post)),
    path("moved", view(moved)),
    path("numbers/<number>", view(number)),
    path("raises", view(raises)),
    path("refused", view(refuse)),
    path("slow", slow),
    path("stream", streamed(lambda: chunks(0.3), lambda: common.chunks(0.3))),
    path("endless", streamed(lambda: chunks(0.2, 100), lambda: common.chunks(0.2, 100))),
    path("breaks", streamed(breaking, common.breaking)),
    path(
        "events",
        streamed(lambda: chunks(0.2, 100), lambda: common.chunks(0.2, 100), **{"content-type": "text/event-stream"}),
    ),
    path("sized", streamed(lambda: chunks(0.1), lambda: common.chunks(0.1), **{"content-length": "10"})),
    path("says-in-stream", streamed(saying, saying_later)),
    path("says-in-sync-stream", view(lambda request: StreamingHttpResponse(saying()))),
    path("file", view(lambda request: FileResponse(BytesIO(b"x" * (32 << 20))))),
    path("says/<how>", says if IS_ASYNC else says_sync),
    path("says-in-pool", says_in_pool_async if IS_ASYNC else says_in_pool),
    path("api/<version>/", include([path("users/", include([path("<user>", view(ok))]))])),
    path("mounted/<org>/", include(([path("users/<user>", view(ok))], "sub"), namespace="sub")),
    path("sentinel/", include(tenant_sentinel.django.admin())),
]
