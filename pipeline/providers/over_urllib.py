"""Clients over urllib, such as those made of python_http_client: they open their requests with `opener`."""

import http.client
import ssl
import urllib.request
from typing import Any

from pipeline.once import Once
from pipeline.providers import sockets


class _Http(http.client.HTTPConnection):
    response_class = sockets.Answer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = _connect


class _Https(http.client.HTTPSConnection):
    response_class = sockets.Answer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = _connect


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Http, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Https, req, context=_context())


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A provider's API has none: the answer is an error, as any status that was not expected."""

    def redirect_request(self, *args: Any) -> None:
        return None


@Once
def opener() -> urllib.request.OpenerDirector:
    """One a process; it keeps no connection."""
    return urllib.request.build_opener(_HttpHandler, _HttpsHandler, _NoRedirects)


@Once
def _context() -> ssl.SSLContext:
    return sockets.bounded(ssl.create_default_context())


def _connect(address: tuple[str, int], *_: Any) -> sockets.Plain:
    return sockets.connect(*address)
