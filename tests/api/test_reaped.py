"""A pipeline whose personal data is erased: still there, still its key's, and finished."""

import json
from datetime import timedelta

import pytest
from django.db.models import F

from pipeline import retention
from pipeline.models import Pipeline
from tests.pipeline.conftest import Hand

KEY = "a-key-of-last-year"


@pytest.fixture
def reaped(post, fields):
    """A submission that was made, refused and reaped; its id."""
    pipeline = post(fields, key=KEY).json()["id"]
    assert Hand(pipeline).cancel()
    hand = Hand(pipeline)
    hand.undo("payment", "email")
    Pipeline.objects.filter(pk=pipeline).update(finished_at=F("finished_at") - timedelta(days=365))
    assert retention.reap()["pipelines"] == 1
    return pipeline


@pytest.mark.django_db(transaction=True)
def test_the_same_submission_finds_it_years_later(reaped, post, fields):
    again = post(fields, key=KEY)
    assert (again.status_code, again["Idempotent-Replayed"]) == (202, "true")
    assert again.json()["id"] == reaped
    assert post(fields | {"title": "Another"}, key=KEY).status_code == 422
    assert post(fields, key=KEY, Prefer="wait=1").json()["id"] == reaped


@pytest.mark.django_db(transaction=True)
def test_it_shows_how_it_ended_and_nothing_more(reaped, http, fields):
    shown = http.get(f"/api/v1/pipelines/{reaped}/")
    body = shown.json()
    assert shown.status_code == 200
    assert (body["state"], body["steps"]) == ("rolled_back", [])
    assert body["message"] == "Rolled back; its details have been erased"
    assert body["progress"] == {"completed": 4, "total": 4, "percent": 0}
    assert body["error"]["code"] == "cancelled"
    assert fields["contact_email"] not in json.dumps(body)
    assert http.get(f"/pipelines/{reaped}/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_its_history_is_empty_and_its_stream_is_over(reaped, http):
    assert http.get(f"/api/v1/pipelines/{reaped}/events/").json() == {"next": None, "previous": None, "results": []}
    assert http.get(f"/api/v1/pipelines/{reaped}/stream/").status_code == 204


@pytest.mark.django_db(transaction=True)
def test_nothing_can_be_done_with_it(reaped, http):
    for action in ("cancel", "resume"):
        assert http.post(f"/api/v1/pipelines/{reaped}/{action}/").status_code == 409
