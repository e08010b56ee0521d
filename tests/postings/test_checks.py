"""Settings that a shop needs are named before it opens: by an id, with the variable and the cure."""

import re
from pathlib import Path

import pytest
from django.core.checks import WARNING, run_checks

from postings import checks

SOUND = {
    "SANDBOX_URL": "",
    "DEMO": False,
    "STRIPE_SECRET_KEY": "sk_live_x",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_x",
    "STRIPE_WEBHOOK_SECRETS": ["whsec_x"],
    "SENDGRID_API_KEY": "SG.x",
    "SENDGRID_WEBHOOK_PUBLIC_KEY": "bm9ib2R5",
    "MAIL_FROM": "shop@shop.example.com",
    "OPERATOR_EMAIL": "people@shop.example.com",
    "S3_ACCESS_KEY_ID": "x",
    "S3_SECRET_ACCESS_KEY": "x",
    "SMS_ENABLED": False,
    "INDEXING_ENABLED": False,
    "RECAPTCHA_ENABLED": False,
}
WRONG = [
    ("postings.E001", {"SANDBOX_URL": "http://127.0.0.1:9900"}, "SANDBOX_URL"),
    ("postings.E002", {"DEMO": True}, "DEMO"),
    ("postings.E011", {"STRIPE_SECRET_KEY": ""}, "STRIPE_SECRET_KEY"),
    ("postings.E012", {"STRIPE_SECRET_KEY": "pk_live_x"}, "STRIPE_SECRET_KEY"),
    ("postings.E013", {"STRIPE_SECRET_KEY": "sk_test_x"}, "STRIPE_PUBLISHABLE_KEY"),
    ("postings.E013", {"STRIPE_PUBLISHABLE_KEY": "pk_test_x"}, "STRIPE_PUBLISHABLE_KEY"),
    ("postings.E014", {"STRIPE_PUBLISHABLE_KEY": "sk_live_x"}, "STRIPE_PUBLISHABLE_KEY"),
    ("postings.W015", {"STRIPE_WEBHOOK_SECRETS": []}, "STRIPE_WEBHOOK_SECRET"),
    ("postings.E021", {"SENDGRID_API_KEY": ""}, "SENDGRID_API_KEY"),
    ("postings.W022", {"SENDGRID_WEBHOOK_PUBLIC_KEY": ""}, "SENDGRID_WEBHOOK_PUBLIC_KEY"),
    ("postings.E023", {"SENDGRID_WEBHOOK_PUBLIC_KEY": "not base64"}, "SENDGRID_WEBHOOK_PUBLIC_KEY"),
    ("postings.E024", {"MAIL_FROM": "jobs@example.com"}, "MAIL_FROM"),
    ("postings.W025", {"OPERATOR_EMAIL": ""}, "OPERATOR_EMAIL"),
    ("postings.E102", {"MAIL_FROM": "Shop <shop@shop.example.com>"}, "MAIL_FROM"),
    ("postings.E102", {"OPERATOR_EMAIL": "people@localhost"}, "OPERATOR_EMAIL"),
    ("postings.E031", {"S3_SECRET_ACCESS_KEY": ""}, "AWS_SECRET_ACCESS_KEY"),
    ("postings.W032", {"S3_ACCESS_KEY_ID": "", "S3_SECRET_ACCESS_KEY": ""}, "AWS_ACCESS_KEY_ID"),
    ("postings.E041", {"SMS_ENABLED": True, "TWILIO_ACCOUNT_SID": "", "TWILIO_AUTH_TOKEN": "x"}, "TWILIO_ACCOUNT_SID"),
    ("postings.E041", {"INDEXING_ENABLED": True, "GOOGLE_INDEXING_CREDENTIALS": ""}, "GOOGLE_INDEXING_CREDENTIALS"),
    ("postings.E041", {"RECAPTCHA_ENABLED": True, "RECAPTCHA_SECRET": ""}, "RECAPTCHA_SECRET"),
    (
        "postings.E042",
        {
            "SMS_ENABLED": True,
            "TWILIO_ACCOUNT_SID": "x",
            "TWILIO_AUTH_TOKEN": "x",
            "TWILIO_FROM": "",
            "TWILIO_MESSAGING_SERVICE_SID": "",
        },
        "TWILIO_FROM",
    ),
]


@pytest.fixture
def deployed(settings, monkeypatch, tmp_path):
    """A shop whose settings are sound, on a machine that has no credentials of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in SOUND.items():
        setattr(settings, name, value)
    return settings


def found():
    """Errors and warnings. Notes depend on the machine that runs the tests."""
    messages = run_checks(include_deployment_checks=True)
    return [each for each in messages if each.id.startswith("postings.") and each.level >= WARNING]


def test_sound_settings_pass(deployed):
    assert found() == []


@pytest.mark.parametrize(("wanted", "changes", "variable"), WRONG)
def test_a_wrong_setting_is_named_with_its_cure(wanted, changes, variable, deployed):
    for name, value in changes.items():
        setattr(deployed, name, value)
    named = {each.id: each for each in found()}
    assert wanted in named
    assert variable in named[wanted].msg
    assert named[wanted].hint


def test_credentials_of_the_machine_are_taken(deployed, monkeypatch):
    deployed.S3_ACCESS_KEY_ID = deployed.S3_SECRET_ACCESS_KEY = ""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert found() == []


def test_every_id_is_tested():
    ids = set(re.findall(r"postings\.[EW]\d+", Path(checks.__file__).read_text()))
    assert ids == {wanted for wanted, _, _ in WRONG}
