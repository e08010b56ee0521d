"""No query on a hot or a human path reads a large table whole, nor walks along an index that leaves it large."""

import pytest
from django.test import Client

from config import metrics
from pipeline import attention, start_statements, statements, sweep_statements
from pipeline.db import Statement
from pipeline.start import find
from postings.news import whose

pytestmark = pytest.mark.django_db

STATEMENTS = {
    f"{module.__name__}.{name}": value
    for module in (start_statements, statements, sweep_statements)
    for name, value in vars(module).items()
    if isinstance(value, Statement)
}


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_a_statement_of_the_engine_reads_by_index(name, plan_of):
    found = plan_of(STATEMENTS[name])
    assert not found.walks()


ADMIN = "/admin/pipeline/pipeline/"
POSTINGS = "/admin/postings/posting/"


@pytest.mark.parametrize(
    "address",
    [
        ADMIN,
        f"{ADMIN}?p=2",
        f"{ADMIN}?state__exact=committed",
        f"{ADMIN}?state__exact=rolled_back",
        f"{ADMIN}?attention=yes",
        f"{ADMIN}?age=hour",
        f"{ADMIN}?age=unfinished-1d",
        f"{ADMIN}?workflow=ledger_order",
        f"{ADMIN}?workflow=unheard_of",
        f"{ADMIN}?q=crowd-7000",
        f"{ADMIN}?q=01900000-0000-7000-8000-000000001b58",
        POSTINGS,
        f"{POSTINGS}?state__exact=expired",
        f"{POSTINGS}?state__exact=withdrawn",
        f"{POSTINGS}?q=crowd-7000",
    ],
)
def test_a_page_of_the_admin_reads_by_index(address, staff, plans):
    with plans() as found:
        assert staff.get(address).status_code == 200
    assert found.asked
    assert not found.walks()


def test_the_admins_page_of_one_pipeline_reads_by_index(some, staff, plans):
    with plans() as found:
        assert staff.get(f"{ADMIN}{some.pk}/change/").status_code == 200
    assert not found.walks()


@pytest.mark.parametrize(
    "address",
    [
        "/api/v1/pipelines/{id}/",
        "/api/v1/pipelines/{id}/events/",
        "/api/v1/postings/",
        "/api/v1/postings/{id}/",
        "/pipelines/{id}/",
        "/jobs/crowd-700/",
        "/jobs/crowd-7000/",
        "/",
        "/healthz",
    ],
)
def test_what_the_public_asks_reads_by_index(address, some, plans):
    with plans() as found:
        assert Client().get(address.format(id=some.pk)).status_code in (200, 404, 410)
    assert not found.walks()


def test_numbers_for_operators_are_read_by_index(plans):
    with plans() as found:
        list(metrics.Pipelines().collect())
        attention.tell_untold()
    assert len(found.asked) >= 3
    assert not found.walks()


def test_a_providers_event_finds_its_pipeline_by_index(plans):
    with plans() as found:
        assert whose.of_intent("pi_7000") is not None
        assert whose.of_intent("pi_unheard_of") is None
        assert whose.step_of_message("unheard.of.filter0001.1") is None
    assert len(found.asked) == 4
    assert not found.walks()


def test_a_submissions_key_is_found_by_index(plans):
    with plans() as found:
        assert find("anonymous", "crowd-7000", ["x"]) is not None
    assert not found.walks()


def test_a_walk_is_seen(plans):
    from pipeline.models import Pipeline

    with plans() as found:
        list(Pipeline.objects.filter(fingerprint="y"))
        list(Pipeline.objects.filter(fingerprint="y").order_by("-created_at")[:10])
        list(Pipeline.objects.order_by("-created_at")[:10])
    assert len(found.walks()) == 2, "the newest ten are no walk"
