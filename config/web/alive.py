"""`/healthz` is answered on the event loop: no thread, and none of Django's middleware, is waited for."""

from typing import Final

from config.web.bodies import App, Receive, Scope, Send

_METHODS: Final = frozenset({"GET", "HEAD"})
_BODY: Final = b'{"status": "alive"}'
_HEADERS: Final = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
    (b"cache-control", b"no-store"),
]


class Alive:
    """Wraps an ASGI application, which gets every other request."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] != "/healthz" or scope["method"] not in _METHODS:
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else _BODY})
