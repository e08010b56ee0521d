"""Whether a customer's address takes mail, by the last events of the mails that were sent to it."""

import uuid
from collections.abc import Sequence

from pipeline.models import Inbox
from pipeline.webhooks import text_at
from postings.news.last_word import FINAL, complaint, last_word
from postings.news.meaning import message
from postings.news.settling import word_of
from postings.operators import MAILS_STEP


def bad_news(pipelines: Sequence[uuid.UUID]) -> list[str]:
    """The faults of the address that these pipelines wrote to; acknowledged ones too."""
    rows = Inbox.objects.filter(pipeline_id__in=pipelines, provider="sendgrid", data__is__in=sorted(FINAL))
    told = [data for data in rows.order_by("pk").values_list("data", flat=True) if data["step"] != MAILS_STEP]
    words = [word_of(data | {"sending": f"{text_at(data, 'verb')}:{data['sending']}"}) for data in told]
    found = [word for word in (last_word(words), complaint(words)) if word is not None and message(word.kind).code]
    return [f"{message(word.kind).code}: {word.reason or message(word.kind).means}" for word in found]
