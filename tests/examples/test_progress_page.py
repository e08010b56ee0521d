"""The link `page` of an example's pipeline leads somewhere, too."""

import uuid
from collections.abc import Callable

import pytest
from django.test import Client

from pipeline.models import Pipeline

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", ["staging", "rolled_back", "committed"])
def test_a_registration_has_its_progress_page(http: Client, register: Callable[..., uuid.UUID], state: str) -> None:
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
    assert b"Reserve the subdomain" in page.content
