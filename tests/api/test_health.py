"""Alive, ready, metrics, docs; and Django's own errors under /api/."""

import pytest
from django.core.exceptions import SuspiciousOperation
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from config import health
from config.errors import bad_request, csrf_failure
from pipeline.models import Chore, Circuit, Pipeline
from tests.api.conftest import problem


@pytest.fixture
def outside(monkeypatch):
    """`outside(stripe=True, …)` says what is up; None is one that hangs."""

    def be(**states):
        checks = {"broker": True, "stripe": True, "sendgrid": True, "storage": True} | states
        monkeypatch.setattr(health, "_outside", health.Outside({name: lambda up=up: up for name, up in checks.items()}))

    be()
    return be


def test_healthz_needs_no_database(http):
    assert http.get("/healthz").json() == {"status": "alive"}


def test_readyz_names_everything(http, db, outside):
    response = http.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "database": "up",
        "broker": "up",
        "providers": {"stripe": "up", "sendgrid": "up", "storage": "up"},
    }


def test_what_is_down_but_stops_no_accept_is_named_with_200(http, db, outside):
    outside(broker=False, stripe=False)
    response = http.get("/readyz")
    assert response.status_code == 200
    assert (response.json()["broker"], response.json()["providers"]["stripe"]) == ("down", "down")


def test_open_circuits_are_named_with_200(http, db, outside):
    opened = {"opened_at": "2026-11-21T10:00:00Z", "retry_at": "2026-11-21T10:01:10Z", "failures": 7, "openings": 2}
    Circuit.objects.create(provider="stripe", **opened)
    Circuit.objects.create(provider="storage", failures=2)
    response = http.get("/readyz")
    assert response.status_code == 200
    assert response.json()["circuits"] == {"stripe": "open since 2026-11-21 10:00:00 UTC, next try 10:01:10 UTC"}
    text = http.get("/metrics").content.decode()
    assert 'circuit_open{provider="stripe"} 1.0' in text
    assert 'circuit_open{provider="storage"} 0.0' in text
    assert 'circuit_failures{provider="storage"} 2.0' in text


def test_a_database_that_is_down_is_503(http, db, outside, monkeypatch):
    monkeypatch.setattr(health, "_database", lambda: "down")
    response = http.get("/readyz")
    assert (response.status_code, response.json()["database"]) == (503, "down")
    assert response["Retry-After"]


def test_a_check_that_breaks_is_down_and_one_that_hangs_is_unknown(monkeypatch):
    import threading

    monkeypatch.setattr(health, "PATIENCE", 0.05)
    hang = threading.Event()
    outside = health.Outside({"broken": lambda: 1 / 0, "hanging": lambda: hang.wait(5), "well": lambda: True})
    assert outside.states() == {"broken": "down", "hanging": "unknown", "well": "up"}
    hang.set()


def test_providers_are_not_asked_at_every_call():
    asked = []
    outside = health.Outside({"stripe": lambda: asked.append(1) is None})
    assert outside.states() == outside.states() == {"stripe": "up"}
    assert len(asked) == 1


def test_the_broker_of_the_tests_is_up():
    assert health._is_broker_up() is True


def test_metrics_tell_of_pipelines_and_requests(http, begin):
    from pipeline import marks

    pipelines = [begin() for _ in range(3)]
    Pipeline.objects.filter(pk=pipelines[0]).update(due_at="2020-01-01T00:00:00Z")
    marks.attention(pipelines[1], {"code": "x"})
    for name, error in (("well", ""), ("ill", "ValueError")):
        Chore.objects.create(name=name, error=error, began_at=timezone.now(), due_at=timezone.now())
    http.get("/healthz")
    text = http.get("/metrics").content.decode()
    assert 'pipelines{state="staging"} 3.0' in text
    assert 'pipelines{state="committed"} 0.0' in text
    assert "pipelines_due 2.0" in text, "the marked one is looked at again at once"
    assert "pipelines_needing_attention 1.0" in text
    assert "findings_open 0.0" in text
    assert "chores_failing 1.0" in text
    assert 'http_requests_total{method="GET",route="healthz",status="200"}' in text
    assert str(pipelines[0]) not in text


@pytest.mark.parametrize(
    ("request_is", "status"),
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, 200),
        ({"REMOTE_ADDR": "::1"}, 200),
        ({"REMOTE_ADDR": "203.0.113.5"}, 404),
        ({"REMOTE_ADDR": ""}, 404),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.5"}, 404),
    ],
)
def test_metrics_are_for_the_inside(db, settings, request_is, status):
    settings.METRICS_PUBLIC = False
    assert Client().get("/metrics", **request_is).status_code == status


def test_metrics_may_be_made_public(db, settings):
    settings.METRICS_PUBLIC = True
    assert Client().get("/metrics", REMOTE_ADDR="203.0.113.5").status_code == 200


def test_the_schema_is_openapi_3_1_and_may_be_had_as_yaml(http, db):
    response = http.get("/api/schema/")
    assert response["Content-Type"].startswith("application/json")
    body = response.json()
    assert body["openapi"].startswith("3.1")
    assert "/api/v1/postings/" in body["paths"]
    yaml = http.get("/api/schema/", headers={"Accept": "application/yaml"})
    assert yaml.content.startswith(b"openapi: 3.1")


def test_the_docs_load_nothing_from_elsewhere(http, db):
    page = http.get("/api/docs/")
    assert page.status_code == 200
    assert b"https://" not in page.content.replace(b"https://github.com", b"")
    assert b"<script>" not in page.content, "the content security policy would stop it"
    script = http.get("/api/docs/?script=")
    assert b"/api/schema/" in script.content
    assert "unsafe-inline" not in page["Content-Security-Policy"].split("style-src")[0]


def test_a_wrong_host_is_a_problem_under_the_api(db, settings):
    settings.ALLOWED_HOSTS = ["jobs.example.com"]
    problem(Client().get("/api/v1/plans/", headers={"Host": "evil.example"}), 400)


def test_django_s_own_errors_are_problems_under_the_api_and_pages_elsewhere(rf, http, db):
    api, page = rf.get("/api/v1/plans/"), rf.get("/post/")
    assert bad_request(api, SuspiciousOperation()).headers["Content-Type"] == "application/problem+json"
    assert bad_request(page, SuspiciousOperation()).headers["Content-Type"].startswith("text/html")
    assert csrf_failure(api).headers["Content-Type"] == "application/problem+json"
    assert csrf_failure(page).headers["Content-Type"].startswith("text/html")
    assert http.get("/nothing/here/").headers["Content-Type"].startswith("text/html")


def test_a_database_that_is_away_is_503_everywhere_under_the_api(db, monkeypatch):
    from postings.models import Plan

    def away(*_args, **_options):
        raise OperationalError("connection refused")

    monkeypatch.setattr(Plan.objects, "filter", away)
    response = Client().get("/api/v1/plans/")
    problem(response, 503, "unavailable")
    assert response["Retry-After"]
