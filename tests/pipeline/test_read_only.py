"""Workers, sweeps and chores whose session cannot write, as after a failover: on a new one they go on."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection

from pipeline import chores, ownership, sweep
from pipeline.models import Chore, Step
from pipeline.ownership import PROVEN_FOR, Owner
from pipeline.sweep import sweep_for_ever
from pipeline.testing import as_workers, drain, pause_at, state_of

pytestmark = pytest.mark.django_db(transaction=True)


def read_only():
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")


@pytest.fixture
def worker():
    with as_workers(1) as (one,):
        yield one


@pytest.fixture
def database_is_read_only():
    """For every session that is opened from now on."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    connection.close()


def test_a_worker_begins_its_job_on_a_new_session(posting, begin, broker, world, worker):
    pipeline = begin(posting)
    read_only()
    with worker.acting():
        broker.deliver_all()
    assert state_of(pipeline) == "committed"
    world.assert_agrees(pipeline)


@pytest.mark.parametrize("place", ["payment.stage.effect", "payment.commit.effect", "posting.commit.claimed"])
def test_a_record_that_could_not_be_written_is_made_good(place, posting, begin, broker, world, worker):
    """The effect is there: it is repeated with its key, and recorded then."""
    pause_at(place, read_only)
    pipeline = begin(posting)
    with worker.acting():
        with pytest.raises(OperationalError):
            broker.deliver_all()
        assert drain(pipeline, broker) == "committed"
    world.assert_agrees(pipeline)


def test_an_owner_cannot_be_made_meanwhile_and_nothing_is_claimed(
    posting, begin, broker, worker, database_is_read_only
):
    pipeline = begin(posting)
    with worker.acting(), pytest.raises(OperationalError):
        broker.deliver_all()
    assert Step.objects.filter(pipeline=pipeline, owner__isnull=False).count() == 0


def test_the_sweep_goes_on_with_a_new_session(monkeypatch, tune):
    tune(SWEEP_EVERY=timedelta(0))
    rounds = []

    def once():
        rounds.append(1)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE pipeline_chore SET error = ''")

    monkeypatch.setattr(sweep, "sweep_once", once)
    read_only()
    sweep_for_ever(lambda: len(rounds) == 2)
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchone() == ("off",)


def test_a_chore_is_called_at_its_next_turn():
    read_only()
    chores._turn(f"{__name__}.nothing", timedelta(hours=1))
    assert Chore.objects.count() == 0
    chores._turn(f"{__name__}.nothing", timedelta(hours=1))
    assert Chore.objects.get().error == ""


def nothing():
    """A chore."""


# --- what the proof of an owner's lock costs --------------------------------------------------------


def test_the_server_is_asked_for_the_lock_a_few_times_a_second_at_most(monkeypatch):
    """By this process's clock, which the test moves; whatever the number of effects."""
    asked, now = [], [1000.0]
    answer = ownership.answer
    monkeypatch.setattr(ownership, "answer", lambda *args: (asked.append(now[0]), answer(*args))[1])
    monkeypatch.setattr(ownership.time, "monotonic", lambda: now[0])
    owner = Owner()
    mine = owner.id()
    asked.clear()
    for _ in range(1000):
        assert owner.is_alive(mine)
        now[0] += PROVEN_FOR / 100
    monkeypatch.undo()
    owner.renounce()
    assert 9 <= len(asked) <= 10
