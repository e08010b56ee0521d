"""Providers that are down: staff see them, and who may close one says why."""

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from pipeline.models import Circuit

LIST = reverse("admin:pipeline_circuit_changelist")
PAGE = reverse("admin:pipeline_circuit_change", args=["stripe"])
REASON = {"reason": "Their status page says so"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def stripe():
    times = {"opened_at": "2026-11-21T10:00:00Z", "retry_at": "2026-11-21T10:01:10Z"}
    error = {"kind": "unavailable", "code": "stripe_unreachable", "detail": "no connection to Stripe"}
    return Circuit.objects.create(provider="stripe", failures=7, openings=2, error=error, **times)


@pytest.fixture
def closer(staff):
    return staff("view_circuit", "close_circuit", name="carla")


def test_the_list_tells_since_when_it_is_open_and_when_it_is_tried(stripe, staff):
    Circuit.objects.create(provider="storage", failures=1)
    text = staff("view_circuit").get(LIST).content.decode()
    assert "open since 2026-11-21 10:00:00 UTC, next try 10:01:10 UTC" in text
    assert "unavailable: stripe_unreachable, no connection to Stripe" in text
    assert "closed" in text


def test_a_person_closes_it_and_says_why(stripe, closer):
    assert "Close the circuit" in closer.get(PAGE).content.decode()
    answer = closer.post(PAGE, REASON, follow=True)
    stripe.refresh_from_db()
    assert (stripe.opened_at, stripe.failures) == (None, 0)
    assert "Close the circuit" not in answer.content.decode()
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.change_message) == ("carla", f"Closed: {REASON['reason']}")
    history = closer.get(reverse("admin:pipeline_circuit_history", args=["stripe"]))
    assert REASON["reason"] in history.content.decode()


def test_one_that_has_closed_meanwhile_stays_so(stripe, closer):
    Circuit.objects.update(opened_at=None, retry_at=None, failures=0)
    answer = closer.post(PAGE, REASON, follow=True)
    assert "is not open" in answer.content.decode()
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("reason", ["", "oops"])
def test_without_a_proper_reason_it_stays_open(stripe, closer, reason):
    assert closer.post(PAGE, {"reason": reason}).status_code == 200
    stripe.refresh_from_db()
    assert stripe.opened_at is not None


def test_a_viewer_may_not_close_it(stripe, staff):
    client = staff("view_circuit")
    assert "Close the circuit" not in client.get(PAGE).content.decode()
    assert client.post(PAGE, REASON).status_code == 403
    stripe.refresh_from_db()
    assert stripe.opened_at is not None


def test_without_the_permission_there_is_nothing_to_see(stripe, viewer):
    assert viewer.get(PAGE).status_code == 403
    assert viewer.get(LIST).status_code == 403


def test_an_unknown_provider_is_not_found(closer):
    assert closer.get(PAGE).status_code == 404
