import re
from datetime import timedelta

import pytest
from django.contrib.staticfiles import finders
from django.utils import timezone

from postings.views import board

pytestmark = pytest.mark.django_db


def titles(response):
    return re.findall(r'<h2><a href="[^"]*">([^<]*)</a>', response.content.decode())


def test_an_empty_board_leads_to_the_form(client):
    page = client.get("/").content.decode()
    assert "no jobs here yet" in page
    assert 'href="/post/"' in page


def test_the_board_shows_what_is_published_and_not_expired_newest_first(client, publish):
    now = timezone.now()
    publish(title="Older", published_at=now - timedelta(days=3))
    publish(title="Newer", published_at=now - timedelta(hours=1))
    publish(title="Hidden", state="hidden")
    publish(title="Expired", expires_at=now - timedelta(seconds=1))
    assert titles(client.get("/")) == ["Newer", "Older"]


def test_a_line_of_the_board_has_company_place_salary_and_age(client, publish):
    publish(
        published_at=timezone.now() - timedelta(hours=3),
        salary_min=5200000,
        salary_max=6500050,
        salary_currency="EUR",
        salary_unit="YEAR",
        remote=True,
    )
    page = client.get("/").content.decode()
    for text in ("Harbour Works", "Hamburg, Germany, or remote", "52,000 to 65,000.50 EUR a year", "3\xa0hours ago"):
        assert text in page


def test_pages_follow_each_other_without_gap_or_repetition(client, publish, monkeypatch):
    monkeypatch.setattr(board, "PAGE_SIZE", 3)
    at_once = timezone.now() - timedelta(days=1)
    made = [publish(published_at=at_once).title for _ in range(7)]  # the same instant: the id decides
    seen = []
    address = "/"
    for _ in range(3):
        response = client.get(address)
        seen += titles(response)
        older = re.search(r'href="(\?older_than=[^"]*)"', response.content.decode())
        address = f"/{older[1]}" if older else ""
    assert address == ""
    assert sorted(seen) == sorted(made)


def test_a_page_after_the_last_one_is_kind(client, publish, monkeypatch):
    posting = publish()
    answer = client.get("/", {"older_than": board._cursor(posting)})
    assert answer.status_code == 200
    assert "no older jobs" in answer.content.decode()


@pytest.mark.parametrize("wrong", ["", "x", "20261121T000000000000-", "99999999T000000000000-00", "\x00", "-" * 5000])
def test_a_malformed_place_in_the_board_is_not_found(client, wrong):
    assert client.get("/", {"older_than": wrong}).status_code == 404


def test_the_board_takes_one_query_however_long_it_is(client, publish, django_assert_num_queries):
    for _ in range(12):
        publish()
    with django_assert_num_queries(1):
        client.get("/")


def test_a_browser_that_asks_for_an_icon_by_itself_gets_one(client):
    answer = client.get("/favicon.ico")
    assert (answer.status_code, answer.url) == (302, "/static/postings/icon.svg")
    assert finders.find("postings/icon.svg")
