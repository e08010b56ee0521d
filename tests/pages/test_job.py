import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

pytestmark = pytest.mark.django_db
EVIL = '</script><script>alert("1")</script><img src=x onerror=alert(2)>'


def structured(response):
    [block] = re.findall(r'<script type="application/ld\+json">(.*?)</script>', response.content.decode(), re.DOTALL)
    return json.loads(block)


def test_a_job_has_complete_structured_data(client, publish, settings):
    posting = publish(
        slug="keeper",
        title="Keeper",
        company_website="https://example.com/",
        salary_min=5200000,
        salary_max=6500050,
        salary_currency="EUR",
        salary_unit="YEAR",
        logo_key="logos/1f.png",
    )
    data = structured(client.get("/jobs/keeper/"))
    site = settings.SITE_URL
    assert data == {
        "@context": "https://schema.org/",
        "@type": "JobPosting",
        "title": "Keeper",
        "description": "<p>Somebody who likes <strong>pipelines</strong>.</p>\n",
        "identifier": {"@type": "PropertyValue", "name": "Harbour Works", "value": str(posting.id)},
        "url": f"{site}/jobs/keeper/",
        "datePosted": posting.published_at.isoformat(timespec="seconds"),
        "validThrough": posting.expires_at.isoformat(timespec="seconds"),
        "employmentType": "FULL_TIME",
        "hiringOrganization": {
            "@type": "Organization",
            "name": "Harbour Works",
            "sameAs": "https://example.com/",
            "logo": f"{site}/jobs/keeper/logo",
        },
        "directApply": False,
        "jobLocation": {
            "@type": "Place",
            "address": {"@type": "PostalAddress", "addressLocality": "Hamburg", "addressCountry": "DE"},
        },
        "baseSalary": {
            "@type": "MonetaryAmount",
            "currency": "EUR",
            "value": {"@type": "QuantitativeValue", "unitText": "YEAR", "minValue": 52000, "maxValue": 65000.5},
        },
    }


def test_a_remote_job_says_where_applicants_may_be(client, publish):
    data = structured(client.get(f"/jobs/{publish(location='', remote=True).slug}/"))
    assert data["jobLocationType"] == "TELECOMMUTE"
    assert data["applicantLocationRequirements"] == {"@type": "Country", "name": "Germany"}
    assert "jobLocation" not in data


@pytest.mark.parametrize(("currency", "amount", "number"), [("JPY", 5000000, 5000000), ("KWD", 1500, 1.5)])
def test_salaries_are_in_major_units_of_any_currency(client, publish, currency, amount, number):
    posting = publish(salary_min=amount, salary_currency=currency, salary_unit="MONTH")
    value = structured(client.get(f"/jobs/{posting.slug}/"))["baseSalary"]["value"]
    assert value == {"@type": "QuantitativeValue", "unitText": "MONTH", "value": number}


def test_no_field_breaks_out_of_the_page(client, publish):
    posting = publish(title=EVIL, company_name=EVIL, location=EVIL, description=EVIL * 2)
    page = client.get(f"/jobs/{posting.slug}/").content.decode()
    assert page.count("<script") == 1  # the structured data's own
    assert "<img src=x" not in page
    assert structured(client.get(f"/jobs/{posting.slug}/"))["title"] == EVIL
    board = client.get("/").content.decode()
    assert "<script" not in board
    assert "<img src=x" not in board


def test_the_page_names_its_one_address(client, publish, settings):
    posting = publish()
    page = client.get(f"/jobs/{posting.slug}/?utm_source=x").content.decode()
    assert f'<link rel="canonical" href="{settings.SITE_URL}/jobs/{posting.slug}/">' in page


def test_one_applies_by_link_or_by_mail(client, publish):
    by_link = publish(apply_email="", apply_url="https://example.com/apply?a=1&b=2")
    page = client.get(f"/jobs/{by_link.slug}/").content.decode()
    assert 'href="https://example.com/apply?a=1&amp;b=2" rel="nofollow noopener"' in page
    by_mail = publish(apply_email="o'neil+jobs&x@example.com")
    page = client.get(f"/jobs/{by_mail.slug}/").content.decode()
    assert 'href="mailto:o%27neil%2Bjobs%26x@example.com"' in page


def test_hidden_jobs_are_not_found_and_expired_ones_are_gone(client, publish):
    hidden = publish(state="hidden")
    expired = publish(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.get(f"/jobs/{hidden.slug}/").status_code == 404
    answer = client.get(f"/jobs/{expired.slug}/")
    assert answer.status_code == 410
    assert "no longer open" in answer.content.decode()
    assert client.get("/jobs/no-such-job/").status_code == 404


def test_public_pages_name_neither_the_pipeline_nor_the_object(client, publish):
    posting = publish(logo_key="logos/0123456789abcdef.png")
    for address in ("/", f"/jobs/{posting.slug}/"):
        page = client.get(address).content.decode()
        assert "0123456789abcdef" not in page
        assert str(posting.pipeline_id) not in page
        assert posting.pipeline_id.hex not in page


@pytest.mark.parametrize("address", ["/", "/post/", "/jobs/{}/"])
def test_the_pages_hold_the_content_security_policy(client, publish, address):
    answer = client.get(address.format(publish().slug))
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    page = answer.content.decode()
    inline = re.findall(r"<script(?![^>]*(?:src=|application/ld\+json))|\son\w+=|style=|javascript:", page)
    assert inline == []
