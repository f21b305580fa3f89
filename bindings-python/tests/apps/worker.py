"""Which worker answered, told in a header: outside of all else, so that the admin view's answers have it as well."""

import os


class WsgiWorker:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        def named(status, headers, *rest):
            return start_response(status, [*headers, ("x-worker", str(os.getpid()))], *rest)

        return self.app(environ, named)


class AsgiWorker:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def named(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-worker", str(os.getpid()).encode())]
            await send(message)

        await self.app(scope, receive, named)
