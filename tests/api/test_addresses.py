"""Email addresses: the mail's provider takes every address that a field takes, in the form in which it is sent."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from pipeline.addresses import BadAddress, as_sent, normalised
from pipeline.api.fields import Email
from postings.checks import check_addresses
from postings.providers import mail
from sandbox.providers.sendgrid.validation import complaints, is_address

REFUSED = (
    "me@localhost",
    "me@[127.0.0.1]",
    "me@[IPv6:::1]",
    "me@127.0.0.1",
    f"{'a' * 65}@example.com",
    f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 63}.example.com",
    '"quoted"@example.com',
    '"a b"@example.com',
    "me(comment)@example.com",
    "Me <me@example.com>",
    "me@example.com.",
    ".me@example.com",
    "me.@example.com",
    "m..e@example.com",
    "me@-example.com",
    "me@example-.com",
    "me@ex_ample.com",
    "me@example..com",
    f"me@{'a' * 64}.com",
    "me@example.123",
    "me@something.test",
    "me@something.invalid",
    "me@something.localhost",
    "me@printer.local",
    "j\u00f6rg@example.com",
    "me@xn--0.com",
    "me@@example.com",
    "@example.com",
    "me@",
    "me",
    "a@b@example.com",
    "me@exa mple.com",
    "me@example.com,you@example.com",
    "me@example.com\u200b",
    "m\u0435@example.com",
)
TAKEN = {
    "me@example.com": "me@example.com",
    "Me+Tag@EXAMPLE.com": "Me+Tag@example.com",
    "o'hara@example.co.uk": "o'hara@example.co.uk",
    "me@b\u00fccher.example": "me@xn--bcher-kva.example",
    "me@B\u00dcCHER.example": "me@xn--bcher-kva.example",
    "me@xn--bcher-kva.example": "me@xn--bcher-kva.example",
    "me@example\u3002com": "me@example.com",
    "me@\uff45xample.com": "me@example.com",
    "me@\u4f8b\u3048.jp": "me@xn--r8jz45g.jp",
    f"{'a' * 64}@example.com": f"{'a' * 64}@example.com",
}


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_cannot_be_mailed_is_refused_with_the_reason(address: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Email().run_validation(address)
    without_reason = Email.default_error_messages["invalid_email"].format(why="")
    assert len(str(refused.value.detail[0])) > len(without_reason)


@pytest.mark.parametrize(("address", "sent"), TAKEN.items())
def test_an_address_is_sent_as_the_provider_understands_it(address: str, sent: str) -> None:
    stored = Email().run_validation(address)
    assert as_sent(stored) == sent
    assert Email().run_validation(stored) == stored
    assert is_address(sent)


def body(address: str) -> dict[str, Any]:
    return mail.message(
        to=address, subject="Hello", text="Text", html="<p>Text</p>", category="receipt", custom_args={}
    )


def assert_provider_takes(address: str) -> None:
    try:
        stored = Email().run_validation(address)
    except ValidationError:
        return
    assert complaints(body(stored), 0.0) == [], stored


LETTERS = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=20)
# Texts close to addresses: the signs of their syntax, and others that look like them.
PIECES = st.sampled_from(
    [*"ab.-_+'\"()[]@ \t", "\u3002", "\uff0e", "\u00fc", "xn--", "\u200d", "1", "COM", "example", "a" * 63]
)


@given(st.emails())
def test_whatever_is_an_address_and_taken_can_be_sent(address: str) -> None:
    assert_provider_takes(address)


@given(st.builds("{}@{}.{}".format, LETTERS, LETTERS, LETTERS))
@example("me@a.b")
@example("me@ß.de")
def test_whatever_looks_like_an_address_and_is_taken_can_be_sent(address: str) -> None:
    assert_provider_takes(address)


@given(st.builds("{}@{}".format, st.lists(PIECES, max_size=8).map("".join), st.lists(PIECES, max_size=10).map("".join)))
def test_whatever_is_made_of_an_addresss_parts_and_is_taken_can_be_sent(address: str) -> None:
    assert_provider_takes(address)


@pytest.mark.parametrize("address", REFUSED)
def test_the_sandbox_refuses_what_cannot_be_mailed(address: str) -> None:
    """As strict as the real one, except for names that no resolver knows."""
    if not address.endswith((".test", ".invalid", ".localhost", ".local", "xn--0.com")):
        assert not is_address(address)


def test_an_address_of_the_settings_that_cannot_be_mailed_is_named(settings: Any) -> None:
    settings.MAIL_FROM, settings.OPERATOR_EMAIL = "jobs@localhost", "me@printer.local"
    assert [(each.id, each.msg.split()[0]) for each in check_addresses(None)] == [
        ("postings.E102", "MAIL_FROM"),
        ("postings.E102", "OPERATOR_EMAIL"),
    ]
    settings.MAIL_FROM, settings.OPERATOR_EMAIL = "jobs@b\u00fccher.example", ""
    assert check_addresses(None) == []
    assert body("me@example.com")["from"]["email"] == "jobs@xn--bcher-kva.example"


def test_what_is_no_address_stays_for_its_provider_to_refuse() -> None:
    assert as_sent("me@localhost") == "me@localhost"
    with pytest.raises(BadAddress):
        normalised("me@localhost")
    with pytest.raises(BadAddress):
        normalised("a" * 10_000_000)
