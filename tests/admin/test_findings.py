"""Findings in the admin: read by viewers, acknowledged and resolved by operators, with a note."""

import uuid

import pytest
from django.utils import timezone

from pipeline.models import Finding

LIST = "/admin/pipeline/finding/"


@pytest.fixture
def finding(db):
    return Finding.objects.create(
        reconciler="x.Y",
        kind="payment_intent",
        object_id="pi_1",
        pipeline_id=uuid.uuid4(),
        state="open",
        why="Captured twice.",
        made_at=timezone.now(),
    )


@pytest.fixture
def judge(staff):
    return staff("view_finding", "operate_pipeline")


def _ask(client, finding, action, **more):
    return client.post(LIST, {"action": action, "_selected_action": [str(finding.pk)], **more}, follow=True)


def test_the_list_says_what_why_and_whose(judge, finding):
    page = judge.get(LIST).content.decode()
    for said in ("pi_1", "Captured twice.", f"/admin/pipeline/pipeline/{finding.pipeline_id}/change/", "Open"):
        assert said in page
    assert judge.get(LIST, {"q": str(finding.pipeline_id)}).content.decode().count("pi_1") >= 1
    assert "pi_1" not in judge.get(LIST, {"q": str(uuid.uuid4())}).content.decode()


@pytest.mark.parametrize(("action", "state"), [("acknowledge", "acknowledged"), ("resolve", "resolved")])
def test_an_operator_decides_with_a_note(judge, finding, action, state):
    asked = _ask(judge, finding, action).content.decode()
    assert "Captured twice." in asked
    assert Finding.objects.get().state == "open"
    assert "Please mend" in _ask(judge, finding, action, apply="yes", note="no").content.decode()
    done = _ask(judge, finding, action, apply="yes", note="Refunded in the dashboard").content.decode()
    assert "with your note" in done
    row = Finding.objects.get()
    assert (row.state, row.by, row.note) == (state, "olga", "Refunded in the dashboard")


@pytest.mark.parametrize(("action", "state"), [("resolve", "resolved"), ("acknowledge", "gone")])
def test_what_is_closed_says_so(judge, finding, action, state):
    Finding.objects.update(state=state, closed_at=timezone.now(), by="lars", note="Refunded")
    page = _ask(judge, finding, action, apply="yes", note="Refunded in the dashboard").content.decode()
    assert "This finding is closed" in page
    assert Finding.objects.get().by == "lars"


def test_what_is_gone_may_still_be_resolved(judge, finding):
    Finding.objects.update(state="gone", closed_at=timezone.now())
    assert "with your note" in _ask(judge, finding, "resolve", apply="yes", note="Refunded twice").content.decode()
    assert (Finding.objects.get().state, Finding.objects.get().by) == ("resolved", "olga")


def test_others_only_look_or_do_not(staff, viewer, finding):
    looker = staff("view_finding", name="lars")
    assert "pi_1" in looker.get(LIST).content.decode()
    _ask(looker, finding, "resolve", apply="yes", note="Refunded in the dashboard")
    assert Finding.objects.get().state == "open"
    assert viewer.get(LIST).status_code == 403
    for path in (f"{LIST}add/", f"{LIST}{finding.pk}/delete/"):
        assert looker.get(path).status_code == 403
    assert looker.post(f"{LIST}{finding.pk}/change/", {"state": "gone"}).status_code == 403
