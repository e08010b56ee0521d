"""What SendGrid refuses in a mail, every fault of it at once. Source: the v3 mail/send reference."""

from __future__ import annotations

import re
from typing import Any

from sandbox.provider import Json
from sandbox.providers.sendgrid.errors import Complaint

# ASCII alone, without quotes or comments; a domain of two labels at least, the last one with a letter.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ADDRESS = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}")
LONGEST_ADDRESS = 254
LONGEST_SCHEDULE = 72 * 3_600  # seconds
CUSTOM_ARGS_BYTES = 10_000
FIELDS = frozenset(
    {
        "asm",
        "attachments",
        "batch_id",
        "categories",
        "content",
        "custom_args",
        "from",
        "headers",
        "ip_pool_name",
        "mail_settings",
        "personalizations",
        "reply_to",
        "reply_to_list",
        "sections",
        "send_at",
        "subject",
        "template_id",
        "tracking_settings",
    }
)
PERSONALIZATION_FIELDS = frozenset(
    {
        "bcc",
        "cc",
        "custom_args",
        "dynamic_template_data",
        "from",
        "headers",
        "send_at",
        "subject",
        "substitutions",
        "to",
    }
)


def complaints(mail: Any, now: float) -> list[Complaint]:
    """Everything that is wrong with the decoded body; empty when it may be sent."""
    if not isinstance(mail, dict):
        return [("Bad Request", None, None)]
    found: list[Complaint] = [
        (f"Additional property {name} is not allowed", name, None) for name in sorted(set(mail) - FIELDS)
    ]
    found += _personalizations(mail)
    found += _sender(mail)
    found += _subject(mail)
    found += _content(mail)
    found += _categories(mail)
    found += _custom_args(mail.get("custom_args"), "custom_args")
    found += _schedule(mail, now)
    found += _sandbox_mode(mail)
    return found


def is_address(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_ADDRESS and ADDRESS.fullmatch(value) is not None


def _personalizations(mail: Json) -> list[Complaint]:
    given = mail.get("personalizations")
    if not isinstance(given, list) or not given:
        message = "The personalizations field is required and must have at least one personalization."
        return [(message, "personalizations", "-Personalizations-Errors-")]
    if len(given) > 1000:
        return [("There is a limit of 1000 personalizations per request.", "personalizations", None)]
    found: list[Complaint] = []
    for number, each in enumerate(given):
        found += _personalization(each, f"personalizations.{number}")
    return found


def _personalization(given: Any, field: str) -> list[Complaint]:
    if not isinstance(given, dict):
        return [("Invalid type. Expected: object.", field, None)]
    found: list[Complaint] = [
        (f"Additional property {name} is not allowed", f"{field}.{name}", None)
        for name in sorted(set(given) - PERSONALIZATION_FIELDS)
    ]
    if not isinstance(given.get("to"), list) or not given["to"]:
        message = (
            "The to array is required for all personalization objects, and must have at least one email object with a "
            "valid email address."
        )
        return [*found, (message, f"{field}.to", "personalizations.to")]
    seen: set[str] = set()
    for kind in ("to", "cc", "bcc"):
        for number, each in enumerate(given.get(kind) or []):
            address = each.get("email") if isinstance(each, dict) else None
            if not is_address(address):
                found.append(
                    ("Does not contain a valid address.", f"{field}.{kind}.{number}.email", f"personalizations.{kind}")
                )
            elif str(address).lower() in seen:
                message = "Each email address in the personalization block should be unique between to, cc, and bcc."
                found.append((f"{message} We found the first duplicate instance of [{address}]", field, None))
            else:
                seen.add(str(address).lower())
    return found + _custom_args(given.get("custom_args"), f"{field}.custom_args")


def _sender(mail: Json) -> list[Complaint]:
    sender = mail.get("from")
    if not isinstance(sender, dict) or "email" not in sender:
        message = (
            "The from object must be provided for every email send. It is an object that requires the email parameter, "
            'but may also contain a name parameter.  e.g. {"email" : "example@example.com"}  or {"email" : '
            '"example@example.com", "name" : "Example Recipient"}.'
        )
        return [(message, "from.email", "from")]
    if not is_address(sender["email"]):
        return [("The from email does not contain a valid address.", "from.email", "from")]
    return []


def _subject(mail: Json) -> list[Complaint]:
    personal = mail.get("personalizations")
    blocks = personal if isinstance(personal, list) else []
    everywhere = bool(blocks) and all(isinstance(each, dict) and each.get("subject") for each in blocks)
    subject = mail.get("subject")
    if (isinstance(subject, str) and subject) or mail.get("template_id") or everywhere:
        return []
    message = (
        "The subject is required. You can get around this requirement if you use a template with a subject defined or "
        "if every personalization has a subject defined."
    )
    return [(message, "subject", "subject")]


def _content(mail: Json) -> list[Complaint]:
    content = mail.get("content")
    if not isinstance(content, list) or not content:
        if mail.get("template_id"):
            return []
        message = (
            "Unless a valid template_id is provided, the content parameter is required. There must be at least one "
            "defined content block. We typically suggest both text/plain and text/html blocks are included, but only "
            "one block is required."
        )
        return [(message, "content", "content")]
    found: list[Complaint] = []
    types = [each.get("type") if isinstance(each, dict) else None for each in content]
    for number, each in enumerate(content):
        if not isinstance(types[number], str) or not types[number]:
            found.append(("The content type is required.", f"content.{number}.type", "content.type"))
        elif not isinstance(each.get("value"), str) or not each["value"]:
            message = "The content value must be a string at least one character in length."
            found.append((message, f"content.{number}.value", "content.value"))
    order = [kind for kind in types if kind in ("text/plain", "text/html")]
    if order not in ([], ["text/plain"], ["text/html"], ["text/plain", "text/html"]) or types[: len(order)] != order:
        message = "If present, text/plain and text/html may only be provided once, in this order, before other content."
        found.append((message, "content", "content"))
    return found


def _categories(mail: Json) -> list[Complaint]:
    categories = mail.get("categories")
    if categories is None:
        return []
    if not isinstance(categories, list) or not all(isinstance(each, str) for each in categories):
        return [("The categories param must be an array of strings.", "categories", "categories")]
    if len(categories) > 10:
        return [("There is a limit of 10 categories per request.", "categories", "categories")]
    if len(set(categories)) < len(categories):
        return [("Each category in the categories array must be unique.", "categories", "categories")]
    if any(not each or len(each) > 255 for each in categories):
        return [("Category names are 1 to 255 characters long.", "categories", "categories")]
    return []


def _custom_args(given: Any, field: str) -> list[Complaint]:
    if given is None:
        return []
    if not isinstance(given, dict) or not all(isinstance(each, str) for each in given.values()):
        return [("The custom_args must be an object whose values are strings.", field, "custom_args")]
    if sum(len(name.encode()) + len(value.encode()) for name, value in given.items()) > CUSTOM_ARGS_BYTES:
        return [(f"The custom_args may not exceed {CUSTOM_ARGS_BYTES} bytes.", field, "custom_args")]
    return []


def _schedule(mail: Json, now: float) -> list[Complaint]:
    moment = mail.get("send_at")
    if moment is None:
        return []
    if isinstance(moment, bool) or not isinstance(moment, int):
        return [("The send_at param must be a unix timestamp.", "send_at", "send_at")]
    if moment > now + LONGEST_SCHEDULE:
        return [("Scheduling more than 72 hours in advance is forbidden.", "send_at", "send_at")]
    return []


def _sandbox_mode(mail: Json) -> list[Complaint]:
    settings = mail.get("mail_settings")
    if settings is None:
        return []
    if not isinstance(settings, dict):
        return [("The mail_settings must be an object.", "mail_settings", "mail_settings")]
    mode = settings.get("sandbox_mode")
    if mode is not None and (not isinstance(mode, dict) or not isinstance(mode.get("enable", False), bool)):
        field = "mail_settings.sandbox_mode.enable"
        return [("The sandbox_mode enable param must be a boolean.", field, "mail_settings.sandbox_mode")]
    return []
