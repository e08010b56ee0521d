"""Who a request comes from: an address, kept only as an HMAC."""

import ipaddress

from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from rest_framework.throttling import BaseThrottle


def address_of(request: HttpRequest) -> str:
    """The client's address, past NUM_PROXIES proxies. Of an IPv6 address its /64: one customer has all of that."""
    said = BaseThrottle().get_ident(request) or ""  # type: ignore[arg-type] # it reads META alone
    try:
        address = ipaddress.ip_address(said)
    except ValueError:
        return said
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def client_of(request: HttpRequest) -> str:
    """64 hexadecimal digits that stand for the address in the database."""
    return salted_hmac("pipeline.client", address_of(request), algorithm="sha256").hexdigest()
