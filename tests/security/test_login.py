"""Passwords are hashed at a bounded rate: for each address, for each name, and in each process."""

import asyncio

import pytest
from django.contrib.auth import hashers
from django.core.cache import cache
from django.test import AsyncClient, Client

from config import login
from pipeline.api.throttles import Throttle

URL = "/admin/login/"


@pytest.fixture
def rates(settings, monkeypatch):
    monkeypatch.setattr(Throttle, "_quiet_until", 0.0)
    cache.clear()

    def switch(**given):
        settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
            "DEFAULT_THROTTLE_RATES": {"login": "1000/min", "login_name": "1000/min"} | given
        }

    yield switch
    cache.clear()


@pytest.fixture
def hashed(monkeypatch):
    """The passwords that were hashed."""
    seen = []

    class Counting(hashers.MD5PasswordHasher):
        def encode(self, password, salt):
            seen.append(password)
            return super().encode(password, salt)

    monkeypatch.setattr(hashers, "get_hashers", lambda: [Counting()])
    monkeypatch.setattr(hashers, "get_hasher", lambda algorithm="default": Counting())
    return seen


@pytest.fixture
def slept(monkeypatch):
    seen = []

    async def sleep(seconds):
        seen.append(seconds)

    monkeypatch.setattr(login.asyncio, "sleep", sleep)
    return seen


def attempt(name="olga", password="wrong", address="127.0.0.1"):
    return Client().post(URL, {"username": name, "password": password}, REMOTE_ADDR=address)


@pytest.mark.django_db
def test_an_address_over_its_rate_is_refused_before_anything_is_hashed(rates, hashed):
    rates(login="3/min")
    assert [attempt(f"name-{number}").status_code for number in range(3)] == [200] * 3
    assert len(hashed) == 3
    for number in range(5):
        refused = attempt(f"name-{number}")
        assert refused.status_code == 429
        assert 1 <= int(refused["Retry-After"]) <= 61
    assert len(hashed) == 3
    assert attempt(address="10.0.0.1").status_code == 200, "another address is not concerned"
    assert Client().get(URL).status_code == 200, "the form is shown"


@pytest.mark.django_db
def test_a_proxys_port_makes_no_new_address(rates, settings):
    rates(login="1/min")
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    statuses = [
        Client().post(URL, {"username": "a"}, headers={"X-Forwarded-For": f"10.1.1.1:{port}"}).status_code
        for port in (1000, 1001)
    ]
    assert statuses == [200, 429]


@pytest.mark.django_db
def test_a_name_that_everybody_tries_is_slowed_down_and_never_locked(rates, slept, hashed, django_user_model):
    django_user_model.objects.create_user("Olga", password="right", is_staff=True)
    rates(login_name="2/min")
    for number in range(4):
        assert attempt("Olga", address=f"10.0.0.{number}").status_code == 200
    assert slept == [login.NAME_DELAY] * 2
    assert attempt("Olga", "right", address="10.0.1.1").status_code == 302
    assert len(slept) == 3
    attempt("other", address="10.0.1.2")
    assert len(slept) == 3, "other names are not concerned"


@pytest.mark.django_db(transaction=True)
def test_one_password_is_hashed_at_a_time_and_a_long_line_is_refused(rates, monkeypatch):
    rates()
    monkeypatch.setattr(login, "LINE", 3)
    at_once, most, gate = 0, 0, None

    async def check(request):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await gate.wait()
        at_once -= 1
        return login.HttpResponse("checked")

    monkeypatch.setattr(login, "_django", check)

    async def attack():
        nonlocal gate
        gate = asyncio.Event()
        tries = [asyncio.create_task(AsyncClient().post(URL, {"username": "a"})) for _ in range(5)]
        done, waiting = await asyncio.wait(tries, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 2:
            more, waiting = await asyncio.wait(waiting, timeout=20, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        gate.set()
        answers = await asyncio.gather(*tries)
        again = await AsyncClient().post(URL, {"username": "a"})
        return sorted(answer.status_code for answer in answers), again.status_code

    assert asyncio.run(attack()) == ([200, 200, 200, 503, 503], 200)
    assert most == 1


@pytest.mark.django_db
def test_logging_in_works_as_ever(rates, django_user_model):
    django_user_model.objects.create_superuser("olga", password="right")
    rates()
    client = Client()
    response = client.post(f"{URL}?next=/admin/pipeline/", {"username": "olga", "password": "right"})
    assert (response.status_code, response["Location"]) == (302, "/admin/pipeline/")
    assert client.get("/admin/").status_code == 200
    wrong = attempt("olga")
    assert "Please enter the correct" in wrong.content.decode()
