"""What anybody may read: plans on sale, published postings."""

import re
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from postings.markdown import rendered
from postings.models import Plan, Posting, PostingState
from tests.api.conftest import problem

NOBODY = "0199f000-0000-7000-8000-000000000000"  # a well-formed id that no posting has

URL = "/api/v1/postings/"


@pytest.fixture
def publish(plan):
    """`publish()` puts a posting on the board; keyword arguments replace fields."""
    now = timezone.now()

    def make(number=0, **changed):
        given = {
            "pipeline_id": uuid.uuid4(),
            "slug": f"job-{uuid.uuid4().hex}",
            "state": PostingState.PUBLISHED,
            "title": f"Job {number}",
            "company_name": "Acme",
            "description": "Do **things**.",
            "employment_type": "FULL_TIME",
            "location": "Hamburg",
            "country": "DE",
            "apply_email": "jobs@example.com",
            "plan": plan,
            "logo_key": "logos/secret-key.png",
            "published_at": now - timedelta(minutes=number),
            "expires_at": now + timedelta(days=1),
        }
        return Posting.objects.create(**given | changed)

    return make


def test_plans_on_sale_are_listed_by_price(http, plan):
    Plan.objects.create(slug="cheap", name="Cheap", amount=900, currency="USD", duration_days=7)
    Plan.objects.create(slug="gone", name="Gone", amount=1, currency="USD", duration_days=7, is_on_sale=False)
    body = http.get("/api/v1/plans/").json()
    assert body == {
        "next": None,
        "previous": None,
        "results": [
            {"slug": "cheap", "name": "Cheap", "price": {"amount": 900, "currency": "USD"}, "duration_days": 7},
            {"slug": "basic", "name": "Basic", "price": {"amount": 4900, "currency": "EUR"}, "duration_days": 30},
        ],
    }


def test_a_published_posting_is_shown_without_its_pipeline_and_object_key(http, publish):
    posting = publish(salary_min=100, salary_currency="EUR", salary_unit="HOUR")
    body = http.get(URL).json()
    assert (body["next"], body["previous"], len(body["results"])) == (None, None, 1)
    shown = body["results"][0]
    assert shown == http.get(f"{URL}{posting.pk}/").json()
    assert shown["id"] == str(posting.pk)
    assert shown["url"] == f"http://testserver/jobs/{posting.slug}/"
    assert shown["salary"] == {"min": 100, "max": None, "currency": "EUR", "unit": "HOUR"}
    assert {"title", "company_name", "published_at", "expires_at"} <= set(shown)
    assert str(posting.pipeline_id) not in str(shown)
    assert "secret-key" not in str(shown)


def test_what_is_hidden_or_expired_is_not_there(http, publish):
    hidden = publish(state=PostingState.HIDDEN, published_at=None, expires_at=None)
    expired = publish(expires_at=timezone.now() - timedelta(seconds=1))
    assert http.get(URL).json()["results"] == []
    for posting in (hidden, expired):
        problem(http.get(f"{URL}{posting.pk}/"), 404, "not_found")


def test_postings_come_in_pages_newest_first(http, publish):
    same = timezone.now() - timedelta(days=1)
    for number in range(60):
        publish(number, **({"published_at": same} if number > 40 else {}))
    first = http.get(URL).json()
    second = http.get(first["next"]).json()
    assert (len(first["results"]), len(second["results"]), second["next"]) == (50, 10, None)
    ids = [posting["id"] for page in (first, second) for posting in page["results"]]
    assert len(set(ids)) == 60
    times = [posting["published_at"] for page in (first, second) for posting in page["results"]]
    assert times == sorted(times, reverse=True)
    assert http.get(second["previous"]).json() == first


@pytest.mark.parametrize("cursor", ["x", "2026-01-01_x", "_", f"2026-13-01T00:00:00Z_{NOBODY}", "%00"])
def test_a_cursor_that_is_none_is_400(http, db, cursor):
    problem(http.get(f"{URL}?after={cursor}"), 400, "invalid_cursor")


@pytest.mark.parametrize("id", ["x", "1", NOBODY])
def test_an_unknown_posting_is_404(http, db, id):
    problem(http.get(f"{URL}{id}/"), 404)


EVIL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "[a](data:text/html,<script>alert(1)</script>)",
    "[a]( java\nscript:alert(1))",
    "<a href='javascript:alert(1)'>a</a>",
    "![a](https://tracker.example/pixel.png)",
    "<svg onload=alert(1)>",
    "<iframe src=//evil.example></iframe>",
    '[a](https://x" onmouseover="alert(1))',
    "<style>body{display:none}</style>",
    "[a]: javascript:alert(1)\n\n[a]",
]


@pytest.mark.parametrize("text", EVIL)
def test_a_description_can_run_nothing(text):
    html = rendered(text)
    assert not [
        bad for bad in ("<script", "<img", "<svg", "<iframe", "<style", 'href="javascript', 'href="data') if bad in html
    ]
    assert not re.search(r"<[^>]*\son\w+=", html)


def test_a_description_may_be_formatted():
    html = rendered(
        "# Title\n\n**Bold** and [a link](https://example.com)\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    )
    assert "<h2>Title</h2>" in html, "the page has the one h1"
    assert "<strong>Bold</strong>" in html
    assert 'rel="nofollow noopener noreferrer ugc"' in html
    assert "<li>one</li>" in html
    assert "<td>1</td>" in html
