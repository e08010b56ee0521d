"""Who may do what: every address of the site, as the owner, another customer, nobody, and staff of three kinds.

A pipeline's unguessable id opens it for whoever holds it; nothing else does. A new address has to be entered here.
"""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from rest_framework.authtoken.models import Token

from pipeline import dispatch
from pipeline.models import Pipeline
from pipeline.start import start
from postings.models import Plan, Posting
from postings.workflow import PublishPosting
from tests.pipeline.conftest import Hand

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
ACTORS = ("nobody", "owner", "other", "staff", "viewer", "operator")


def everybody(status: int, **exceptions: int) -> dict[str, int]:
    return dict.fromkeys(ACTORS, status) | exceptions


LOGIN = everybody(302, staff=403, viewer=403, operator=403)  # of the admin: a login for all but staff
OF_VIEWERS = LOGIN | {"viewer": 200, "operator": 200}
OF_OPERATORS = LOGIN | {"operator": 200}
# Method and address: each actor's status.
MATRIX: dict[str, dict[str, int]] = {
    "GET /": everybody(200),
    "GET /post/": everybody(200),
    "GET /favicon.ico": everybody(302),
    "GET /jobs/{slug}/": everybody(200),
    "GET /jobs/{hidden}/": everybody(404),
    "GET /jobs/{slug}/logo": everybody(404),
    "GET /pipelines/{pipeline}/": everybody(200),
    "GET /pipelines/{unknown}/": everybody(404),
    "POST /pipelines/{pipeline}/cancel/": everybody(403),  # without the form's token
    "POST /pipelines/{pipeline}/sandbox-authenticate/": everybody(403),
    "GET /api/v1/pipelines/{pipeline}/": everybody(200),
    "GET /api/v1/pipelines/{unknown}/": everybody(404),
    "GET /api/v1/pipelines/{pipeline}/events/": everybody(200),
    "GET /api/v1/pipelines/{unknown}/events/": everybody(404),
    "GET /api/v1/pipelines/{unknown}/stream/": everybody(404),
    "POST /api/v1/pipelines/{ended}/cancel/": everybody(409),
    "POST /api/v1/pipelines/{unknown}/cancel/": everybody(404),
    "POST /api/v1/pipelines/{ended}/resume/": everybody(409),
    "GET /api/v1/pipelines/": everybody(404),  # there is no list
    "GET /api/v1/plans/": everybody(200),
    "GET /api/v1/postings/": everybody(200),
    "GET /api/v1/postings/{posting}/": everybody(200),
    "GET /api/v1/postings/{hidden_posting}/": everybody(404),
    "PATCH /api/v1/postings/{posting}/": everybody(405),
    "DELETE /api/v1/postings/{posting}/": everybody(405),
    "GET /api/v1/institutions/register/": everybody(405),
    "GET /api/v1/institutions/{unknown}/": everybody(404),
    "GET /api/v1/buyers/": everybody(200),
    "GET /api/v1/orders/": everybody(405),
    "GET /api/schema/": everybody(404, staff=200, viewer=200, operator=200),
    "GET /api/docs/": everybody(404, staff=200, viewer=200, operator=200),
    "POST /webhooks/stripe/": everybody(400),
    "POST /webhooks/sendgrid/": everybody(400),
    "POST /webhooks/twilio/": everybody(400),
    "GET /healthz": everybody(200),
    "GET /readyz": everybody(200),
    "GET /metrics": everybody(404),  # from outside
    "GET /admin/": everybody(302, staff=200, viewer=200, operator=200),
    "GET /admin/pipeline/pipeline/": OF_VIEWERS,
    "GET /admin/pipeline/pipeline/{pipeline}/change/": OF_VIEWERS,
    "POST /admin/pipeline/pipeline/{pipeline}/change/": everybody(302, staff=405, viewer=405, operator=405),
    "GET /admin/pipeline/pipeline/{pipeline}/operate/retry_now/": OF_OPERATORS,
    "POST /admin/pipeline/pipeline/{pipeline}/operate/roll_back/": OF_OPERATORS,  # asks for the reason
    "POST /admin/pipeline/pipeline/{ended}/operate/erase/": OF_OPERATORS,
    "GET /admin/pipeline/pipeline/add/": LOGIN,
    "GET /admin/pipeline/pipeline/{pipeline}/delete/": LOGIN,
    "GET /admin/postings/posting/": LOGIN,
    "GET /admin/postings/plan/add/": LOGIN,
    "GET /admin/auth/user/": LOGIN,
    "GET /admin/authtoken/tokenproxy/": LOGIN,
}
# Django's own, of which the matrix has examples.
OF_THE_ADMIN = "admin/"


@pytest.fixture
def things(broker: Any, django_user_model: Any) -> dict[str, str]:
    """Somebody's running and ended pipeline, a published and a hidden posting; addresses' parts by name."""
    owner = django_user_model.objects.create_user("owner")
    plan = Plan.objects.create(slug="basic", name="Basic", amount=100, duration_days=30)
    dispatch.use_sender(lambda jobs: None)
    given = {"contact_email": "owner@example.com", "has_logo": False}
    keys = ("key-of-running", "key-of-ended")
    running, ended = (start(PublishPosting, input=given, key=key, user=owner.pk, scope="x").id for key in keys)
    assert Hand(ended).cancel()
    Hand(ended).undo("payment", "email")
    posted = [_posting(plan, state, number) for number, state in enumerate(("published", "hidden"))]
    return {
        "pipeline": str(running),
        "ended": str(ended),
        "unknown": str(uuid.uuid4()),
        "slug": posted[0].slug,
        "hidden": posted[1].slug,
        "posting": str(posted[0].pk),
        "hidden_posting": str(posted[1].pk),
    }


def _posting(plan: Plan, state: str, number: int) -> Posting:

    dates = (
        {} if state == "hidden" else {"published_at": timezone.now(), "expires_at": timezone.now().replace(year=2099)}
    )
    texts = {"title": "Engineer", "company_name": "ACME", "description": "x" * 40, "country": "DE", "remote": True}
    apply = {"apply_url": "https://example.com/", "employment_type": "FULL_TIME"}
    return Posting.objects.create(
        pipeline_id=uuid.uuid4(), plan=plan, state=state, slug=f"job-{number}", **texts, **apply, **dates
    )


@pytest.fixture
def client_of(things: Any, staff: Any, django_user_model: Any) -> Any:
    """The browser or the token of each actor, seen from outside."""
    permissions = {"staff": (), "viewer": ("view_pipeline",), "operator": ("view_pipeline", "operate_pipeline")}

    def make(actor: str) -> Client:
        if actor in permissions:
            client = staff(*permissions[actor], name=actor)
        else:
            client = Client()
            if actor != "nobody":
                user, _ = django_user_model.objects.get_or_create(username=actor)
                Token.objects.get_or_create(user=user)
                client.force_login(user)
        client.defaults["REMOTE_ADDR"] = "203.0.113.5"
        client.handler.enforce_csrf_checks = False
        return client

    return make


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("actor", ACTORS)
def test_everybody_may_what_the_matrix_says(actor: str, things: Any, client_of: Any, settings: Any) -> None:
    settings.API_DOCS_PUBLIC = settings.METRICS_PUBLIC = False
    client = client_of(actor)
    found = {}
    for request in MATRIX:
        method, address = request.split(" ")
        client.handler.enforce_csrf_checks = "sandbox-authenticate" in request or request.endswith("pipeline}/cancel/")
        client.handler.enforce_csrf_checks &= not address.startswith("/api/")
        answer = client.generic(method, address.format(**things))
        found[request] = answer.status_code
        if answer.status_code == 302 and address.startswith("/admin/"):
            assert answer["Location"].startswith("/admin/login/")
    assert found == {request: statuses[actor] for request, statuses in MATRIX.items()}
    assert Pipeline.objects.get(pk=things["pipeline"]).state == "staging"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("actor", ACTORS[:3])
def test_whoever_holds_the_id_sees_the_same_and_nothing_personal(actor: str, things: Any, client_of: Any) -> None:
    seen = client_of(actor).get(f"/api/v1/pipelines/{things['pipeline']}/")
    assert seen.json() == client_of("owner").get(f"/api/v1/pipelines/{things['pipeline']}/").json()
    assert b"owner" not in seen.content


def test_every_address_stands_in_the_matrix() -> None:
    tested = {_shape(request.split(" ")[1]) for request in MATRIX}
    routes = {_shape("/" + route) for route in _routes(get_resolver()) if not route.startswith((OF_THE_ADMIN, "^api"))}
    assert routes <= tested, routes - tested


def _routes(resolver: Any, prefix: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern, route)
        elif isinstance(pattern, URLPattern):
            yield route


def _shape(address: str) -> str:
    """The same for a route and an address of it: every variable part is a star."""
    parts = ["*" if part[:1] in ("<", "{") else part for part in address.split("/")]
    return "/".join(parts)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "cookie", ['"' + "\\000" * 32 + '"', '"' + "\\000" * 9 + '"', '"' + "\\377" * 32 + '"', "x" * 4_000]
)
@pytest.mark.parametrize("address", ["/admin/", "/admin/login/", "/api/v1/postings/", "/post/"])
def test_a_session_cookie_that_django_cannot_have_made_is_no_session(cookie: str, address: str) -> None:
    """In a quoted cookie a backslash and three octal digits are any character, NUL among them."""
    answer = Client(headers={"Cookie": f"sessionid={cookie}"}).get(address)
    assert answer.status_code == (302 if address == "/admin/" else 200)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address", ["/api/docs/", "/api/schema/", "/api/v1/postings/", "/post/", "/healthz", "/admin/"]
)
@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND"])
def test_no_method_is_a_mistake_of_ours(method: str, address: str) -> None:
    assert Client().generic(method, address).status_code < 500
