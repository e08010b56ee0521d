"""Twilio's Messages: no idempotency, a list to look things up in, magic numbers for what goes wrong."""

from email.utils import parsedate_to_datetime

import pytest

ACCOUNT = "AC00000000000000000000000000000001"
MESSAGES = f"/twilio/2010-04-01/Accounts/{ACCOUNT}/Messages"
PIPELINE = "0199c1de-0000-7000-8000-00000000002a"


def get(sandbox, path=f"{MESSAGES}.json", **query):
    return sandbox.http.get(path, params=query or None, auth=(ACCOUNT, "token"))


def test_a_message_is_queued_and_then_delivered(sandbox):
    answer = sandbox.sms(Body="Your posting is online.")
    message = answer.json()
    assert (answer.status_code, message["status"], message["date_sent"], message["error_code"]) == (
        201,
        "queued",
        None,
        None,
    )
    assert (message["to"], message["from"]) == ("+4915112345678", "+15005550006")
    assert message["sid"].startswith("SM")
    sandbox.post("clock", {"seconds": 2})
    later = get(sandbox, f"/twilio{message['uri']}").json()
    assert (later["status"], later["body"]) == ("delivered", message["body"])
    assert parsedate_to_datetime(later["date_sent"]) > parsedate_to_datetime(later["date_created"])


def test_the_same_request_again_is_another_message(sandbox):
    sids = {sandbox.sms().json()["sid"] for _ in range(2)}
    assert sandbox.effects() == ["sms_sent", "sms_sent"]
    assert {entry["object_id"] for entry in sandbox.ledger()} == sids


@pytest.mark.parametrize(
    ("form", "reference"),
    [
        ({"StatusCallback": f"https://example.com/twilio?pipeline_id={PIPELINE}", "Body": "ref other-1"}, PIPELINE),
        ({"Body": f"Your posting is online: {PIPELINE.upper()}"}, PIPELINE),
        ({"Body": "Your posting is online (ref 00000002a)."}, "00000002a"),
        ({"Body": "We refer to nothing."}, None),
    ],
)
def test_the_reference_is_that_of_the_callback_else_of_the_text(sandbox, form, reference):
    sandbox.sms(**form)
    assert sandbox.ledger()[0]["reference"] == sandbox.get("state")["messages"][0]["reference"] == reference


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"To": "+15005550001"}, 21211),
        ({"To": "+15005550002"}, 21612),
        ({"To": "+15005550003"}, 21408),
        ({"To": "+15005550004"}, 21610),
        ({"To": "+15005550009"}, 21614),
        ({"From": "+15005550001"}, 21212),
        ({"From": "+15005550007"}, 21606),
        ({"From": "+15005550008"}, 21611),
        ({"To": "0151 2345"}, 21211),
        ({"From": "a name that is too long"}, 21212),
        ({"To": ""}, 21604),
        ({"From": ""}, 21603),
        ({"Body": ""}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"StatusCallback": "nowhere"}, 21609),
        ({"SendAt": "2030-01-01T00:00:00Z"}, 20001),
    ],
)
def test_what_twilio_refuses_has_its_code(sandbox, form, code):
    answer = sandbox.sms(**form)
    error = answer.json()
    assert (answer.status_code, error["code"], error["status"]) == (400, code, 400)
    assert error["more_info"].endswith(str(code))
    assert sandbox.ledger() == []


def test_a_messaging_service_or_a_name_may_send(sandbox):
    assert sandbox.sms(From="", MessagingServiceSid="MG1").json()["status"] == "accepted"
    assert sandbox.sms(From="Job Board").json()["from"] == "Job Board"


def test_messages_are_listed_newest_first_and_found_by_recipient(sandbox):
    for number in range(3):
        sandbox.sms(Body=f"message {number}")
    sandbox.sms(To="+4915100000000")
    found = get(sandbox, To="+4915112345678").json()
    assert [each["body"] for each in found["messages"]] == ["message 2", "message 1", "message 0"]
    assert (found["page"], found["page_size"], found["next_page_uri"]) == (0, 50, None)
    assert get(sandbox, From="+15005550007").json()["messages"] == []


def test_a_list_comes_in_pages(sandbox):
    for number in range(5):
        sandbox.sms(Body=f"message {number}")
    path, bodies = f"{MESSAGES}.json?PageSize=2", []
    while path is not None:
        page = get(sandbox, path).json()
        bodies.append([each["body"] for each in page["messages"]])
        path = page["next_page_uri"] and f"/twilio{page['next_page_uri']}"
        sandbox.sms(Body="in between")
    assert bodies == [["message 4", "message 3"], ["message 2", "message 1"], ["message 0"]]


def test_messages_are_found_by_the_day_they_were_sent(sandbox):
    sandbox.post("clock", {"now": "2040-01-01T12:00:00Z"})
    sandbox.sms()
    for query, count in (
        ({"DateSent": "2040-01-01"}, 1),
        ({"DateSent": "2040-01-02"}, 0),
        ({"DateSent>": "2040-01-01"}, 1),
        ({"DateSent>": "2040-01-02"}, 0),
        ({"DateSent<": "2040-01-01"}, 1),
        ({"DateSent<": "2039-12-31"}, 0),
        ({"DateSent>": "2040-01-01T11:59:00Z"}, 1),
        ({"DateSent>": "2040-01-01T12:30:00Z"}, 0),
    ):
        assert len(get(sandbox, **query).json()["messages"]) == count, query
    assert get(sandbox, DateSent="yesterday").status_code == 400


def test_a_message_that_is_not_there_is_a_404(sandbox):
    answer = get(sandbox, f"{MESSAGES}/SM0.json")
    assert (answer.status_code, answer.json()["code"]) == (404, 20404)
    assert get(sandbox, "/twilio/2010-04-01/Nope.json").json()["code"] == 20404


@pytest.mark.parametrize("user", [None, ("", ""), ("AC2", "token"), (ACCOUNT, "")])
def test_credentials_must_be_those_of_the_account(sandbox, user):
    answer = sandbox.http.get(f"{MESSAGES}.json", auth=user)
    assert (answer.status_code, answer.json()["code"]) == (401, 20003)


@pytest.mark.parametrize(("kind", "code"), [("rate_limit", 20429), ("conflict", 20409), ("error_before", 20500)])
def test_faults_are_worded_as_twilio_words_them(sandbox, kind, code):
    sandbox.fault("twilio", kind)
    assert sandbox.sms().json()["code"] == code


def test_long_texts_and_other_alphabets_take_more_segments(sandbox):
    texts = ("x" * 160, "x" * 161, "ж" * 70, "ж" * 71, "ж" * 135)
    assert [sandbox.sms(Body=text).json()["num_segments"] for text in texts] == ["1", "2", "1", "2", "3"]
