"""Whether a customer's address takes mail, by the last word of what was sent to it."""

import uuid
from collections.abc import Sequence

from pipeline.models import Inbox
from pipeline.webhooks import text_at
from postings.news.last_word import FINAL, complaint, last_word
from postings.news.meaning import message
from postings.news.settling import OPERATORS, word_of


def bad_news(pipelines: Sequence[uuid.UUID]) -> list[str]:
    """What is wrong with the address that these pipelines wrote to; acknowledged or not."""
    rows = Inbox.objects.filter(pipeline_id__in=pipelines, provider="sendgrid", data__is__in=sorted(FINAL))
    told = [data for data in rows.order_by("pk").values_list("data", flat=True) if data["step"] != OPERATORS]
    words = [word_of(data | {"sending": f"{text_at(data, 'verb')}:{data['sending']}"}) for data in told]
    found = [word for word in (last_word(words), complaint(words)) if word is not None and message(word.kind).code]
    return [f"{message(word.kind).code}: {word.reason or message(word.kind).means}" for word in found]
