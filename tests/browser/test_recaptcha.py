"""reCAPTCHA in the form: a person passes the sandbox's, and the page's policy lets just that script in."""

import pytest

from config import csp
from pipeline.models import Pipeline
from tests.browser.test_submission import SEND, fill  # noqa: F401 - a fixture


@pytest.fixture
def switched_on(settings, outside):
    def with_version(number):
        settings.RECAPTCHA_ENABLED, settings.RECAPTCHA_VERSION = True, number
        settings.RECAPTCHA_SITE_KEY = settings.RECAPTCHA_SECRET = "sandbox"
        settings.RECAPTCHA_BASE = f"{outside.sandbox.url}/google"
        settings.CONTENT_SECURITY_POLICY = csp.policy(settings.RECAPTCHA_BASE, is_sandbox=True)

    return with_version


def test_who_ticks_version_2s_box_is_let_through(broker, switched_on, fill, scripted):  # noqa: F811
    switched_on(2)
    fill(scripted)
    scripted.click(SEND)
    scripted.wait_for("This was not submitted yet", ".summary")
    assert Pipeline.objects.count() == 0
    assert len(scripted.complaints()) == 1  # of the answer's status
    fill(scripted)
    scripted.click(".g-recaptcha input[type=checkbox]")
    scripted.click(SEND)
    scripted.wait_for("We are preparing your posting", "h1")
    assert scripted.complaints() == []


def test_version_3_asks_nobody(broker, switched_on, fill, scripted):  # noqa: F811
    switched_on(3)
    fill(scripted)
    scripted.click(SEND)
    scripted.wait_for("We are preparing your posting", "h1")
    assert Pipeline.objects.count() == 1
    assert scripted.complaints() == []


def test_without_scripts_the_form_says_what_it_needs(switched_on, fill, windows):  # noqa: F811
    switched_on(2)
    plain = windows["without JavaScript"]
    fill(plain)
    assert "needs JavaScript" in plain.text("form .note")


def test_no_other_script_is_let_in(switched_on, fill, scripted, outside):  # noqa: F811
    switched_on(2)
    fill(scripted)
    other = f"{outside.sandbox.url}/google/v3/urlNotifications/metadata?url=x"
    scripted.run("window.blocked = new Promise((tell) => addEventListener('securitypolicyviolation', tell))")
    scripted.run(f"document.head.append(Object.assign(document.createElement('script'), {{src: '{other}'}}))")
    assert scripted.run("return window.blocked.then((violation) => violation.blockedURI)") == other
