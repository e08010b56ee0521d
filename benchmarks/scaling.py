"""G10 and the choice of a pool: processes, threads and greenlets, with steps that do nothing and with providers."""

from typing import Final

from benchmarks import provider
from benchmarks.contenders import Pipelines
from benchmarks.figures import number, spread
from benchmarks.goals import GOALS, Measured
from benchmarks.peers.environments import LeftOutError
from benchmarks.place import Place
from benchmarks.saturation import one_round, say
from benchmarks.workers import Setting, gevent

ROUNDS: Final = 3
COUNT: Final = 800
PROVIDER_MS: Final = 300
AT_ONCE: Final = 200  # pipelines under way against providers that wait
# Workers that leave the processor room: few threads each, whose providers answer after 50 ms.
ROOMY: Final = tuple(Setting("threads", 6, 4, workers) for workers in (1, 2))
ROOMY_MS: Final = 50
ROOMY_COUNT: Final = 250
FULL: Final = tuple(Setting("prefork", children, 4) for children in (1, 2, 4))
WAITING: Final = (
    Setting("prefork", 4, 4),
    Setting("prefork", 16, 4),
    Setting("prefork", 32, 4),
    Setting("threads", 100, 4, 1),
    Setting("threads", 100, 4, 2),
    Setting("threads", 50, 4, 4),
    Setting("gevent", 100, 4, 1),
    Setting("gevent", 100, 4, 2),
)


def measure(place: Place) -> list[Measured]:
    """Two workers over one where the processor permits; beside it processes that take all of it, and each pool with
    200 pipelines waiting for providers.
    """
    with provider.answering(ROOMY_MS):
        roomy = _rates(place, Pipelines(ROOMY, calls=True), ROOMY_COUNT, AT_ONCE)
    full = _rates(place, Pipelines(FULL), COUNT)
    one, two = (spread(roomy[setting]).middle for setting in ROOMY)
    detail = f"pipelines/s, eight calls of {ROOMY_MS} ms: {_told(roomy)}, {ROUNDS} rounds of {ROOMY_COUNT}; "
    detail += "empty steps, with client, PostgreSQL and Redis on the same cores: "
    detail += f"{_told(full)}, {ROUNDS} rounds of {COUNT}; "
    detail += f"eight calls of {PROVIDER_MS} ms each, {AT_ONCE} under way: {pools(place)}"
    return [Measured(GOALS["G10"], two / one, detail)]


def _rates(place: Place, contender: Pipelines, count: int, at_once: int | None = None) -> dict[Setting, list[float]]:
    rates: dict[Setting, list[float]] = {setting: [] for setting in contender.settings}
    for turn in range(ROUNDS):
        for setting, own in rates.items():
            own.append(one_round(place, contender, setting, count, at_once).per_second)
            say(f"G10 round {turn + 1}: {number(own[-1])} pipelines/s, {setting}")
    return rates


def _told(rates: dict[Setting, list[float]]) -> str:
    return "; ".join(f"{setting}: {spread(own)}" for setting, own in rates.items())


def pools(place: Place, count: int = 400) -> str:
    """Each pool's pipelines a second against providers that wait, and its processor time for one."""
    told = []
    for setting in _available():
        with provider.answering(PROVIDER_MS):
            contender = Pipelines([setting], calls=True)
            # A narrow pool would take for ever: two of its waves are enough.
            wide = setting.children * setting.workers >= AT_ONCE // 4
            try:
                one = one_round(place, contender, setting, count if wide else max(count // 8, 1), AT_ONCE)
            except TimeoutError:
                told.append(f"{setting}: did not end")
                continue
        told.append(f"{setting}: {number(one.per_second)}/s, {number(sum(one.cpu.values()))} ms")
        say(f"pools: {told[-1]} of processor each")
    return "; ".join(told)


def _available() -> list[Setting]:
    try:
        gevent()
    except LeftOutError as error:
        say(str(error))
        return [setting for setting in WAITING if setting.pool != "gevent"]
    return list(WAITING)
