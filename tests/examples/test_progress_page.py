"""The link `page` of an example's pipeline leads somewhere, too."""

import uuid
from collections.abc import Callable

import pytest
from django.test import Client

from pipeline import actions
from pipeline.models import Pipeline
from pipeline.testing import ScriptedBroker

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("state", "headline"),
    [
        ("staging", "We are preparing your institution"),
        ("rolled_back", "Not registered"),
        ("committed", "Your institution is registered"),
    ],
)
def test_a_registration_has_its_progress_page(
    http: Client, register: Callable[..., uuid.UUID], state: str, headline: str
) -> None:
    pipeline = register()
    if state != "staging":
        ended = {
            "state": state,
            "finished_at": "2026-11-21T12:00:00Z",
            "due_at": None,
            "pivots": 0,
            "effects": 0,
            "tells": 0,
            "secrets": {},
            "cursor": 3,
            "error": {"code": "email_taken", "title": "Taken", "detail": "Taken.", "step": "user"},
        }
        Pipeline.objects.filter(pk=pipeline).update(**ended)
    page = http.get(f"/pipelines/{pipeline}/")
    assert page.status_code == 200
    shown = page.content.decode()
    assert "Reserve the subdomain" in shown
    assert f'<h1 id="headline">{headline}</h1>' in shown
    for another in ("posting", "charged", "Post a job again"):
        assert another not in shown[shown.index('id="progress"') :]


def test_who_cancels_an_order_reads_of_an_order(
    http: Client, broker: ScriptedBroker, order: Callable[..., uuid.UUID]
) -> None:
    pipeline = order(100)
    assert b"Cancel this order" in http.get(f"/pipelines/{pipeline}/").content
    actions.cancel(pipeline)
    assert Pipeline.objects.get(pk=pipeline).error["detail"] == "This was cancelled. Nothing was paid."
    assert b"Not ordered, and nothing was paid" in http.get(f"/pipelines/{pipeline}/").content
