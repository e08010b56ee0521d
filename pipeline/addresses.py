"""Email addresses that mail services take, in the form that is stored and the form that is sent.

An address has an ASCII local part without quotes, and a domain with a dot, which may be international. It is stored
as people write it, and sent with its domain as punycode (RFC 5891).
"""

from typing import Final

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

LONGEST: Final = 254  # characters, RFC 5321 with its erratum 1690


class BadAddress(ValueError):
    """No mail can be sent to this address. The text says why, in a sentence for the person who typed it."""


def normalised(address: str) -> str:
    """The address as it is stored: its domain in lower case. BadAddress if no mail service would take it."""
    return str(_checked(address).normalized)


def as_sent(address: str) -> str:
    """The address as it is sent, its domain as punycode. A bad one is returned as it is: the provider refuses it."""
    try:
        return str(_checked(address).ascii_email)
    except BadAddress:
        return address


def _checked(address: str) -> ValidatedEmail:
    if len(address) > LONGEST:  # before anything that takes longer for longer ones
        raise BadAddress(f"An email address has at most {LONGEST} characters.")
    if not address.rpartition("@")[0].isascii():
        raise BadAddress("Only ASCII letters can be sent before the @-sign: write the address without accents.")
    try:
        found = validate_email(address, check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError as error:
        raise BadAddress(str(error)) from error
    if len(found.ascii_email or "") > LONGEST:
        raise BadAddress(f"An email address has at most {LONGEST} characters, its domain as punycode included.")
    return found
