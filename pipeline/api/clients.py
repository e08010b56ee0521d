"""The client of a request: its address, stored only as an HMAC. Rates, ceilings and watchers all ask here."""

import ipaddress
import logging
import re
import time
from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from rest_framework.settings import api_settings

log = logging.getLogger(__name__)

UNKNOWN: Final = "unknown"  # clients whose address cannot be read count as one client
_QUIET_SECONDS: Final = 600.0  # between two log lines about such an address
# As RFC 7239 and proxies write it: address, address:port, [address], [address]:port; of an IPv6 address its zone.
_WRITTEN: Final = re.compile(
    r"\[(?P<bracketed>[0-9a-fA-F:.]{2,45})(?:%[\w.\-]{1,32})?\](?::\d{1,5})?"
    r"|(?P<v4>[0-9.]{7,15})(?::\d{1,5})?"
    r"|(?P<v6>[0-9a-fA-F:.]{2,45})(?:%[\w.\-]{1,32})?"
)


class _Complaint:
    told_at = -_QUIET_SECONDS


def address_of(request: HttpRequest) -> str:
    """The client's address, past NUM_PROXIES proxies; see `_canonical`."""
    return _chosen(request.META.get("REMOTE_ADDR") or "", request.headers.get("X-Forwarded-For"))


def address_in(scope: Mapping[str, Any]) -> str:
    """The client's address in an ASGI scope."""
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    peer = scope.get("client") or ("",)
    return _chosen(str(peer[0]), ",".join(forwarded) if forwarded else None)


def client_of(request: HttpRequest) -> str:
    """64 hexadecimal digits that stand for the address in the database."""
    return salted_hmac("pipeline.client", address_of(request), algorithm="sha256").hexdigest()


def _chosen(peer: str, forwarded: str | None) -> str:
    """Each of NUM_PROXIES proxies has appended the address that it was called from."""
    proxies: int = api_settings.NUM_PROXIES or 0
    if not proxies or forwarded is None:
        return _canonical(peer)
    said = forwarded.split(",")
    return _canonical(said[-min(proxies, len(said))])


def _canonical(said: str) -> str:
    """An IPv4 address, or an IPv6 address's /64, all of which one customer has. Without its port. Else UNKNOWN."""
    written = _WRITTEN.fullmatch(said.strip().strip('"'))
    try:
        address = ipaddress.ip_address((written["bracketed"] or written["v4"] or written["v6"]) if written else "")
    except ValueError:
        _complain()
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _complain() -> None:
    """Say it once in a while; never the text itself, which may be anything."""
    now = time.monotonic()
    if now - _Complaint.told_at >= _QUIET_SECONDS:
        _Complaint.told_at = now
        log.warning(
            "a client's address cannot be read: all such clients share one rate and one ceiling. "
            "Compare NUM_PROXIES with what the proxy writes to X-Forwarded-For"
        )
