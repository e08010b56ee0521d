"""What the shop keeps of people: erased some time after a posting has ended, never while it is public."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.db.models import F
from django.test import Client
from django.utils import timezone

from config import sessions
from pipeline import retention
from pipeline.models import Pipeline, Step
from pipeline.testing import drain
from pipeline.verification import violations
from postings import endings
from postings.models import Posting
from tests.postings.test_endings import publish  # noqa: F401 - a fixture

WHY = {"by": "olga", "reason": "The customer asked for it"}
HALF_A_YEAR = timedelta(days=181)
Publish = Callable[..., Posting]


@pytest.fixture
def over(publish: Publish, broker: Any) -> Posting:  # noqa: F811
    """A posting that was withdrawn."""
    posting = publish()
    assert drain(endings.withdraw(posting, **WHY).id, broker) == "committed"
    posting.refresh_from_db()
    return posting


def _age() -> None:
    Pipeline.objects.update(finished_at=F("finished_at") - HALF_A_YEAR)
    Posting.objects.exclude(ended_at=None).update(ended_at=F("ended_at") - HALF_A_YEAR)


def test_both_pipelines_and_the_ended_posting_are_erased(over: Posting, client: Client) -> None:
    assert over.description
    _age()
    assert {"pipelines": 2, "ended postings": 1}.items() <= retention.reap().items()
    over.refresh_from_db()
    assert (over.description, over.apply_email, over.state) == ("", "", "withdrawn")
    assert client.get(f"/jobs/{over.slug}/").status_code == 410
    assert retention.reap()["ended postings"] == 0


def test_a_published_posting_stays_whole_when_its_pipeline_is_reaped(publish: Publish, client: Client) -> None:  # noqa: F811
    posting = publish()
    _age()
    assert retention.reap()["pipelines"] == 1
    posting.refresh_from_db()
    assert posting.description
    page = client.get(f"/jobs/{posting.slug}/")
    assert page.status_code == 200
    with pytest.raises(IntegrityError, match="posting_erased_only_when_ended"):
        Posting.objects.update(is_erased=True, sale={})


def test_a_young_end_is_kept(over: Posting) -> None:
    assert retention.reap()["ended postings"] == 0


def test_google_is_told_of_the_end_of_a_posting_whose_pipeline_is_reaped(publish: Publish, settings: Any) -> None:  # noqa: F811
    """Whether it was told of the beginning is erased by then."""
    publish()
    _age()
    retention.reap()
    settings.INDEXING_ENABLED = True
    Posting.objects.update(expires_at=timezone.now())
    (started,) = endings.expire_due()
    assert "indexing" in set(Step.objects.filter(pipeline=started.id).values_list("kind", flat=True))


def test_erasing_waits_for_the_end_of_what_is_public(publish: Publish, broker: Any) -> None:  # noqa: F811
    posting = publish()
    pipeline = Pipeline.objects.get(pk=posting.pipeline_id)
    email = pipeline.input["contact_email"]
    with pytest.raises(CommandError, match=f"{posting.pipeline_id} has published .*: withdraw it in the admin first"):
        call_command("erase", email=email)
    pipeline.refresh_from_db()
    assert pipeline.input["contact_email"] == email
    assert drain(endings.withdraw(posting, **WHY).id, broker) == "committed"
    call_command("erase", email=email)
    posting.refresh_from_db()
    assert (posting.description, posting.is_erased) == ("", True)
    assert not Pipeline.objects.filter(reaped_at=None).exists()


@pytest.mark.django_db(transaction=True)
def test_sessions_that_are_over_are_deleted() -> None:
    for name, days in (("old", -1), ("new", 1)):
        Session.objects.create(session_key=name, session_data="", expire_date=timezone.now() + timedelta(days=days))
    assert sessions.reap(HALF_A_YEAR) == {"sessions": 1}
    assert list(Session.objects.values_list("session_key", flat=True)) == ["new"]


def test_verify_finds_nothing_wrong_with_what_is_reaped(over: Posting) -> None:
    assert violations(settled=True) == []
    _age()
    assert retention.reap()["pipelines"] == 2
    assert violations(settled=True) == []
