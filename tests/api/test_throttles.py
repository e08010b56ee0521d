"""Rates per user or address; open when the cache is down."""

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from rest_framework.authtoken.models import Token

from pipeline.api.clients import client_of
from pipeline.api.throttles import Throttle
from tests.api.conftest import problem


@pytest.fixture
def rates(settings, monkeypatch):
    """`rates(submit="2/min")` switches them on."""
    cache.clear()
    monkeypatch.setattr(Throttle, "_quiet_until", 0.0)

    def switch(**given):
        settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
            "DEFAULT_THROTTLE_RATES": {"submit": None, "read": None, "act": None} | given
        }

    yield switch
    cache.clear()


def test_submissions_over_the_rate_are_throttled(post, fields, rates):
    rates(submit="2/min")
    assert [post(fields).status_code for _ in range(2)] == [202, 202]
    response = post(fields)
    problem(response, 429, "throttled")
    assert 0 < int(response["Retry-After"]) <= 60


def test_reading_and_acting_have_rates_of_their_own(http, begin, rates, plan):
    rates(read="1/min", act="1/min")
    pipeline = f"/api/v1/pipelines/{begin()}/"
    assert http.get(pipeline).status_code == 200
    for path in (pipeline, "/api/v1/plans/", "/api/v1/postings/", f"{pipeline}events/", f"{pipeline}stream/"):
        problem(http.get(path), 429)
    assert http.post(f"{pipeline}cancel/").status_code == 202
    problem(http.post(f"{pipeline}resume/"), 429)


def test_each_address_and_each_user_has_its_own_rate(post, fields, rates, plan, http):
    rates(submit="1/min")
    token = Token.objects.create(user=User.objects.create_user("ann")).key
    assert post(fields).status_code == 202
    problem(post(fields), 429)
    assert post(fields, Authorization=f"Token {token}").status_code == 202
    problem(post(fields, Authorization=f"Token {token}"), 429)


def test_a_forwarded_address_counts_only_behind_known_proxies(rf, settings):
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 0}
    forged = client_of(rf.get("/", headers={"X-Forwarded-For": "1.2.3.4"}))
    assert forged == client_of(rf.get("/"))
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    behind = [
        client_of(rf.get("/", headers={"X-Forwarded-For": f"{spoof}, 1.2.3.4"})) for spoof in ("9.9.9.9", "8.8.8.8")
    ]
    assert behind[0] == behind[1] != forged


def test_the_addresses_of_one_ipv6_network_are_one_client(rf):
    clients = {client_of(rf.get("/", REMOTE_ADDR=f"2001:db8:1:2::{n}")) for n in range(1, 4)}
    clients.add(client_of(rf.get("/", REMOTE_ADDR="2001:db8:1:2:ffff::1")))
    assert len(clients) == 1
    assert client_of(rf.get("/", REMOTE_ADDR="2001:db8:1:3::1")) not in clients
    assert client_of(rf.get("/", REMOTE_ADDR="::ffff:1.2.3.4")) == client_of(rf.get("/", REMOTE_ADDR="1.2.3.4"))


def test_a_dead_cache_lets_requests_through_and_is_left_alone_for_a_while(post, fields, rates, monkeypatch, caplog):
    asked = []

    def dead(*_args, **_options):
        asked.append(True)
        raise ConnectionRefusedError

    rates(submit="1/min")
    monkeypatch.setattr(Throttle.cache, "get", dead)
    assert [post(fields).status_code for _ in range(3)] == [202] * 3
    assert len(asked) == 1
    assert "not counted" in caplog.text
