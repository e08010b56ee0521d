"""What a request costs at the database, counted where psycopg sends: BEGIN and COMMIT too."""

import pytest
from django.contrib.auth.models import User
from psycopg._connection_base import BaseConnection
from psycopg._cursor_base import BaseCursor
from rest_framework.authtoken.models import Token

from pipeline.api.accept import AcceptView
from pipeline.api.acceptance import Acceptance, Valid
from pipeline.testing import throwaway
from tests.api.conftest import APPS

pytestmark = pytest.mark.django_db(transaction=True, available_apps=APPS)


@pytest.fixture
def sent(monkeypatch):
    """Every statement that was sent, in order."""
    statements = []
    execute, command = BaseCursor._execute_gen, BaseConnection._exec_command

    def counted_execute(self, query, *args, **options):
        statements.append(str(query))
        return execute(self, query, *args, **options)

    def counted_command(self, query, *args, **options):
        statements.append(str(query))
        return command(self, query, *args, **options)

    monkeypatch.setattr(BaseCursor, "_execute_gen", counted_execute)
    monkeypatch.setattr(BaseConnection, "_exec_command", counted_command)
    return statements


def test_accepting_is_at_most_ten_statements_with_every_ceiling_on(post, fields, settings, sent):
    settings.PIPELINE = settings.PIPELINE | {"MAX_OPEN_PER_CLIENT": 100}
    settings.MAX_REFUSED_CARDS_PER_HOUR = 100
    token = Token.objects.create(user=User.objects.create_user("ann")).key
    sent.clear()
    assert post(fields, Authorization=f"Token {token}").status_code == 202
    assert len(sent) <= 10, sent
    assert [statement for statement in sent if statement.startswith(("b'BEGIN", "b'COMMIT"))] == [
        "b'BEGIN'",
        "b'COMMIT'",
    ]


def test_a_replay_is_two_statements(post, fields, sent):
    post(fields, key="a-key-of-mine")
    sent.clear()
    assert post(fields, key="a-key-of-mine").status_code == 202
    assert len(sent) == 2, sent


def test_a_poll_is_at_most_two_statements(post, fields, http, sent):
    address = post(fields)["Location"]
    sent.clear()
    assert http.get(address).status_code == 200
    assert 1 <= len(sent) <= 2, sent


@pytest.mark.parametrize("steps", [1, 40])
def test_the_number_of_steps_costs_no_statement(rf, world, sent, steps, settings):
    with throwaway(*(world.step(f"step{number}") for number in range(steps))) as made:

        class Any(Acceptance):
            workflow = made

            def content(self, fields):
                return dict(fields)

            def validate(self, fields):
                return Valid(input={})

        class View(AcceptView):
            acceptance = Any()

        request = rf.post("/", "{}", content_type="application/json", headers={"Idempotency-Key": f"steps-of-{steps}"})
        sent.clear()
        response = View.as_view()(request)
        assert response.status_code == 202
        assert len(sent) == 2, sent  # the key, the pipeline
