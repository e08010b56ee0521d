"""An SMS beside the receipt, to customers who gave a phone number. Switched on by SMS_ENABLED.

Twilio has no idempotency key for messages. So the call is recorded first; if its outcome is unknown, Twilio's
list of messages to that number is asked for our mark in the text, when its callback comes and until the grace
time is over. What is not there then is sent again: it may come twice, never not at all, unless its number is
refused.
"""

from typing import Any, Final

from django.conf import settings

from pipeline.states import Verb
from pipeline.workflow import Run, Skip, Step, Unknown
from postings.providers import twilio

_TITLE: Final = 60  # characters of the title, so that the text stays within two segments


class SmsStep(Step):
    """Check, send; nothing is undone."""

    name = "sms"
    label = "Send the SMS"
    doing = "preparing the SMS"
    tells = True
    provider = "twilio"
    offline = (Verb.STAGE,)

    @classmethod
    def is_enabled(cls) -> bool:
        """By one setting."""
        return bool(settings.SMS_ENABLED)

    def stage(self, run: Run) -> Skip | None:
        """Without a phone number it is not needed. The number's form was checked with the submission."""
        return None if run.input["contact_phone"] else Skip("no phone number")

    def commit(self, run: Run) -> dict[str, Any]:
        """Send it, once as far as can be known."""
        to, mark = run.input["contact_phone"], _mark(run)
        call = run.call("send", twilio.message(to=to, text=_text(run, mark), reference=run.reference))
        if not call.is_new:
            if twilio.was_sent(to, mark):
                return {"told": mark}
            left = call.first_sent_at + settings.MAIL_GRACE - run.now
            if left.total_seconds() > 0:
                detail = "it may have been sent: asking again"
                raise Unknown("not_listed_yet", detail, retry_after=left, outage=False)
            call = run.renew("send")
        return {"told": mark, "message": run.send(call, lambda call: twilio.send(call.params))}


def _mark(run: Run) -> str:
    """Our reference in the text: the end of the pipeline's id, which is random and opens nothing."""
    return f"ref {run.pipeline_id.hex[-10:]}"


def _text(run: Run, mark: str) -> str:
    title = " ".join(run.input["title"].split())[:_TITLE]
    return f'Your posting "{title}" is online: {run.of("posting")["url"]} ({mark})'
