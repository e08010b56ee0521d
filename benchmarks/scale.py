"""G8: what things cost with a million finished pipelines in the database, beside the same with ten thousand.

Two databases in one server, measured in turn: whatever disturbs the machine disturbs both.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from benchmarks import workers
from benchmarks.contenders import Pipelines, seconds_for
from benchmarks.counting import wait_for_end
from benchmarks.figures import number, spread
from benchmarks.fill import fill
from benchmarks.goals import GOALS, Measured
from benchmarks.place import DATABASE, Place, fresh_database
from benchmarks.saturation import SECONDS, WARM_UP, say
from benchmarks.submissions import start_posting
from benchmarks.workers import Setting
from config.local.ports import LOOPBACK

FEW: Final = int(os.environ.get("BENCH_FEW", "10000"))
MANY: Final = int(os.environ.get("BENCH_MANY", "1000000"))
ROUNDS: Final = 5
CALLS: Final = 40  # of each kind in a round
PIPELINES: Final = 400  # in a round
SETTING: Final = Setting("prefork", 2, 4)
OF_GOAL: Final = ("pipelines", "sweep", "status poll", "admin list")  # the others are told beside it


def measure(place: Place) -> list[Measured]:
    """The worst of what the goal names: the median of the larger over that of the smaller."""
    databases = {count: _filled(place, count) for count in (FEW, MANY)}
    times: dict[str, dict[int, list[float]]] = {}
    for turn in range(ROUNDS):
        for count, database in databases.items():
            for name, milliseconds in _one_round(place, database, count).items():
                times.setdefault(name, {}).setdefault(count, []).append(milliseconds)
        say(f"G8 round {turn + 1} of {ROUNDS}")
    ratios = {name: spread(own[MANY]).middle / spread(own[FEW]).middle for name, own in times.items()}
    worst = max(OF_GOAL, key=lambda name: ratios[name])
    told = "; ".join(
        f"{name} {number(ratios[name])} ({spread(own[FEW])} and {spread(own[MANY])} ms)" for name, own in times.items()
    )
    detail = f"the worst is {worst}; with {MANY} finished pipelines over {FEW}: {told}; {ROUNDS} rounds in turn"
    return [Measured(GOALS["G8"], ratios[worst], detail)]


def _filled(place: Place, count: int) -> str:
    """A database with one real posting and so many copies of it; its name."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    name = f"{DATABASE}_{count}"
    address = fresh_database(os.environ["DATABASE_URL"], name)
    with _using(name):
        call_command("migrate", verbosity=0)
        call_command("bootstrap_demo", stdout=open(os.devnull, "w"))  # noqa: SIM115, PTH123 - nobody reads it
        get_user_model().objects.create_superuser("benchmark")
        with workers.running("config", "pipeline,commit,rollback", SETTING):
            model = start_posting()
            wait_for_end(model)
        say(f"G8: {count} pipelines in {fill(address, model, count):.0f} s")
    return name


@contextmanager
def _using(database: str) -> Iterator[None]:
    """Let this process, and the workers that it starts, use another database of the server."""
    from django.db import connection

    before = os.environ["DATABASE_URL"], connection.settings_dict["NAME"]
    connection.close()
    os.environ["DATABASE_URL"] = f"{before[0].rpartition('/')[0]}/{database}"
    connection.settings_dict["NAME"] = database
    try:
        yield
    finally:
        connection.close()
        os.environ["DATABASE_URL"], connection.settings_dict["NAME"] = before


def _one_round(place: Place, database: str, count: int) -> dict[str, float]:
    """Milliseconds of each: requests by Django's test client, the sweep and the pipelines as in production."""
    with _using(database):
        timed = {name: _milliseconds(call) for name, call in _calls(count).items()}
        contender = Pipelines([SETTING])
        with contender.running(SETTING):
            seconds_for(contender, WARM_UP, SECONDS)
            seconds = seconds_for(contender, PIPELINES, SECONDS)
    return {"pipelines": seconds / PIPELINES * 1000} | timed


def _calls(count: int) -> dict[str, Callable[[int], Any]]:
    """What is timed: each is called with a number of its own."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    from pipeline.models import Pipeline
    from pipeline.sweep import sweep_once

    steps = [f"fill-{count * share // CALLS}" for share in range(CALLS)]
    known = dict(Pipeline.objects.filter(key__in=steps).values_list("key", "pk"))
    anybody, staff = (Client(SERVER_NAME=LOOPBACK) for _ in range(2))
    staff.force_login(get_user_model().objects.filter(is_superuser=True)[0])
    admin = "/admin/pipeline/pipeline/"

    def got(client: Client, address: str) -> None:
        answer = client.get(address)
        assert answer.status_code == 200, f"{address}: {answer.status_code}"

    return {
        "sweep": lambda _: sweep_once(),
        "status poll": lambda turn: got(anybody, f"/api/v1/pipelines/{known[steps[turn]]}/"),
        "admin list": lambda _: got(staff, admin),
        "admin search": lambda turn: got(staff, f"{admin}?q={steps[turn]}"),
        "admin, one state": lambda _: got(staff, f"{admin}?state__exact=committed"),
        "board": lambda _: got(anybody, "/"),
        "list of postings": lambda _: got(anybody, "/api/v1/postings/"),
    }


def _milliseconds(call: Callable[[int], Any]) -> float:
    """The median of the calls; what is made ready at the first is not counted."""
    call(0)
    taken = []
    for turn in range(CALLS):
        began = time.perf_counter()
        call(turn)
        taken.append((time.perf_counter() - began) * 1000)
    return spread(taken).middle
