"""Idempotency keys: one key, one pipeline, for ever."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections
from django.test import Client

from pipeline import transitions
from pipeline.models import Pipeline
from postings.models import Plan
from tests.api.conftest import APPS, NOTHING, picture, problem, rows, wrong

KEY = "a-key-of-mine"


def test_the_same_key_and_content_gives_the_same_pipeline(post, fields):
    first, second = post(fields, key=KEY), post(fields, key=KEY)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    assert "Idempotent-Replayed" not in first
    assert second["Idempotent-Replayed"] == "true"
    assert second["Location"] == first["Location"]
    assert rows()["Pipeline"] == 1


def test_the_same_key_with_other_content_is_422(post, fields):
    made = post(fields, key=KEY).json()
    body = problem(post(fields | {"title": "Another title"}, key=KEY), 422, "idempotency_key_reused")
    assert made["id"] not in str(body), "who does not know the content gets no capability"
    assert rows()["Pipeline"] == 1


@pytest.mark.parametrize(
    "change", [{"title": ""}, {"salary_min": "x"}, {"plan": "nonsense"}, {"logo": "%%"}, {"remote": [1]}]
)
def test_the_same_key_with_invalid_content_is_422_too(post, fields, change):
    post(fields, key=KEY)
    problem(post(fields | change, key=KEY), 422)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("abcdefgh", '"abcdefgh"'),
        ('abc"def\\gh', r'"abc\"def\\gh"'),
        ("a,b;c=d?0", '"a,b;c=d?0"'),
        ("k" * 255, '"' + "k" * 255 + '"'),
    ],
)
def test_quoted_and_bare_spell_the_same_key(post, fields, one, other):
    assert post(fields, key=one).json()["id"] == post(fields, key=other).json()["id"]


@pytest.mark.parametrize(
    "key",
    [
        "short",
        "k" * 256,
        "with blank",
        '"with blank"',
        '"unfinished',
        '"abcdefgh"x',
        '"abc\\defgh"',
        '"seven77"',
        "schlüssel-1",
        '""',
        "        ",
        "tab\tinside",
        "nul\x00inside",
    ],
)
def test_a_malformed_key_is_400(post, fields, key):
    problem(post(fields, key=key), 400)
    assert rows() == NOTHING


def test_a_400_leaves_the_key_free(post, fields):
    wrong(post(fields | {"title": ""}, key=KEY))
    assert post(fields, key=KEY).status_code == 202


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"remote": True},
        {"salary_min": 1, "salary_max": 2, "salary_currency": "EUR", "salary_unit": "YEAR"},
        {"description": "Line one is long enough for the rule.\n\nLine two."},
    ],
)
def test_json_and_form_are_the_same_content(post, fields, more):
    logo = picture()
    as_json = fields | more | {"logo": base64.b64encode(logo).decode()}
    as_form = {name: str(value) for name, value in (fields | more).items()}
    as_form["description"] = as_form["description"].replace("\n", "\r\n")  # as browsers send it
    as_form["logo"] = SimpleUploadedFile("logo.png", logo)
    made = post(as_json, key=KEY)
    again = post(as_form, key=KEY, form=True)
    assert again["Idempotent-Replayed"] == "true"
    assert again.json()["id"] == made.json()["id"]


@pytest.mark.parametrize(
    "change",
    [
        {"recaptcha_token": "another"},
        {"unknown": "field"},
        {"price": 5},
        {"company_website": None},
        {"company_website": ""},
        {"remote": False},
        {"title": "  Senior engineer "},
    ],
)
def test_what_does_not_count_makes_no_other_content(post, fields, change):
    post(fields | {"recaptcha_token": "one"}, key=KEY)
    assert post(fields | change, key=KEY)["Idempotent-Replayed"] == "true"


def test_the_logo_counts(post, fields):
    post(fields | {"logo": base64.b64encode(picture()).decode()}, key=KEY)
    problem(post(fields, key=KEY), 422)
    problem(post(fields | {"logo": base64.b64encode(picture((9, 9))).decode()}, key=KEY), 422)


def test_a_data_prefix_of_the_logo_does_not_count(post, fields):
    text = base64.b64encode(picture()).decode()
    post(fields | {"logo": text}, key=KEY)
    assert post(fields | {"logo": f"data:image/png;base64,{text}"}, key=KEY)["Idempotent-Replayed"] == "true"


def test_a_known_key_is_answered_even_if_it_would_be_refused_today(post, fields):
    post(fields, key=KEY)
    Plan.objects.update(is_on_sale=False)
    assert post(fields, key=KEY)["Idempotent-Replayed"] == "true"


def test_a_rotated_secret_key_turns_no_replay_into_422(post, fields, settings):
    post(fields, key=KEY)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another-secret-key" * 3
    assert post(fields, key=KEY)["Idempotent-Replayed"] == "true"


@pytest.mark.django_db(transaction=True, available_apps=APPS)
def test_fifty_at_once_make_one_pipeline(post, fields):
    start = threading.Barrier(50)

    def submit(_number):
        start.wait()
        try:
            return post(fields, key=KEY, client=Client())
        finally:
            connection.close()

    with ThreadPoolExecutor(50) as threads:
        responses = list(threads.map(submit, range(50)))
    assert {response.status_code for response in responses} == {202}
    assert len({response.json()["id"] for response in responses}) == 1
    assert sum("Idempotent-Replayed" not in response for response in responses) == 1
    assert rows() == {"Pipeline": 1, "Step": 4, "Event": 1, "Attachment": 0}


@pytest.mark.django_db(transaction=True, available_apps=APPS)
def test_fifty_at_once_with_two_contents_make_one_pipeline_and_422s(post, fields):
    start = threading.Barrier(20)

    def submit(number):
        start.wait()
        try:
            return post(fields | {"title": f"Title {number % 2}"}, key=KEY, client=Client()).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        statuses = list(threads.map(submit, range(20)))
    assert sorted(set(statuses)) == [202, 422]
    assert statuses.count(202) == 10
    assert rows()["Pipeline"] == 1


@pytest.mark.django_db(transaction=True, available_apps=APPS)
@pytest.mark.parametrize("is_committed", [True, False])
@pytest.mark.parametrize("ceiling", [0, 100], ids=["one statement", "a transaction"])
def test_a_lost_commit_is_looked_up_on_a_new_connection(post, fields, monkeypatch, settings, is_committed, ceiling):
    settings.PIPELINE = settings.PIPELINE | {"MAX_OPEN_PER_CLIENT": ceiling}
    lose = lose_commit if ceiling else lose_statement
    lose(monkeypatch, is_committed=is_committed)
    response = post(fields, key=KEY)
    if is_committed:
        assert response.status_code == 202
        assert "Idempotent-Replayed" not in response
    else:
        problem(response, 503, "unavailable")
        assert response["Retry-After"]
        assert post(fields, key=KEY).status_code == 202, "the same key is accepted afterwards"
    assert Pipeline.objects.count() == 1


def lose_statement(monkeypatch, *, is_committed):
    """The server ends this session just before the one statement, which commits by itself, or before its answer."""
    create = transitions.create
    lost = []

    def losing(submission):
        if not lost and is_committed:
            create(submission)
        if not lost:
            lost.append(True)
            end_session()
        return create(submission)

    monkeypatch.setattr(transitions, "create", losing)


def lose_commit(monkeypatch, *, is_committed):
    """The server ends this session at COMMIT: just before it, or between it and its answer."""
    wrapper = type(connections[DEFAULT_DB_ALIAS])
    commit = wrapper._commit
    lost = []

    def losing(self):
        if lost:
            return commit(self)
        lost.append(True)
        if is_committed:
            commit(self)
        end_session()
        if is_committed:
            raise OperationalError("server closed the connection unexpectedly")
        return commit(self)

    monkeypatch.setattr(wrapper, "_commit", losing)


def end_session():
    """As if the server had gone away from this process's connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 2000)", [backend])
    other.close()
