"""System checks of the settings that the shop needs to take money, send mail and store logos.

They run with `manage.py check --deploy`, that of the addresses with every check. Each names the variable and the cure;
nothing is asked over the network.
"""

import base64
import binascii
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register  # noqa: A004 - Django's name for it

from pipeline.addresses import BadAddress, normalised
from postings.providers import storage

Apps = Sequence[AppConfig] | None

_MAIL_FROM_OF_THE_EXAMPLE: Final = "jobs@example.com"
# Settings that an optional part needs, by its switch.
_PARTS: Final = {
    "SMS_ENABLED": ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
    "INDEXING_ENABLED": ("GOOGLE_INDEXING_CREDENTIALS",),
    "RECAPTCHA_ENABLED": ("RECAPTCHA_SITE_KEY", "RECAPTCHA_SECRET"),
}


@register(deploy=True)
def check_stand_ins(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """A shop that takes money talks to real providers, with its limits on."""
    found: list[CheckMessage] = []
    if settings.SANDBOX_URL:
        message = "SANDBOX_URL is set: the local stand-ins are used, and nobody is charged."
        found.append(Error(message, hint="Unset SANDBOX_URL.", id="postings.E001"))
    if settings.DEMO:
        message = "DEMO is on: request rates and ceilings are off."
        found.append(Error(message, hint="Unset DEMO.", id="postings.E002"))
    return found


@register(deploy=True)
def check_python(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """A note, no warning: the limit of cookies (config/web/limits.py) bounds what the fault can cost."""
    if sys.version_info >= (3, 11, 10):
        return []
    message = "Python is older than 3.11.10: reading cookies takes quadratic time (CVE-2024-7592)."
    hint = "Install 3.11.10 or newer. Until then the server's limit of 4 KiB for cookies keeps it at 60 ms a request."
    return [Info(message, hint=hint, id="postings.I001")]


@register(deploy=True)
def check_stripe(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """The keys are there, of the right kind, and of one mode."""
    return list(_wrong_stripe())


@register(deploy=True)
def check_mail(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """SendGrid's keys, and both addresses."""
    return list(_wrong_mail())


@register(deploy=True)
def check_storage(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """Credentials for the bucket, from the settings or from where the SDK looks."""
    if bool(settings.S3_ACCESS_KEY_ID) != bool(settings.S3_SECRET_ACCESS_KEY):
        message = "Only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set."
        return [Error(message, hint="Set both, or neither.", id="postings.E031")]
    if storage.has_credentials():
        return []
    hint = (
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Where a machine's own role gives access, which cannot be "
        "seen without the network, set SILENCED_CHECKS=postings.W032."
    )
    message = "AWS_ACCESS_KEY_ID is empty, and no other credentials for S3 were found: logos cannot be stored."
    return [Warning(message, hint=hint, id="postings.W032")]


@register(deploy=True)
def check_optional_parts(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """Each part that is switched on has its keys."""
    found: list[CheckMessage] = [
        Error(f"{switch} is on and {name} is empty.", hint=f"Set {name}, or unset {switch}.", id="postings.E041")
        for switch, names in _PARTS.items()
        if getattr(settings, switch)
        for name in names
        if not getattr(settings, name)
    ]
    if settings.SMS_ENABLED and not (settings.TWILIO_FROM or settings.TWILIO_MESSAGING_SERVICE_SID):
        message = "SMS_ENABLED is on, and neither TWILIO_FROM nor TWILIO_MESSAGING_SERVICE_SID is set."
        found.append(Error(message, hint="Set one of the two, or unset SMS_ENABLED.", id="postings.E042"))
    return found


@register()
def check_addresses(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Addresses in the settings that the mail's provider would refuse."""
    return [
        Error(f"{name} is no address that can be mailed: {settings_value!r}.", hint=wrong, id="postings.E102")
        for name in ("MAIL_FROM", "OPERATOR_EMAIL")
        if (settings_value := getattr(settings, name)) and (wrong := _wrong_address(settings_value))
    ]


def _wrong_stripe() -> Iterator[CheckMessage]:
    secret, publishable = settings.STRIPE_SECRET_KEY, settings.STRIPE_PUBLISHABLE_KEY
    where = "Take it from Stripe's dashboard: Developers, API keys."
    if not secret:
        message = "STRIPE_SECRET_KEY is empty: postings would be accepted and never paid."
        yield Error(message, hint=where, id="postings.E011")
    elif not secret.startswith(("sk_", "rk_")):
        message = "STRIPE_SECRET_KEY is no secret key: those begin with sk_ or rk_."
        yield Error(message, hint=where, id="postings.E012")
    elif publishable and _is_live(secret) != _is_live(publishable):
        message = "STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY are of different modes: no card would work."
        yield Error(message, hint="Set both of test mode or both of live mode.", id="postings.E013")
    if publishable and not publishable.startswith("pk_"):
        message = "STRIPE_PUBLISHABLE_KEY is no publishable key: those begin with pk_."
        yield Error(message, hint=f"{where} A secret key there would be shown to everybody.", id="postings.E014")
    if not settings.STRIPE_WEBHOOK_SECRETS:
        message = "STRIPE_WEBHOOK_SECRET is empty: refunds and disputes at Stripe are noticed late, 3-D Secure slowly."
        hint = "Add an endpoint for SITE_URL/webhooks/stripe/ in Stripe's dashboard and set its signing secret."
        yield Warning(message, hint=hint, id="postings.W015")


def _wrong_mail() -> Iterator[CheckMessage]:
    if not settings.SENDGRID_API_KEY:
        message = "SENDGRID_API_KEY is empty: postings would be paid, and no receipt sent."
        yield Error(message, hint="Make a key with the permission Mail Send in SendGrid.", id="postings.E021")
    key = settings.SENDGRID_WEBHOOK_PUBLIC_KEY
    where = "Copy it from SendGrid: Settings, Mail Settings, Signed Event Webhook."
    if not key:
        message = "SENDGRID_WEBHOOK_PUBLIC_KEY is empty: mails that bounce are noticed by nobody."
        yield Warning(message, hint=where, id="postings.W022")
    elif not _is_base64(key):
        message = "SENDGRID_WEBHOOK_PUBLIC_KEY is no base64 text: every event would be taken for forged."
        yield Error(message, hint=where, id="postings.E023")
    if settings.MAIL_FROM == _MAIL_FROM_OF_THE_EXAMPLE:
        message = f"MAIL_FROM is {_MAIL_FROM_OF_THE_EXAMPLE}, which SendGrid refuses."
        yield Error(message, hint="Set it to a sender that SendGrid has verified.", id="postings.E024")
    if not settings.OPERATOR_EMAIL:
        message = "OPERATOR_EMAIL is empty: nobody is told of a pipeline that needs a person."
        yield Warning(message, hint="Set it to an address that people read.", id="postings.W025")


def _is_live(key: str) -> bool:
    return "_live_" in key


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except binascii.Error:
        return False


def _wrong_address(address: str) -> str:
    try:
        normalised(address)
    except BadAddress as bad:
        return str(bad)
    return ""
