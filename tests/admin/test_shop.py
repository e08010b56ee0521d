import pytest
from django.urls import reverse

from pipeline.models import Inbox
from postings.models import Plan, Posting
from tests.pages.conftest import plan, publish  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db


@pytest.fixture
def seller(staff):
    return staff(
        "view_plan", "add_plan", "change_plan", "view_posting", "change_posting", "delete_posting", "view_pipeline"
    )


def test_a_plans_price_is_typed_in_the_minor_unit_and_shown_as_an_amount(seller, plan):  # noqa: F811
    address = reverse("admin:postings_plan_change", args=[plan.pk])
    assert "99.00 EUR" in seller.get(address).content.decode()
    changed = {"name": "Basic", "slug": "basic", "amount": "12950", "currency": "EUR", "duration_days": "30"}
    assert seller.post(address, changed | {"is_on_sale": "on"}).status_code == 302
    assert Plan.objects.get().amount == 12950
    assert "129.50 EUR" in seller.get(reverse("admin:postings_plan_changelist")).content.decode()


@pytest.mark.parametrize("wrong", [{"amount": "0"}, {"amount": "-5"}, {"currency": "euro"}, {"duration_days": "0"}])
def test_a_plan_that_cannot_be_is_refused_with_the_reason(seller, plan, wrong):  # noqa: F811
    fields = {"name": "Basic", "slug": "basic", "amount": "100", "currency": "EUR", "duration_days": "30"}
    answer = seller.post(reverse("admin:postings_plan_change", args=[plan.pk]), fields | wrong)
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()


def test_a_posting_is_looked_at_and_leads_to_its_page_and_its_pipeline(seller, publish):  # noqa: F811
    posting = publish(slug="keeper")
    page = seller.get(reverse("admin:postings_posting_change", args=[posting.pk])).content.decode()
    assert 'href="/jobs/keeper/"' in page
    assert f"/admin/pipeline/pipeline/{posting.pipeline_id}/change/" in page
    listed = seller.get(reverse("admin:postings_posting_changelist"), {"q": "keeper"}).content.decode()
    assert "1 posting" in listed


def test_a_posting_is_neither_changed_nor_deleted_by_hand(seller, publish):  # noqa: F811
    posting = publish()
    address = reverse("admin:postings_posting_change", args=[posting.pk])
    assert seller.post(address, {"title": "Other", "state": "hidden"}).status_code == 403
    assert seller.post(address.replace("change", "delete"), {"post": "yes"}).status_code == 403
    assert seller.get("/admin/postings/posting/add/").status_code == 403
    assert Posting.objects.get().title == posting.title


def test_a_customers_bad_address_is_shown_also_once_its_mark_is_acknowledged(seller, publish):  # noqa: F811
    posting = publish()
    address = reverse("admin:postings_posting_change", args=[posting.pk])
    assert "Nothing bad is known of it." in seller.get(address).content.decode()
    told = {"step": "email", "verb": "commit", "sending": "1", "is": "bounce", "at": 1, "reason": "550 unknown"}
    mail = {"provider": "sendgrid", "pipeline_id": posting.pipeline_id, "kind": "bounce"}
    Inbox.objects.create(event_id="1", data=told | {"step": "operator"}, **mail)
    assert "Nothing bad is known of it." in seller.get(address).content.decode()
    Inbox.objects.create(event_id="2", data=told, **mail)
    assert "Bad. mail_bounced: 550 unknown" in seller.get(address).content.decode()
    Inbox.objects.create(event_id="3", data=told | {"is": "delivered", "at": 2}, **mail)
    assert "Nothing bad is known of it." in seller.get(address).content.decode()
