import re

import pytest
from django.urls import reverse

from pipeline import marks
from pipeline.models import Event, Pipeline

REASON = "The provider is back"
LIST = reverse("admin:pipeline_pipeline_changelist")

pytestmark = pytest.mark.django_db


def place(hand, operation):
    return reverse("admin:pipeline_pipeline_operate", args=[hand.pipeline, operation])


def page_of(hand):
    return reverse("admin:pipeline_pipeline_change", args=[hand.pipeline])


def told(hand):
    return [event.data for event in Event.objects.filter(pipeline=hand.pipeline, type="operator_action")]


def messages(response):
    return [str(message) for message in response.context["messages"]]


def failed(begin):
    hand = begin()
    hand.fail(hand.claim("logo"))
    return hand


def waiting(begin):
    hand = begin()
    hand.do("logo")
    hand.do("posting")
    hand.wait(hand.claim("payment"))
    return hand


def committing(begin):
    hand = begin()
    for step in ("logo", "posting", "payment", "email"):
        hand.do(step)
    return hand


def publishing(begin):
    """Paid for; the posting cannot be published."""
    hand = committing(begin)
    hand.do("payment", "commit")
    hand.fail(hand.claim("posting", "commit"), mark=True)
    return hand


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        (failed, {"retry_now", "roll_back"}),
        (waiting, {"resume", "roll_back"}),
        (committing, {"retry_now"}),
        (publishing, {"retry_now", "skip"}),
    ],
)
def test_a_page_offers_what_its_state_allows(begin, operator, state, offered):
    hand = state(begin)
    page = operator.get(page_of(hand)).content.decode()
    assert set(re.findall(r"/operate/(\w+)/", page)) == offered


@pytest.mark.parametrize(
    ("state", "operation", "action"),
    [(failed, "retry_now", "retry now"), (waiting, "resume", "resume"), (failed, "roll_back", "roll back")],
)
def test_an_action_is_done_and_stands_in_the_history_with_who_and_why(begin, operator, state, operation, action):
    hand = state(begin)
    answer = operator.post(place(hand, operation), {"reason": REASON}, follow=True)
    assert answer.redirect_chain[-1][0] == page_of(hand)
    assert told(hand) == [{"action": action, "by": "olga", "reason": REASON}]
    assert str(hand.pipeline) in messages(answer)[0]


def test_retry_now_publishes_the_job_at_once(begin, operator, broker):
    hand = failed(begin)
    broker.waiting.clear()
    operator.post(place(hand, "retry_now"), {"reason": REASON})
    assert [(message.jobs[0].step, message.jobs[0].verb) for message in broker.waiting] == [("logo", "stage")]


def test_roll_back_turns_the_pipeline_back(begin, operator):
    hand = waiting(begin)
    operator.post(place(hand, "roll_back"), {"reason": REASON})
    assert hand.row().state == "rolling_back"


def test_a_step_is_skipped(begin, operator):
    hand = publishing(begin)
    form = operator.get(place(hand, "skip")).content.decode()
    assert re.findall(r'<option value="(\w+)"', form) == ["posting"]
    operator.post(place(hand, "skip"), {"reason": REASON, "step": "posting"})
    assert hand.step("posting").state == "skipped"
    assert told(hand) == [{"action": "skip", "by": "olga", "reason": REASON, "step": "posting"}]


def test_what_an_ended_pipeline_holds_is_erased(begin, operator):
    hand = begin(input={"contact_email": "customer@example.com"})
    hand.cancel()
    assert hand.row().state == "rolled_back"
    page = page_of(hand)
    assert "customer@example.com" in operator.get(page).content.decode()
    operator.post(place(hand, "erase"), {"reason": REASON})
    assert hand.row().input == {}
    assert told(hand) == [{"action": "erase", "by": "olga", "reason": REASON}]
    shown = operator.get(page).content.decode()
    assert "customer@example.com" not in shown
    assert "its input, steps and history are gone" in shown
    assert place(hand, "erase") not in shown


def test_what_an_unfinished_one_holds_is_not_erased(begin, operator):
    hand = begin(input={"contact_email": "customer@example.com"})
    assert place(hand, "erase") not in operator.get(page_of(hand)).content.decode()
    answer = operator.post(place(hand, "erase"), {"reason": REASON}, follow=True)
    assert "cancel it first" in answer.content.decode()
    assert hand.row().input


def test_a_provider_s_bad_news_is_acknowledged(begin, operator):
    hand = begin()
    marks.attention(hand.pipeline, {"code": "disputed", "by": "stripe", "detail": "Answer it at Stripe."})
    page = operator.get(page_of(hand)).content.decode()
    assert "/operate/acknowledge/" in page
    assert "<strong>disputed</strong>: Answer it at Stripe." in page
    operator.post(place(hand, "acknowledge"), {"reason": REASON})
    assert hand.row().attention == 0
    assert told(hand) == [{"action": "acknowledge", "by": "olga", "reason": REASON}]
    assert "/operate/acknowledge/" not in operator.get(page_of(hand)).content.decode()
    assert "<strong>disputed</strong>" not in operator.get(page_of(hand)).content.decode()


def test_the_payment_is_never_skipped(begin, operator):
    hand = committing(begin)
    hand.fail(hand.claim("payment", "commit"))
    answer = operator.post(place(hand, "skip"), {"reason": REASON, "step": "payment"})
    assert answer.status_code == 200
    assert "Select a valid choice" in answer.content.decode()
    assert hand.step("payment").state == "committing"
    assert told(hand) == []


@pytest.mark.parametrize("reason", ["", "   ", "oops", "x" * 501])
def test_without_a_proper_reason_nothing_is_done(begin, operator, reason):
    hand = failed(begin)
    answer = operator.post(place(hand, "roll_back"), {"reason": reason})
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert hand.row().state == "staging"


def test_what_is_not_possible_is_told_with_the_pipeline_and_its_next_step(begin, operator):
    hand = publishing(begin)
    answer = operator.post(place(hand, "roll_back"), {"reason": REASON}, follow=True)
    [message] = messages(answer)
    assert str(hand.pipeline) in message
    assert "committing" in message
    assert "Attempt 2 of 'Posting'" in message
    assert hand.row().state == "committing"


def test_asking_does_nothing_yet(begin, operator):
    hand = failed(begin)
    assert operator.get(place(hand, "roll_back")).status_code == 200
    assert hand.row().state == "staging"
    assert told(hand) == []


def test_a_viewer_may_not_act(begin, viewer):
    hand = failed(begin)
    assert viewer.get(place(hand, "roll_back")).status_code == 403
    assert viewer.post(place(hand, "roll_back"), {"reason": REASON}).status_code == 403
    chosen = {"action": "roll_back", "apply": "yes", "reason": REASON, "_selected_action": [str(hand.pipeline)]}
    viewer.post(LIST, chosen)
    assert hand.row().state == "staging"


def test_permission_to_operate_alone_shows_nothing(begin, staff):
    hand = failed(begin)
    client = staff("operate_pipeline")
    assert client.get(place(hand, "roll_back")).status_code == 403


def test_an_unknown_operation_is_not_found(begin, operator):
    assert operator.get(place(begin(), "delete")).status_code == 404


def test_many_are_acted_on_with_one_reason(begin, operator):
    hands = [failed(begin), waiting(begin), publishing(begin)]
    chosen = {"action": "roll_back", "_selected_action": [str(hand.pipeline) for hand in hands]}
    asked = operator.post(LIST, chosen)
    assert "3 pipelines" in asked.content.decode()
    assert Pipeline.objects.filter(state="rolling_back").count() == 0
    answer = operator.post(LIST, chosen | {"apply": "yes", "reason": REASON}, follow=True)
    assert [hand.row().state for hand in hands] == ["rolling_back", "rolling_back", "committing"]
    done, refused = messages(answer)
    assert "2 pipelines" in done
    assert str(hands[2].pipeline) in refused


def test_too_many_at_once_are_refused(begin, operator, monkeypatch):
    monkeypatch.setattr("pipeline.admin.pipelines.AT_ONCE", 1)
    hands = [failed(begin), failed(begin)]
    chosen = {"action": "roll_back", "apply": "yes", "reason": REASON}
    answer = operator.post(LIST, chosen | {"_selected_action": [str(hand.pipeline) for hand in hands]}, follow=True)
    assert messages(answer) == ["Select at most 1 pipelines at once."]
    assert Pipeline.objects.filter(state="staging").count() == 2
