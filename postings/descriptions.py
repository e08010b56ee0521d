"""Descriptions as HTML: rendered once, when the posting is staged, and stored with it."""

from typing import Final

from django.utils.safestring import SafeString, mark_safe

from postings import markdown
from postings.models import Posting

_BATCH: Final = 100  # postings whose texts are in memory together


def description_of(posting: Posting) -> SafeString:
    """Sanitised HTML: the stored one, unless another version of the renderer made it."""
    if posting.description_version == markdown.VERSION:
        return mark_safe(posting.description_html)  # noqa: S308  # nosec B308, B703 # cleaned when it was stored
    return markdown.rendered_or_plain(posting.description)


def render_again() -> int:
    """Store the HTML of each posting that another version of the renderer made; how many there were."""
    outdated = Posting.objects.exclude(description_version=markdown.VERSION).only("pk", "description")
    count = 0
    while batch := list(outdated.order_by("pk")[:_BATCH]):
        for posting in batch:
            html = markdown.rendered_or_plain(posting.description)
            # Not where the description was erased meanwhile.
            same = Posting.objects.filter(pk=posting.pk, description=posting.description)
            same.update(description_html=html, description_version=markdown.VERSION)
        count += len(batch)
    return count
