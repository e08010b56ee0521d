"""A chore is called once each interval, whoever sweeps; one that raises or hangs disturbs nobody else."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from pipeline import chores
from pipeline.models import Chore
from pipeline.sweep import sweep_once
from pipeline.testing import state_of, together

CALLED: list[str] = []
HANGING, RELEASED = threading.Event(), threading.Event()
EVERY = timedelta(hours=1)
COUNT, HANG = f"{__name__}.count", f"{__name__}.hang"


def count():
    CALLED.append(threading.current_thread().name)


def hang():
    HANGING.set()
    assert RELEASED.wait(30)


def fail():
    raise KeyError("x")


def break_the_connection():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.fixture(autouse=True)
def nothing_called(broker):
    CALLED.clear()
    HANGING.clear()
    RELEASED.clear()


@pytest.fixture
def look_after(tune):
    """Look after these chores in threads, as a sweep's process does, until the test ends."""
    over, threads = threading.Event(), []

    def begin(**every):
        tune(CHORES={f"{__name__}.{name}": each for name, each in every.items()})
        threads.extend(chores.start(over))

    yield begin
    over.set()
    RELEASED.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def pass_time(by, name=COUNT):
    Chore.objects.filter(name=name).update(due_at=F("due_at") - by, began_at=F("began_at") - by)


def test_it_is_called_at_once_and_then_each_time_its_interval_is_over():
    assert chores.run_if_due(COUNT, EVERY)
    assert not chores.run_if_due(COUNT, EVERY)
    pass_time(EVERY - timedelta(minutes=1))
    assert not chores.run_if_due(COUNT, EVERY)
    pass_time(timedelta(minutes=1))
    assert chores.run_if_due(COUNT, EVERY)
    assert len(CALLED) == 2


def test_an_interval_made_shorter_counts_from_the_last_call():
    chores.run_if_due(COUNT, EVERY)
    pass_time(EVERY / 2)
    assert not chores.run_if_due(COUNT, EVERY)
    assert chores.run_if_due(COUNT, EVERY / 2)
    assert not chores.run_if_due(COUNT, EVERY / 2)


@pytest.mark.parametrize("is_first", [True, False], ids=["the first interval", "a later one"])
def test_of_processes_that_race_for_one_interval_one_calls_it(is_first):
    for turn in range(1, 6):
        if not is_first:
            Chore.objects.update_or_create(name=COUNT, defaults={"due_at": Now(), "began_at": Now()})
        taken = together(*[lambda: chores.run_if_due(COUNT, EVERY)] * 6)
        assert sorted(taken) == [False] * 5 + [True]
        assert len(CALLED) == turn
        Chore.objects.all().delete()


def test_who_comes_while_another_takes_it_finds_it_taken():
    """The row is locked until the first has committed; the second waits, and sees the new time."""
    chores.run_if_due(COUNT, EVERY)
    pass_time(EVERY)
    found = []
    second = threading.Thread(target=lambda: (found.append(chores.run_if_due(COUNT, EVERY)), connection.close()))
    with transaction.atomic():
        assert chores.run_if_due(COUNT, EVERY)
        second.start()
        second.join(0.2)
        assert found == []
    second.join(30)
    assert found == [False]
    assert len(CALLED) == 2


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (f"{__name__}.fail", "KeyError: 'x'"),
        (f"{__name__}.break_the_connection", "OperationalError: "),
        ("nowhere.at_all", "ModuleNotFoundError: "),
    ],
)
def test_one_that_raises_is_logged_and_recorded_and_called_again(name, told, caplog):
    for _ in range(2):
        assert chores.run_if_due(name, EVERY)
        pass_time(EVERY, name)
    assert [record.message for record in caplog.records if record.exc_info] == [
        f"chore {name} failed; it is called again at its next time"
    ] * 2
    row = Chore.objects.get(name=name)
    assert row.error.startswith(told)
    assert row.ended_at is not None


def test_one_that_goes_well_clears_what_it_raised_before():
    chores.run_if_due(COUNT, EVERY)
    Chore.objects.update(error="KeyError: 'x'", due_at=Now())
    chores.run_if_due(COUNT, EVERY)
    assert Chore.objects.get(name=COUNT).error == ""


def test_one_that_hangs_holds_up_neither_the_sweep_nor_another(look_after, begin, broker, posting):
    look_after(hang=EVERY, count=timedelta(milliseconds=1))
    assert HANGING.wait(30)
    calls = len(CALLED)
    pipeline = begin(posting)
    while state_of(pipeline) != "committed":
        sweep_once()
        broker.deliver_all()
    while len(CALLED) < calls + 3:
        threading.Event().wait(0.01)
    assert Chore.objects.get(name=HANG).ended_at is None
    assert CALLED[-1] == COUNT, "each has a thread of its own"


def test_a_call_that_was_overtaken_does_not_speak_for_the_later_one(look_after):
    look_after(hang=EVERY)
    assert HANGING.wait(30)
    Chore.objects.filter(name=HANG).update(began_at=F("began_at") + timedelta(seconds=1), error="of the later one")
    RELEASED.set()
    for thread in threading.enumerate():
        if thread.name == HANG:
            thread.join(0.2)
    assert Chore.objects.get(name=HANG).error == "of the later one"


def test_a_database_that_is_away_is_waited_for(monkeypatch, caplog):
    with monkeypatch.context() as patched:
        patched.setitem(connection.settings_dict, "PORT", "1")
        connection.close()
        assert chores._turn(COUNT, EVERY) == chores._LOOK_EVERY
    assert "the database is away" in caplog.text
    assert chores._turn(COUNT, timedelta(seconds=10)) <= timedelta(seconds=10)
    assert len(CALLED) == 1
