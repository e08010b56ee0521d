"""The board and one job's page: what the public sees. Nothing here names a pipeline or an object key."""

import uuid
from datetime import datetime
from typing import Final
from urllib.parse import quote

from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from pipeline.addresses import as_sent
from postings.descriptions import description_of
from postings.models import Posting, PostingState
from postings.structured_data import as_script, job_posting

PAGE_SIZE: Final = 20


@require_safe
def board(request: HttpRequest) -> HttpResponse:
    """Published postings that have not expired, newest first, in pages by the last one's time and id."""
    after = request.GET.get("older_than")
    postings = Posting.objects.filter(state=PostingState.PUBLISHED, expires_at__gt=Now()).defer(
        "description", "description_html"
    )
    if after is not None:
        postings = _older(postings, after)
    page = list(postings.order_by("-published_at", "-id")[: PAGE_SIZE + 1])
    has_more = len(page) > PAGE_SIZE
    page = page[:PAGE_SIZE]
    context = {
        "postings": page,
        "is_first": after is None,
        "older": _cursor(page[-1]) if has_more else None,
        "canonical": settings.SITE_URL + (request.get_full_path() if after is not None else reverse("postings:board")),
    }
    return render(request, "postings/board.html", context)


@require_safe
def job(request: HttpRequest, slug: str) -> HttpResponse:
    """One job with its structured data; 410 once it was withdrawn or has expired, 404 if it was never public."""
    posting = once_public(slug)
    if not is_open(posting):
        is_withdrawn = posting.state == PostingState.WITHDRAWN
        why = "It was withdrawn." if is_withdrawn else "Its time on the board has ended."
        gone = {"heading": "This job is no longer open", "text": why}
        return render(request, "postings/message_page.html", gone, status=410)
    url = settings.SITE_URL + reverse("postings:job", args=[slug])
    logo_url = settings.SITE_URL + reverse("postings:logo", args=[slug]) if posting.logo_key else ""
    description = description_of(posting)
    data = job_posting(posting, url=url, logo_url=logo_url, description=description)
    context = {
        "posting": posting,
        "canonical": url,
        "description": description,
        "mailto": f"mailto:{quote(as_sent(posting.apply_email), safe='@')}",
        "structured_data": as_script(data),
    }
    return render(request, "postings/job.html", context)


def once_public(slug: str) -> Posting:
    """The posting of this address; Http404 when it was never public."""
    return get_object_or_404(Posting.objects.exclude(state=PostingState.HIDDEN), slug=slug)


def is_open(posting: Posting) -> bool:
    """Whether it is published and has not expired."""
    if posting.state != PostingState.PUBLISHED or posting.expires_at is None:
        return False
    return posting.expires_at > timezone.now()


def _cursor(posting: Posting) -> str:
    """`20261121T081500123456-<id>`: where the next page begins. The posting's id is public."""
    assert posting.published_at is not None
    return f"{posting.published_at:%Y%m%dT%H%M%S%f}-{posting.id.hex}"


def _older(postings: QuerySet[Posting], cursor: str) -> QuerySet[Posting]:
    """Those after the cursor in the board's order; Http404 when it is none of ours."""
    time, _, posting_id = cursor.partition("-")
    try:
        at = datetime.strptime(f"{time}+0000", "%Y%m%dT%H%M%S%f%z")
        last = uuid.UUID(hex=posting_id)
    except ValueError as error:
        raise Http404("There is no such page of the board.") from error
    # The first condition is implied by the second; it is what the index is searched by.
    return postings.filter(Q(published_at__lt=at) | Q(published_at=at, id__lt=last), published_at__lte=at)
