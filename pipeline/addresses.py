"""Email addresses that mail services take: what is stored and shown, and what is sent.

Taken is what the services of this field deliver to: an ASCII local part without quotes, a domain with a dot, which
may be international. It is stored as people write it and sent with its domain as punycode (RFC 5891).
"""

from typing import Final

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

LONGEST: Final = 254  # characters, RFC 5321 with its erratum 1690


class BadAddress(ValueError):
    """No address that a mail could be sent to. Its text says what is wrong, in a sentence for whoever typed it."""


def normalised(address: str) -> str:
    """The address as it is stored: its domain in lower case. BadAddress if no mail service would take it."""
    return str(_checked(address).normalized)


def as_sent(address: str) -> str:
    """The address as it is sent, its domain as punycode. What is no address stays: its provider says so."""
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
