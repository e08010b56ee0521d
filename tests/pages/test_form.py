import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.test import Client

from pipeline.api.acceptance import Busy, NotKnown, TooManyRefused
from pipeline.models import Attachment, Pipeline
from pipeline.start import TooManyOpen
from postings.logo import inspect, stored_form

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_runs(broker):
    """What is submitted stays as it was accepted."""


def value_of(page, name):
    return re.search(rf'name="{name}" value="([^"]*)"', page)[1]


def summary(response):
    block = re.search(r'<div class="summary".*?</div>', response.content.decode(), re.DOTALL)
    return re.sub(r"<[^>]*>", "", block[0]) if block else ""


def test_every_rendering_has_an_idempotency_key_of_its_own(client, plan):
    keys = {value_of(client.get("/post/").content.decode(), "idempotency_key") for _ in range(3)}
    assert len(keys) == 3


def test_a_submission_leads_to_its_progress_page(client, typed, png):
    answer = client.post("/post/", typed | {"logo": SimpleUploadedFile("logo.png", png)})
    pipeline = Pipeline.objects.get()
    assert answer.status_code == 303
    assert answer["Location"] == f"/pipelines/{pipeline.pk}/"
    assert bytes(Attachment.objects.get(pipeline=pipeline).content) == stored_form(inspect(png), 0)
    assert pipeline.key == typed["idempotency_key"]


def test_it_becomes_the_same_input_as_the_apis(client, typed):
    client.post("/post/", typed | {"remote": "on"})
    given = Pipeline.objects.get().input
    assert given["description"] == "Keep the light burning.\n\n- by day\n- by night"
    assert (given["salary_min"], given["salary_max"]) == (3850050, 4200000)
    assert (given["remote"], given["has_logo"]) == (True, False)
    assert given["plan"]["amount"] == 9900


@pytest.mark.parametrize(
    ("currency", "amount", "stored"),
    [("JPY", "5,000,000", 5000000), ("KWD", "1.5", 1500), ("EUR", "0.5", 50), ("EUR", "000000000000000005", 500)],
)
def test_a_salary_is_typed_in_major_units_of_its_currency(client, typed, currency, amount, stored):
    client.post("/post/", typed | {"salary_min": amount, "salary_max": "", "salary_currency": currency})
    assert Pipeline.objects.get().input["salary_min"] == stored


@pytest.mark.parametrize(
    "amount", ["about 50k", "52.000,50", "5e9", "1e999999999", "NaN", "Infinity", "1.005", "12345,678", "٣"]
)
def test_what_is_no_amount_is_refused_with_an_example_of_one(client, typed, amount):
    answer = client.post("/post/", typed | {"salary_min": amount})
    assert answer.status_code == 400
    assert "Write an amount such as 52000" in summary(answer)
    assert f'value="{amount}"' in answer.content.decode()


def test_a_salary_left_empty_is_none_whatever_currency_stands_there(client, typed):
    client.post("/post/", typed | {"salary_min": "", "salary_max": " "})
    given = Pipeline.objects.get().input
    assert (given["salary_min"], given["salary_currency"], given["salary_unit"]) == (None, "", "")


def test_a_double_click_makes_one_pipeline(client, typed):
    addresses = {client.post("/post/", typed)["Location"] for _ in range(2)}
    assert len(addresses) == 1
    assert Pipeline.objects.count() == 1


def test_errors_come_all_at_once_with_what_was_typed_and_the_same_key(client, typed):
    wrong = typed | {"title": "Hi", "description": "short", "country": "", "apply_email": "", "company_name": "<Q&A>"}
    answer = client.post("/post/", wrong)
    page = answer.content.decode()
    assert answer.status_code == 400
    for label in ("Title", "Description", "Country", "Address of your application page"):
        assert f"{label}: " in summary(answer)
    assert value_of(page, "idempotency_key") == typed["idempotency_key"]
    assert 'value="&lt;Q&amp;A&gt;"' in page
    assert re.search(r'<option value="pm_card_visa" selected', page)
    assert re.search(r'value="basic"[^>]*checked', page)
    assert not Pipeline.objects.exists()


def test_every_line_of_the_summary_leads_to_its_field(client, typed):
    page = client.post("/post/", {"idempotency_key": "form-empty-1"}).content.decode()
    targets = re.findall(r'<a href="#([^"]*)">', page.partition("</div>")[0] + page)
    assert len(targets) > 5
    for target in targets:
        assert f'id="{target}"' in page, target


def test_errors_are_told_to_assistive_technology(client, typed):
    page = client.post("/post/", typed | {"title": ""}).content.decode()
    field = re.search(r'<input[^>]*name="title"[^>]*>', page)[0]
    assert 'aria-invalid="true"' in field
    [described] = re.findall(r'aria-describedby="([^"]*)"', field)
    assert all(f'id="{part}"' in page for part in described.split())


def test_every_field_has_a_label(client, plan):
    page = client.get("/post/").content.decode()
    names = set(re.findall(r'<(?:input|select|textarea)[^>]* id="([^"]+)"', page)) - {"id_idempotency_key"}
    assert len(names) > 15
    for name in names:
        assert f'for="{name}"' in page, name


def test_a_file_has_to_be_chosen_again_and_the_page_says_so(client, typed, png):
    answer = client.post("/post/", typed | {"title": "", "logo": SimpleUploadedFile("logo.png", png)})
    assert "choose the file again" in summary(answer)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"<svg xmlns='x'></svg>", "SVG"), (b"just text", "PNG, JPEG"), (b"\x89PNG" + b"0" * 2_200_000, "2 MiB")],
)
def test_a_file_that_is_no_logo_is_refused_at_its_field(client, typed, content, words):
    answer = client.post("/post/", typed | {"logo": SimpleUploadedFile("logo.png", content)})
    assert answer.status_code == 400
    assert words in summary(answer)


def sent(client, typed, *logos):
    """As a browser sends the form: each logo as (file name, content)."""
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in typed.items()
    ]
    body = "".join(parts).encode()
    for name, content in logos:
        head = f'--x\r\nContent-Disposition: form-data; name="logo"; filename="{name}"\r\n'
        body += f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n"
    return client.post("/post/", body + b"--x--\r\n", content_type="multipart/form-data; boundary=x")


def test_a_form_whose_file_was_not_chosen_has_no_logo(client, typed):
    assert sent(client, typed, ("", b"")).status_code == 303
    assert Pipeline.objects.get().input["has_logo"] is False


@pytest.mark.parametrize("name", ["logo.png", ".", "/"])
def test_an_empty_file_is_refused_at_its_field(client, typed, name):
    answer = sent(client, typed, (name, b""))
    assert answer.status_code == 400
    assert "file is empty" in summary(answer)


def test_two_files_are_no_logo(client, typed, png):
    assert sent(client, typed, ("a.png", png), ("b.png", png)).status_code == 400
    assert not Pipeline.objects.exists()


def test_a_key_that_is_a_card_number_is_replaced(client, typed):
    assert client.post("/post/", typed | {"idempotency_key": "4242424242424242"}).status_code == 303
    assert Pipeline.objects.get().key.startswith("form-")


def test_what_is_far_too_long_is_not_shown_again(client, typed):
    answer = client.post("/post/", typed | {"title": "4 " * 50_000, "unknown": "4 " * 50_000})
    assert answer.status_code == 400
    assert len(answer.content) < 100_000


@pytest.mark.parametrize("name", ["title", "description", "payment_method", "location", "contact_phone"])
def test_a_card_number_is_refused_and_never_echoed(client, typed, name):
    answer = client.post("/post/", typed | {name: "4242 4242 4242 4242"})
    assert answer.status_code == 400
    assert "4242" not in answer.content.decode()
    assert "card number" in summary(answer)


def test_a_phone_number_is_no_card(client, typed):
    assert client.post("/post/", typed | {"contact_phone": "+4940123456789"}).status_code == 303


def test_a_form_sent_again_with_other_content_gets_a_new_key(client, typed):
    client.post("/post/", typed)
    changed = typed | {"title": "Deputy lighthouse keeper"}
    answer = client.post("/post/", changed)
    assert answer.status_code == 422
    page = answer.content.decode()
    key = value_of(page, "idempotency_key")
    assert key != typed["idempotency_key"]
    assert 'value="Deputy lighthouse keeper"' in page
    assert str(Pipeline.objects.get().pk) not in page  # the id is a capability: a guessed key does not give it
    assert client.post("/post/", changed | {"idempotency_key": key}).status_code == 303


@pytest.mark.parametrize("key", ["", "short", "x" * 256, "with blank s", "ümläut-key"])
def test_a_key_that_is_none_is_replaced(client, typed, key):
    assert client.post("/post/", typed | {"idempotency_key": key}).status_code == 303
    assert Pipeline.objects.get().key.startswith("form-")


def test_the_price_is_the_servers(client, typed):
    client.post("/post/", typed | {"price": "1", "amount": "1"})
    assert Pipeline.objects.get().input["plan"]["amount"] == 9900


def test_a_plan_that_is_not_on_sale_is_neither_offered_nor_taken(client, typed, plan):
    plan.is_on_sale = False
    plan.save()
    assert "Nothing is on sale" in client.get("/post/").content.decode()
    assert client.post("/post/", typed).status_code == 400
    assert not Pipeline.objects.exists()


def test_without_a_token_nothing_is_accepted(typed):
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/post/", typed).status_code == 403
    page = strict.get("/post/").content.decode()
    token = value_of(page, "csrfmiddlewaretoken")
    assert strict.post("/post/", typed | {"csrfmiddlewaretoken": token}).status_code == 303


def test_a_body_over_the_limit_is_refused_before_it_is_read(client, typed):
    answer = client.post("/post/", typed | {"logo": SimpleUploadedFile("logo.png", b"0" * 4_300_000)})
    assert answer.status_code == 413
    assert "4 MiB" in answer.content.decode()


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (TooManyOpen("There are 20 unfinished submissions already."), 429, "20 unfinished"),
        (TooManyRefused("Too many cards were refused.", timedelta(minutes=7)), 429, "cards"),
        (NotKnown("?"), 503, "accepted at most once"),
        (Busy("?"), 503, "accepted at most once"),
        (OperationalError("?"), 503, "accepted at most once"),
    ],
)
def test_what_cannot_be_accepted_now_keeps_what_was_typed(client, typed, monkeypatch, error, status, words):
    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr("postings.views.submit.accept", fail)
    answer = client.post("/post/", typed)
    page = answer.content.decode()
    assert answer.status_code == status
    assert int(answer["Retry-After"]) > 0
    assert words in summary(answer)
    assert 'value="Lighthouse keeper"' in page
    assert value_of(page, "idempotency_key") == typed["idempotency_key"]


def test_the_form_shares_the_apis_rate(client, typed, settings):
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"DEFAULT_THROTTLE_RATES": {"submit": "2/min"}}
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "rate"}}
    for _ in range(2):
        assert client.post("/post/", typed).status_code == 303
    answer = client.post("/post/", typed)
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert client.get("/post/").status_code == 200


def test_with_the_real_stripe_no_test_card_is_offered(client, plan, settings):
    settings.STRIPE_PUBLISHABLE_KEY = "pk_live_x"
    page = client.get("/post/").content.decode()
    assert "pm_card" not in page
    assert 'name="payment_method"' in page


def test_a_signed_in_customers_keys_are_their_own(client, typed, django_user_model):
    user = django_user_model.objects.create_user("customer")
    client.force_login(user)
    client.post("/post/", typed)
    assert Pipeline.objects.get().user == user
    assert Pipeline.objects.get().scope == f"user:{user.pk}"
