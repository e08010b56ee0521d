"""Telling the customer: a receipt, or "not published, not charged". Nothing can be unsent, so it comes last.

SendGrid has no idempotency key and cannot be asked. So "sending" is recorded first (the stored call); if the
outcome is unknown, its signed webhook settles it within a grace time; after that the mail is sent again: a
receipt may come twice, never not at all, unless its address is refused.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.template.loader import render_to_string

from pipeline.models import Inbox
from pipeline.states import Verb
from pipeline.workflow import Call, Run, Skip, Step, Unknown
from postings.prices import formatted
from postings.providers import mail

_ARRIVED = {"delivered", "open", "click"}
_ACCEPTED = _ARRIVED | {"processed", "deferred"}
_REFUSED = {"bounce", "dropped"}


class EmailStep(Step):
    """Render and check, send the receipt, or tell that nothing came of it."""

    name = "email"
    label = "Send the receipt"
    doing = "preparing the email"
    tells = True
    undo_pending = True
    provider = "sendgrid"
    offline: ClassVar[tuple[Verb, ...]] = (Verb.STAGE,)
    ends_with: ClassVar[str] = "receipt"  # the mail that its commit sends

    def stage(self, run: Run) -> None:
        """Render it as it will be sent: what does not render shows before anybody pays."""
        _rendered(run, self.ends_with, {"url": f"{settings.SITE_URL}/"})

    def commit(self, run: Run) -> dict[str, str] | Skip:
        """Send the receipt."""
        return self._tell(run, self.ends_with, {"url": run.of("posting").get("url", "")})

    def rollback(self, run: Run) -> dict[str, str] | Skip | None:
        """Tell that it was not published, and that nothing was charged or all was refunded."""
        if _knows_already(run):
            return None
        is_refunded = _is_refunded(run)
        reason = "" if is_refunded else (run.reason or {}).get("detail", "")
        return self._tell(run, "not_published", {"reason": reason, "is_refunded": is_refunded})

    def calls_provider(self, run: Run) -> bool:
        """A customer who cancelled is sent nothing."""
        return super().calls_provider(run) and not (run.verb == Verb.ROLLBACK and _knows_already(run))

    def _tell(self, run: Run, kind: str, context: Mapping[str, Any]) -> dict[str, str] | Skip:
        call = run.call("send", {"mail": _rendered(run, kind, context)})
        if not call.is_new:
            news = self._news(run)
            if news & _REFUSED and not news & _ARRIVED:
                return Skip("email_refused")  # a person is told by the news itself
            if news & _ACCEPTED:
                return {"told": kind}
            self._wait_for_news(run, call)
            call = run.renew("send")
        try:
            message_id = run.send(call, lambda call: mail.send(_numbered(call)))
        except Unknown as unknown:
            grace = settings.MAIL_GRACE
            raise Unknown(unknown.code, unknown.detail, retry_after=grace, outage=unknown.outage) from unknown
        return {"told": kind, "message_id": message_id}

    def _news(self, run: Run) -> set[str]:
        """What the webhook has told of this mail."""
        return set(
            Inbox.objects.filter(
                provider="sendgrid", pipeline_id=run.pipeline_id, data__step=run.step, data__verb=run.verb.value
            ).values_list("kind", flat=True)
        )

    def _wait_for_news(self, run: Run, call: Call) -> None:
        left = call.first_sent_at + settings.MAIL_GRACE - run.now
        if left.total_seconds() > 0:
            detail = "it may have been sent: waiting for its webhook"
            raise Unknown("awaiting_webhook", detail, retry_after=left, outage=False)


def _is_refunded(run: Run) -> bool:
    return bool(run.of("payment").get("refunded"))


def _knows_already(run: Run) -> bool:
    """A customer who cancelled before anything was charged needs no mail."""
    return run.is_cancelled and not _is_refunded(run)


def _rendered(run: Run, kind: str, context: Mapping[str, Any]) -> dict[str, Any]:
    plan = run.input["plan"]
    values = {
        "title": run.input["title"],
        "company": run.input["company_name"],
        "plan": plan["name"],
        "price": formatted(plan["amount"], plan["currency"]),
        "days": plan["duration_days"],
        "site": settings.SITE_URL,
        "reference": run.reference,
    } | dict(context)
    return mail.message(
        to=run.input["contact_email"],
        subject=render_to_string(f"postings/mail/{kind}_subject.txt", values),
        text=render_to_string(f"postings/mail/{kind}.txt", values),
        html=render_to_string(f"postings/mail/{kind}.html", values),
        category=kind,
        custom_args={"pipeline_id": run.reference, "step": run.step, "verb": run.verb.value},
    )


def _numbered(call: Call) -> dict[str, Any]:
    """The stored mail with the number of this sending, which its webhook events will carry."""
    body = dict(call.params["mail"])
    first = dict(body["personalizations"][0])
    first["custom_args"] = first["custom_args"] | {"sending": str(call.generation)}
    return body | {"personalizations": [first]}
