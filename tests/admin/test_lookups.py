"""A list of the admin answers to its own filters: no column that it does not show can be asked about."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

PAGES = sorted(admin.site._registry.values(), key=lambda page: page.model._meta.label)
LOOKUPS = ["", "__exact", "__startswith", "__icontains", "__gt", "__isnull", "__in", "__regex", "__has_key", "__year"]
OWN = {
    "pipeline.Pipeline": {"state__exact", "state__isnull", "workflow", "attention", "age"},
    "pipeline.Circuit": set(),
    "pipeline.Finding": {"state__exact", "state__isnull", "kind", "kind__isnull"},
    "postings.Plan": {"is_on_sale__exact", "is_on_sale__isnull"},
    "postings.Posting": {"state__exact", "state__isnull"},
    "auth.User": {
        *(f"is_{word}__{lookup}" for word in ("staff", "superuser", "active") for lookup in ("exact", "isnull")),
        "groups__id__exact",
        "groups__isnull",
    },
    "auth.Group": set(),
    "authtoken.TokenProxy": {"created__gte", "created__lt"},
}


def paths(model, depth=2):
    """Every column of the model and of what it is related to, as a lookup names it."""
    for field in model._meta.get_fields():
        yield field.name
        yield getattr(field, "attname", field.name)
        if depth and field.is_relation and field.related_model is not None:
            yield from (f"{field.name}__{path}" for path in paths(field.related_model, depth - 1))


def test_every_page_of_the_admin_is_looked_at_here():
    assert {page.model._meta.label for page in PAGES} == set(OWN)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.model._meta.label)
def test_a_list_takes_its_own_filters_and_no_other_lookup(page, rf, admin_user):
    request = rf.get("/")
    request.user = admin_user
    known = OWN[page.model._meta.label]
    tried = {path + lookup for path in paths(page.model) for lookup in LOOKUPS} | {"pk", "pk__in", "nonsense"}
    tried |= {f"{path}__contact_email__startswith" for path in paths(page.model, 1)}
    assert {lookup for lookup in tried | known if page.lookup_allowed(lookup, "a", request)} == known


@pytest.fixture
def boss(db):
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.model._meta.label)
def test_what_no_filter_reads_is_400_and_filters_answer(page, boss):
    address = reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist")
    for lookup in ("pk__startswith", f"{page.opts.pk.name}__regex", "user__password__startswith", "nonsense"):
        assert boss.get(address, {lookup: "a"}).status_code == 400, lookup
    for lookup in OWN[page.model._meta.label]:
        assert boss.get(address, {lookup: "1"}).status_code in (200, 302), lookup
    for parameter in ("o", "all", "p", "_facets", "_popup", "e"):
        assert boss.get(address, {parameter: "1"}).status_code in (200, 302), parameter


@pytest.mark.parametrize(
    ("name", "lookup"),
    [
        ("pipeline_pipeline", "input__contact_email__startswith"),
        ("pipeline_pipeline", "secrets__director_password__startswith"),
        ("pipeline_pipeline", "next_action__client_secret__startswith"),
        ("pipeline_pipeline", "steps__data__intent__startswith"),
        ("pipeline_pipeline", "user__password__startswith"),
        ("postings_posting", "pipeline_id__gt"),
        ("auth_user", "password__startswith"),
        ("auth_user", "auth_token__key__startswith"),
    ],
)
def test_no_secret_is_read_letter_by_letter(boss, name, lookup):
    assert boss.get(reverse(f"admin:{name}_changelist"), {lookup: "c"}).status_code == 400
