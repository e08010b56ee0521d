"""A client is an address, however the proxy before us writes it; everything that counts clients asks the same."""

import logging

import pytest

from config.web import limits
from pipeline.api import clients
from pipeline.api.clients import UNKNOWN, address_in, address_of
from pipeline.api.throttles import Throttle
from tests.web.conftest import scope


@pytest.fixture(autouse=True)
def behind_one_proxy(settings, monkeypatch):
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    monkeypatch.setattr(clients._Complaint, "told_at", -limits.BODY_SECONDS * 1000)


WRITTEN = {
    "1.2.3.4": "1.2.3.4",
    " 1.2.3.4 ": "1.2.3.4",
    "1.2.3.4:1": "1.2.3.4",
    "1.2.3.4:65535": "1.2.3.4",
    '"1.2.3.4:80"': "1.2.3.4",
    "::ffff:1.2.3.4": "1.2.3.4",
    "[::ffff:1.2.3.4]:80": "1.2.3.4",
    "::FFFF:0102:0304": "1.2.3.4",
    "2001:db8:1:2::1": "2001:db8:1:2::/64",
    "[2001:db8:1:2::1]": "2001:db8:1:2::/64",
    "[2001:db8:1:2::9]:4711": "2001:db8:1:2::/64",
    '"[2001:DB8:1:2:ffff::1]:4711"': "2001:db8:1:2::/64",
    "fe80::1%eth0": "fe80::/64",
    "[fe80::2%25eth0]:80": "fe80::/64",
    "9.9.9.9, 1.2.3.4:5": "1.2.3.4",
}
NONSENSE = [
    *["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "1.2.3.4:", "1.2.3.4:port", "01.2.3.4", "1.2.3.4, ", "-1"],
    *["[1.2.3.4", "::1]", "2001:db8:::1", "a.example.com", "1.2.3.4\x00", "256.1.1.1"],
    *["x" * 8000, "1" * 8000, ":" * 8000],
]


@pytest.mark.parametrize(("written", "expected"), WRITTEN.items())
def test_an_address_is_read_however_it_is_written(rf, written, expected):
    request = rf.get("/", headers={"X-Forwarded-For": written})
    assert address_of(request) == expected
    assert address_in(scope(headers=[("x-forwarded-for", written)])) == expected
    assert Throttle().get_ident(request) == expected


@pytest.mark.parametrize("written", NONSENSE, ids=range(len(NONSENSE)))
def test_what_is_no_address_is_one_client_and_is_logged_once_in_a_while(rf, written, caplog):
    request = rf.get("/", headers={"X-Forwarded-For": written})
    with caplog.at_level(logging.WARNING):
        assert [address_of(request) for _ in range(3)] == [UNKNOWN] * 3
    assert len(caplog.records) == 1
    assert "NUM_PROXIES" in caplog.text


def test_ports_make_no_clients(rf):
    seen = {address_of(rf.get("/", headers={"X-Forwarded-For": f"1.2.3.4:{port}"})) for port in range(1000, 1100)}
    assert seen == {"1.2.3.4"}


def test_without_a_known_proxy_only_the_peer_counts(rf, settings):
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 0}
    assert address_of(rf.get("/", headers={"X-Forwarded-For": "9.9.9.9"}, REMOTE_ADDR="1.2.3.4")) == "1.2.3.4"
    assert address_in(scope(headers=[("x-forwarded-for", "9.9.9.9")], client="1.2.3.4")) == "1.2.3.4"


def test_the_header_sent_twice_is_one_list():
    """As Django joins it: the last address is the proxy's word."""
    both = scope(headers=[("x-forwarded-for", "9.9.9.9"), ("x-forwarded-for", "1.2.3.4")])
    assert address_in(both) == "1.2.3.4"


def test_a_peer_without_an_address_is_one_client():
    assert address_in(scope() | {"client": None}) == UNKNOWN
