"""Clients over urllib3: `session` for SDKs that take one of requests, `bind` for those with pools of their own."""

import socket
from functools import cache
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ContentDecodingError
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

from pipeline.providers import sockets

POOL: Final = 100  # connections that are kept: as many as a worker has threads


def session() -> requests.Session:
    """A session that threads may share. It follows no redirect and takes no compressed answer."""
    made = requests.Session()
    made.max_redirects = 0  # a provider's API has none: one would send our key elsewhere
    made.headers["Accept-Encoding"] = "identity"
    made.hooks["response"].append(_refuse_compressed)
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Adapter(pool_maxsize=POOL))
    return made


def bind(pools: dict[str, Any]) -> None:
    """Replace a client's classes of connection pools, by scheme, with those that keep to the budget."""
    pools.update({scheme: _bounded_pool(pool) for scheme, pool in pools.items()})


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _bounded_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = _bounded_pools(manager)
        return manager


class _Connecting(HTTPConnection):
    """Connects by our sockets; the errors are urllib3's own."""

    response_class = sockets.Answer

    def _new_conn(self) -> socket.socket:
        try:
            return sockets.connect(self.host, self.port)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"No connection to {self.host} in time") from error
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(self, f"No connection to {self.host}: {error}") from error


class _ConnectingTls(_Connecting, HTTPSConnection):
    """Puts our class of sockets into the contexts before they are used."""

    def connect(self) -> None:
        if self.ssl_context is None:
            self.ssl_context = create_urllib3_context(cert_reqs=resolve_cert_reqs(self.cert_reqs))
            if not (self.ca_certs or self.ca_cert_dir or self.ca_cert_data):
                self.ssl_context.load_default_certs()
        sockets.bounded(self.ssl_context)
        if self.proxy_config is not None:
            to_proxy = self.proxy_config.ssl_context or _trusting_the_system()
            self.proxy_config = self.proxy_config._replace(ssl_context=sockets.bounded(to_proxy))
        super().connect()


def _trusting_the_system() -> Any:
    context = create_urllib3_context()
    context.load_default_certs()
    return context


def _bounded_pools(manager: Any) -> dict[str, Any]:
    pools = dict(manager.pool_classes_by_scheme)
    bind(pools)
    return pools


@cache
def _bounded_pool(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    """The same pool, whose connections are made by our sockets."""
    connection: Any = pool.ConnectionCls
    connecting = _ConnectingTls if issubclass(connection, HTTPSConnection) else _Connecting
    made = type(f"Bounded{connection.__name__}", (connecting, connection), {})
    return type(f"Bounded{pool.__name__}", (pool,), {"ConnectionCls": made})


def _refuse_compressed(answer: requests.Response, **_: Any) -> None:
    """Nobody asked for compression, and the unpacked size is known only afterwards."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        answer.close()
        raise ContentDecodingError(f"a compressed answer of {answer.url}, which was not asked for")
