import re
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from pipeline import marks
from pipeline.models import Event, Pipeline, Step
from postings.providers import stripe

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def address(hand):
    return f"/pipelines/{hand.pipeline}/"


def headline(response):
    return re.search(r'<h1 id="headline">([^<]*)<', response.content.decode())[1]


def wait_for_customer(hand):
    hand.do("logo", skip=True)
    hand.do("posting")
    hand.wait(hand.claim("payment"))


def commit_all(hand):
    url = {"posting": {"id": "1", "url": "http://shop.test/jobs/engineer/"}}
    hand.do("logo", skip=True)
    for step in ("posting", "payment", "email"):
        hand.do(step)
    for step in ("payment", "posting"):
        hand.do(step, "commit")
    Pipeline.objects.filter(pk=hand.pipeline).update(result=url)
    hand.do("email", "commit", result=url)


def test_it_shows_state_message_bar_and_every_step(client, hand):
    hand.do("logo", skip=True)
    page = client.get(address(hand)).content.decode()
    assert "We are preparing your posting" in page
    assert re.search(r'<progress value="25" max="100"', page)
    for label in ("Upload the logo", "Save the posting", "Authorise the payment", "Send the receipt"):
        assert label in page
    assert "not needed" in page
    assert "Cancel this posting" in page


def test_a_failed_step_says_when_it_is_tried_again(client, hand):
    hand.fail(hand.claim("logo"))
    due = timezone.now() + timedelta(minutes=5)
    Step.objects.filter(pipeline=hand.pipeline, name="logo").update(due_at=due)
    assert f"next attempt at {due:%H:%M:%S}" in client.get(address(hand)).content.decode()


def test_a_mark_after_the_end_does_not_say_that_it_still_takes_time(client, hand):
    marks.attention(hand.pipeline, {"code": "x"})
    assert "This takes longer than it should" in client.get(address(hand)).content.decode()
    commit_all(hand)
    page = client.get(address(hand)).content.decode()
    assert "Something needs a look after the end" in page
    assert "takes longer" not in page


def test_committed_leads_to_the_posting_and_follows_no_more(client, hand):
    commit_all(hand)
    answer = client.get(address(hand))
    page = answer.content.decode()
    assert headline(answer) == "Your posting is published"
    assert 'href="http://shop.test/jobs/engineer/"' in page
    for follows in ("hx-trigger", "http-equiv", "<script", "Cancel this posting"):
        assert follows not in page


def test_refused_says_why_in_the_customers_words_and_offers_the_form(client, hand):
    hand.refuse(hand.claim("logo"))
    hand.undo("logo", "payment", "email")
    answer = client.get(address(hand))
    page = answer.content.decode()
    assert headline(answer) == "Not published, and not charged"
    assert "<strong>Refused</strong>" in page
    assert 'href="/post/"' in page
    assert "hx-trigger" not in page


def test_it_says_that_a_person_looks_into_it(client, hand):
    hand.fail(hand.claim("logo"), mark=True)
    assert "A person has been told" in client.get(address(hand)).content.decode()


def test_with_htmx_only_the_changing_part_comes_and_nothing_when_nothing_changed(client, hand):
    page = client.get(address(hand)).content.decode()
    [ask] = re.findall(r'hx-get="([^"]*)"', page)
    ask = ask.replace("&amp;", "&")
    assert client.get(ask, headers=HTMX).status_code == 204
    hand.do("logo", skip=True)
    changed = client.get(ask, headers=HTMX)
    assert changed.status_code == 200
    assert "<html" not in changed.content.decode()
    assert 'hx-swap-oob="innerHTML"' in changed.content.decode()


def test_asking_again_costs_one_query_while_nothing_changes(client, hand, django_assert_num_queries):
    ask = re.findall(r'hx-get="([^"]*)"', client.get(address(hand)).content.decode())[0].replace("&amp;", "&")
    with django_assert_num_queries(1):
        client.get(ask, headers=HTMX)


def test_a_look_costs_two_queries(client, hand, django_assert_num_queries):
    with django_assert_num_queries(2):
        client.get(address(hand))


def test_it_asks_less_often_the_longer_nothing_changes(client, hand):
    every = []
    for minutes in (0, 1, 5, 60):
        Pipeline.objects.filter(pk=hand.pipeline).update(updated_at=timezone.now() - timedelta(minutes=minutes))
        every += re.findall(r'hx-trigger="every (\d+)s"', client.get(address(hand)).content.decode())
    assert every == ["1", "2", "5", "15"]


def test_without_javascript_it_loads_itself_anew(client, hand):
    page = client.get(address(hand)).content.decode()
    assert '<noscript><meta http-equiv="refresh" content="1"></noscript>' in page


def test_its_address_is_told_to_nobody(client, hand):
    answer = client.get(address(hand))
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["Cache-Control"] == "no-store"
    assert "customer@example.com" not in answer.content.decode()


@pytest.mark.parametrize(
    "wrong", ["0199f000-0000-7000-8000-000000000000", "nonsense", "1" * 40, "00000000-0000-0000-0000-00000000000"]
)
def test_an_unknown_or_malformed_id_is_not_found_in_the_sites_look(client, wrong):
    answer = client.get(f"/pipelines/{wrong}/")
    assert answer.status_code == 404
    assert "site.css" in answer.content.decode()


# --- cancelling ----------------------------------------------------------------------------------------


def test_the_customer_cancels(client, hand):
    answer = client.post(f"{address(hand)}cancel/")
    assert (answer.status_code, answer["Location"]) == (303, address(hand))
    assert hand.row().is_cancelled


def test_cancelling_too_late_says_so(client, hand):
    commit_all(hand)
    answer = client.post(f"{address(hand)}cancel/", follow=True)
    assert hand.row().state == "committed"
    assert "decided already" in answer.content.decode()


def test_cancelling_wants_a_post_and_a_known_id(client, hand):
    assert client.get(f"{address(hand)}cancel/").status_code == 405
    assert client.post(f"/pipelines/{uuid.uuid4()}/cancel/").status_code == 404


def test_a_page_without_referrer_posts_its_forms_with_origin_null(hand):
    """As browsers do (Fetch, 3.2); a foreign origin, or no token, is refused."""
    browser = Client(enforce_csrf_checks=True)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]*)"', browser.get(address(hand)).content.decode())[1]
    post = f"{address(hand)}cancel/"
    assert browser.post(post, headers={"Origin": "null"}).status_code == 403
    sent = {"csrfmiddlewaretoken": token}
    assert browser.post(post, sent, headers={"Origin": "https://evil.example"}).status_code == 403
    assert not hand.row().is_cancelled
    assert browser.post(post, sent, headers={"Origin": "null"}).status_code == 303
    assert hand.row().is_cancelled


# --- the customer's confirmation ----------------------------------------------------------------------


def test_waiting_says_until_when_to_confirm_and_shows_no_secret(client, hand):
    wait_for_customer(hand)
    Pipeline.objects.filter(pk=hand.pipeline).update(
        next_action={"type": "confirm_payment", "client_secret": "pi_x_secret_y"}
    )
    page = client.get(address(hand)).content.decode()
    assert f"{hand.row().deadline_at:%H:%M} UTC" in page
    assert "pi_x_secret_y" not in page


def test_without_a_sandbox_nobody_plays_the_bank(client, hand, settings):
    settings.SANDBOX_URL = ""
    wait_for_customer(hand)
    assert "sandbox-authenticate" not in client.get(address(hand)).content.decode()
    assert client.post(f"{address(hand)}sandbox-authenticate/", {"outcome": "succeed"}).status_code == 404


@pytest.fixture
def challenged(outside, hand, settings):
    """A pipeline that waits for the cardholder of an intent in the sandbox."""
    settings.SANDBOX_URL = outside.sandbox.url
    params = {
        "amount": 9900,
        "currency": "eur",
        "capture_method": "manual",
        "confirm": True,
        "payment_method": "pm_card_authenticationRequired",
        "payment_method_types": ["card"],
    }
    intent = stripe._send(lambda client: client.v1.payment_intents.create(params))
    wait_for_customer(hand)
    Step.objects.filter(pipeline=hand.pipeline, name="payment").update(data={"intent": intent.id})
    return intent.id


@pytest.mark.parametrize(("outcome", "status"), [("succeed", "requires_capture"), ("fail", "requires_payment_method")])
def test_in_the_sandbox_the_customer_answers_the_bank(client, hand, challenged, outcome, status):
    page = client.get(address(hand)).content.decode()
    assert "Yes, it is me" in page
    answer = client.post(f"{address(hand)}sandbox-authenticate/", {"outcome": outcome})
    assert answer.status_code == 303
    assert stripe.retrieve(challenged).status == status
    assert Event.objects.filter(pipeline=hand.pipeline, type="hinted").count() == 1


def test_answering_twice_says_that_nobody_asks(client, hand, challenged):
    for _ in range(2):
        answer = client.post(f"{address(hand)}sandbox-authenticate/", {"outcome": "succeed"}, follow=True)
    assert "not waiting for it" in answer.content.decode()


def test_a_sandbox_that_is_away_is_no_server_error(client, hand, challenged, settings):
    settings.SANDBOX_URL = "http://127.0.0.1:9"
    answer = client.post(f"{address(hand)}sandbox-authenticate/", {"outcome": "succeed"}, follow=True)
    assert answer.status_code == 200
    assert "did not take your answer" in answer.content.decode()
