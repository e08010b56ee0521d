import re

import pytest
from django.urls import reverse

from pipeline.models import Pipeline, Step
from pipeline.secrets import encrypt

pytestmark = pytest.mark.django_db


def address(hand):
    return reverse("admin:pipeline_pipeline_change", args=[hand.pipeline])


def text(response):
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


def test_it_shows_every_step_and_every_event(begin, viewer):
    hand = begin()
    hand.do("logo", data={"key": "logos/abc.png"})
    hand.fail(hand.claim("posting"))
    page = text(viewer.get(address(hand)))
    for word in ("Logo", "Posting", "Payment", "Email", "Staged", "Pending", "logos/abc.png", "pivot", "tells"):
        assert word in page
    for event in ("accepted", "staging_started", "staged", "attempt_failed"):
        assert event in page


def test_it_says_what_a_failed_job_waits_for_and_when_it_is_tried_again(begin, viewer):
    hand = begin()
    hand.fail(hand.claim("logo"))
    page = text(viewer.get(address(hand)))
    due = hand.step("logo").due_at
    assert f"Attempt 2 of &#x27;Logo&#x27; at {due:%H:%M:%S}" in page


def test_it_says_which_process_works_on_a_job_and_when_its_lease_ends(begin, viewer):
    hand = begin()
    hand.claim("logo")
    page = text(viewer.get(address(hand)))
    assert "process 1 works on attempt 1" in page
    assert f"if it hangs at {hand.step('logo').lease_until:%H:%M:%S}" in page


def test_it_says_until_when_the_customer_is_waited_for(begin, viewer):
    hand = begin()
    hand.do("logo")
    hand.do("posting")
    hand.wait(hand.claim("payment"))
    page = text(viewer.get(address(hand)))
    assert "Waiting for the customer" in page
    assert f"until {hand.row().deadline_at:%H:%M:%S}" in page


def test_it_says_that_staging_is_paused(begin, viewer, settings):
    hand = begin()
    settings.PIPELINE = settings.PIPELINE | {"PAUSE_STAGING": True}
    assert "PAUSE_STAGING" in text(viewer.get(address(hand)))


def test_it_says_that_this_process_does_not_know_the_workflow(begin, viewer):
    hand = begin()
    Pipeline.objects.filter(pk=hand.pipeline).update(workflow="of_tomorrow", version=9)
    page = text(viewer.get(address(hand)))
    assert "a worker that knows of_tomorrow version 9" in page


def test_secrets_are_on_no_page(begin, operator):
    hand = begin(secrets={"password": "hunter2-password"})
    hand.do("logo", data={"api_token": "tok_visible", "nested": [{"client_secret": "cs_visible"}]})
    Step.objects.filter(pipeline=hand.pipeline, name="logo").update(
        calls={"stage.put": {"params": {"to": "someone@example.com"}, "generation": 1, "first_sent_at": "2026-11-21"}}
    )
    page = operator.get(address(hand)).content.decode()
    stored = hand.row().secrets["password"]
    assert stored
    for secret in ("hunter2", stored, "tok_visible", "cs_visible", "someone@example.com", encrypt("x")[:8] + "gAAA"):
        assert secret not in page
    assert "(not shown)" in page


def test_what_the_customer_typed_is_shown_to_operators_alone(begin, viewer, operator):
    hand = begin(input={"contact_email": "customer@example.com"})
    assert "customer@example.com" not in viewer.get(address(hand)).content.decode()
    assert "customer@example.com" in operator.get(address(hand)).content.decode()


def test_a_viewer_is_offered_no_action(begin, viewer):
    hand = begin()
    page = viewer.get(address(hand)).content.decode()
    assert "/operate/" not in page
    assert "operate pipelines" in page


@pytest.mark.parametrize("wrong", ["0199f000-0000-7000-8000-000000000000", "nonsense", "1"])
def test_an_unknown_or_malformed_id_is_not_found(viewer, wrong):
    assert viewer.get(f"/admin/pipeline/pipeline/{wrong}/change/").status_code == 404


def test_nothing_can_be_added_changed_or_deleted_by_hand(begin, staff):
    hand = begin()
    client = staff("view_pipeline", "operate_pipeline", "change_pipeline", "add_pipeline", "delete_pipeline")
    before = Pipeline.objects.values().get(pk=hand.pipeline)
    assert client.post(address(hand), {"state": "committed"}).status_code == 405
    assert client.get("/admin/pipeline/pipeline/add/").status_code == 403
    assert client.post(f"/admin/pipeline/pipeline/{hand.pipeline}/delete/", {"post": "yes"}).status_code == 403
    assert Pipeline.objects.values().get(pk=hand.pipeline) == before


def test_an_anonymous_visitor_is_sent_to_the_login(begin, client):
    answer = client.get(address(begin()))
    assert answer.status_code == 302
    assert "/admin/login/" in answer["Location"]
