"""A published job's logo. It waits for object storage without holding a thread or a connection."""

import asyncio
import hashlib
from typing import Final

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import http_date, quote_etag
from django.views.decorators.http import require_safe

from pipeline.api.waiting import released
from pipeline.workflow import Refused, StepFailure
from postings.logo.room import MIB
from postings.logo.shelf import Crowded, Shelf
from postings.models import Posting
from postings.providers import storage
from postings.views.board import is_open, once_public

MAX_AGE: Final = 300  # seconds: a logo never changes, but its posting may be taken down
PATIENCE: Final = 3  # seconds for object storage, which answers in some milliseconds
RETRY: Final = 5  # seconds after which a browser may ask for a logo again
SHELF: Final = Shelf(lambda key: storage.read(key), readers=4, flights=64, size=16 * MIB)  # noqa: PLW0108 - read late


@require_safe
async def logo(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The PNG by the job's public address; 304 without asking the storage, 503 while it is away or crowded."""
    posting = await sync_to_async(released(_shown))(slug)
    assert posting.published_at is not None
    etag = quote_etag(hashlib.sha256(posting.logo_key.encode()).hexdigest()[:32])  # the key itself is nobody's business
    changed_at = int(posting.published_at.timestamp())
    headers = {
        "Cache-Control": f"public, max-age={MAX_AGE}",
        "ETag": etag,
        "Last-Modified": http_date(changed_at),
        "X-Content-Type-Options": "nosniff",
    }
    conditional = get_conditional_response(request, etag=etag, last_modified=changed_at)
    if conditional is not None:
        for name, value in headers.items():
            conditional[name] = value
        return conditional
    try:
        picture = await asyncio.wait_for(asyncio.wrap_future(SHELF.ask(posting.logo_key)), PATIENCE)
    except Refused as missing:
        raise Http404("This job has no logo.") from missing
    except (StepFailure, Crowded, TimeoutError):
        retry = {"Retry-After": str(RETRY), "Cache-Control": "no-store"}
        return HttpResponse("The logo is not available just now.", "text/plain", status=503, headers=retry)
    length = {"Content-Disposition": "inline", "Content-Length": str(len(picture))}
    return HttpResponse(picture, "image/png", headers=headers | length)


def _shown(slug: str) -> Posting:
    posting = once_public(slug)
    if not posting.logo_key or not is_open(posting):
        raise Http404("This job has no logo.")
    return posting
