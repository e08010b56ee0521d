"""`manage.py verify`: what it prints, its exit status, and that what moves while it looks is no violation."""

import uuid
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from pipeline.verification import Violation, confirmed
from tests.postings.conftest import Outside
from tests.verification.conftest import as_json, sql, verify


def test_it_says_that_all_is_well(committed: uuid.UUID) -> None:
    assert verify("--settled") == (0, "no violations\n")
    assert as_json("--settled") == []


def test_a_line_says_what_where_and_what_to_do(committed: uuid.UUID, settings: Any) -> None:
    settings.SITE_URL = "https://jobs.example.com"
    sql("UPDATE postings_posting SET state = 'hidden'")
    status, text = verify("--pipeline", str(committed))
    assert status == 1
    line, count = text.splitlines()
    page = f"https://jobs.example.com/admin/pipeline/pipeline/{committed}/change/"
    assert line.startswith(f"I2 pipeline {committed} ({page}): expected a posting that is published")
    assert "; found: it is hidden; next: a person decides" in line
    assert count == "1 violations"


def test_json_is_for_scripts(committed: uuid.UUID) -> None:
    sql("UPDATE postings_posting SET state = 'hidden'")
    (told,) = as_json()
    assert (told["invariant"], told["pipeline"], told["found"]) == ("I2", str(committed), "it is hidden")
    assert told["expected"]
    assert told["next"]


def test_others_and_older_ones_are_left_out(committed: uuid.UUID) -> None:
    sql("UPDATE postings_posting SET state = 'hidden'")
    assert verify("--pipeline", str(uuid.uuid4()))[0] == 0
    assert verify("--since", "1h")[0] == 1
    sql("UPDATE pipeline_pipeline SET created_at = created_at - interval '2 hours'")
    assert verify("--since", "1h")[0] == 0
    assert verify("--since", "2020-01-01")[0] == 1


def test_a_time_that_cannot_be_read_is_explained(committed: uuid.UUID) -> None:
    with pytest.raises(CommandError, match="give 2h, 7d"):
        call_command("verify", "--since", "yesterday", stdout=StringIO())


def test_a_provider_that_cannot_be_read_is_no_clean_bill(shop: Outside, settings: Any) -> None:
    settings.SANDBOX_URL = "http://127.0.0.1:1"
    with pytest.raises(CommandError, match="sandbox_unreachable") as failed:
        verify()
    assert failed.value.returncode == 2


class Moving:
    """A pipeline and the world outside, each a step further with every look."""

    def __init__(self, here: list[str], outside: list[str]) -> None:
        self.pipeline = uuid.uuid4()
        self.states, self.effects = iter(here), iter(outside)

    def here(self, ids: list[uuid.UUID] | None) -> Iterator[str]:
        yield next(self.states)

    def compare(self, states: Any, effect: str) -> Iterator[Violation]:
        for state in states:
            if (state == "committed") != (effect == "captured"):
                yield Violation("I2", self.pipeline, "both or none", f"{state}, {effect}")

    def found(self) -> list[str]:
        return [each.found for each in confirmed(lambda: next(self.effects), self.here, self.compare)]


@pytest.mark.parametrize(
    ("here", "outside", "told"),
    [
        (["staging"], ["held"], []),
        (["committed", "committed"], ["held", "captured"], []),  # it moved between the first two readings
        (["committed", "committed"], ["held", "held"], ["committed, held"]),
        (["staging", "staging"], ["captured", "captured"], ["staging, captured"]),
        (["staging", "committed"], ["captured", "captured"], []),
    ],
)
def test_what_moves_between_two_readings_is_looked_at_again(here: list[str], outside: list[str], told: list[str]):
    assert Moving(here, outside).found() == told
