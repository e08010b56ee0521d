"""SendGrid as its SDK sees it."""

import pytest
from python_http_client import exceptions
from sendgrid.helpers.mail import Category, CustomArg, Mail


def body(**change):
    mail = {
        "personalizations": [{"to": [{"email": "customer@example.com"}]}],
        "from": {"email": "shop@example.com"},
        "subject": "Your receipt",
        "content": [{"type": "text/plain", "value": "Thanks"}, {"type": "text/html", "value": "<p>Thanks</p>"}],
        "categories": ["receipt"],
        "custom_args": {"pipeline_id": "pipeline-1"},
        **change,
    }
    return {name: value for name, value in mail.items() if value is not None}


def test_a_mail_is_accepted_with_its_message_id(sandbox):
    mail = Mail("shop@example.com", "customer@example.com", "Your receipt", "Thanks", "<p>Thanks</p>")
    mail.add_category(Category("receipt"))
    mail.add_custom_arg(CustomArg("pipeline_id", "pipeline-1"))
    answer = sandbox.sendgrid().send(mail)
    assert (answer.status_code, answer.body) == (202, b"")
    (entry,) = sandbox.ledger()
    assert (entry["provider"], entry["effect"]) == ("sendgrid", "email_accepted")
    assert entry["object_id"] == answer.headers["X-Message-Id"]
    assert (entry["reference"], entry["category"]) == ("pipeline-1", "receipt")
    (kept,) = sandbox.get("state")["mails"]
    assert (kept["to"], kept["subject"], kept["category"]) == (["customer@example.com"], "Your receipt", "receipt")
    assert (kept["html"], kept["text"], kept["reference"]) == ("<p>Thanks</p>", "Thanks", "pipeline-1")


def test_sandbox_mode_checks_and_sends_nothing(sandbox):
    answer = sandbox.sendgrid().send(body(mail_settings={"sandbox_mode": {"enable": True}}))
    assert (answer.status_code, "X-Message-Id" in answer.headers) == (200, False)
    assert sandbox.effects() == ["email_validated"]
    assert sandbox.ledger()[0]["reference"] == "pipeline-1"
    assert sandbox.get("state")["mails"] == []


def test_sandbox_mode_refuses_what_would_be_refused(sandbox):
    with pytest.raises(exceptions.BadRequestsError):
        sandbox.sendgrid().send(body(subject=None, mail_settings={"sandbox_mode": {"enable": True}}))


TO = "personalizations.0.to.0.email"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"personalizations": None}, "personalizations"),
        ({"personalizations": []}, "personalizations"),
        ({"personalizations": [{}]}, "personalizations.0.to"),
        ({"personalizations": [{"to": [{"email": "not an address"}]}]}, TO),
        ({"personalizations": [{"to": [{"email": "a@b"}]}]}, TO),
        ({"personalizations": [{"to": [{"email": "a@example.com\r\nbcc: x@example.com"}]}]}, TO),
        ({"personalizations": [{"to": [{"email": "a@example.com"}], "bcc": [{"email": "A@example.com"}]}]},
         "personalizations.0"),
        ({"personalizations": [{"to": [{"email": "a@example.com"}], "body": 1}]}, "personalizations.0.body"),
        ({"from": None}, "from.email"),
        ({"from": {"email": "shop"}}, "from.email"),
        ({"subject": None}, "subject"),
        ({"subject": ""}, "subject"),
        ({"content": None}, "content"),
        ({"content": [{"type": "text/plain", "value": ""}]}, "content.0.value"),
        ({"content": [{"type": "text/html", "value": "a"}, {"type": "text/plain", "value": "b"}]}, "content"),
        ({"categories": ["a"] * 2}, "categories"),
        ({"categories": [str(number) for number in range(11)]}, "categories"),
        ({"custom_args": {"pipeline_id": 7}}, "custom_args"),
        ({"custom_args": {"k": "v" * 10_000}}, "custom_args"),
        ({"send_at": 99_999_999_999}, "send_at"),
        ({"send_at": "tomorrow"}, "send_at"),
        ({"mail_settings": {"sandbox_mode": {"enable": "yes"}}}, "mail_settings.sandbox_mode.enable"),
        ({"colour": "red"}, "colour"),
    ],
)  # fmt: skip
def test_a_bad_mail_is_refused_by_field_and_has_no_effect(sandbox, change, field):
    with pytest.raises(exceptions.BadRequestsError) as refused:
        sandbox.sendgrid().send(body(**change))
    errors = refused.value.to_dict["errors"]
    assert [error["field"] for error in errors] == [field]
    assert set(errors[0]) == {"message", "field", "help"}
    assert sandbox.ledger() == []


def test_everything_wrong_is_named_at_once(sandbox):
    with pytest.raises(exceptions.BadRequestsError) as refused:
        sandbox.sendgrid().send(body(subject=None, **{"from": None}))
    assert [error["field"] for error in refused.value.to_dict["errors"]] == ["from.email", "subject"]


def test_what_is_not_json_is_refused(sandbox):
    headers = {"authorization": "Bearer SG.x", "content-type": "application/json"}
    assert sandbox.http.post("/sendgrid/v3/mail/send", content=b"{", headers=headers).status_code == 400
    headers["content-type"] = "text/plain"
    assert sandbox.http.post("/sendgrid/v3/mail/send", content=b"{}", headers=headers).status_code == 415


def test_without_a_key_the_answer_is_401(sandbox):
    answer = sandbox.http.post("/sendgrid/v3/mail/send", json=body())
    assert (answer.status_code, answer.json()["errors"][0]["message"].split()[0]) == (401, "Authorization")


def test_unknown_routes_are_sendgrids_404_and_405(sandbox):
    headers = {"authorization": "Bearer SG.x"}
    assert sandbox.http.get("/sendgrid/v3/nope", headers=headers).json()["errors"][0]["message"] == "not found"
    assert sandbox.http.get("/sendgrid/v3/mail/send", headers=headers).status_code == 405


def test_too_many_requests_are_worded_as_sendgrids(sandbox):
    sandbox.fault("sendgrid", "rate_limit", route="mail.send")
    with pytest.raises(exceptions.TooManyRequestsError) as limited:
        sandbox.sendgrid().send(body())
    assert limited.value.headers["X-RateLimit-Remaining"] == "0"
    assert int(limited.value.headers["X-RateLimit-Reset"]) > 1_700_000_000
    assert limited.value.to_dict["errors"][0]["message"] == "too many requests"
