"""Beyond one machine: servers, web and two workers on hosts of their own, and a cable that is pulled twice.

The first time PostgreSQL finds out by its keepalives that the machine has vanished. The second time the lease ends
first and the sessions outlive the cut, so that what the late worker writes then comes, and must fail on its fence.
"""

import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from config.local.stack import QUEUES
from tests.chaos.acts import Hands
from tests.chaos.customers import Customers
from tests.chaos.figures import spread
from tests.chaos.mix import PLAIN, submissions
from tests.chaos.network import HUB, Network
from tests.chaos.place import Place
from tests.chaos.schedule import PROVIDERS
from tests.chaos.storm import reckon, world

ADDRESSES: Final = {"web": "10.77.0.2", "worker": "10.77.0.3", "worker-2": "10.77.0.4"}
VANISHING, LATE = "worker", "worker-2"
# Production's lease, which must not be what finds the vanished worker; and one that ends before the keepalives do.
LEASES: Final = {VANISHING: 60.0, LATE: 6.0}
WORKERS: Final = dict.fromkeys((VANISHING, LATE), QUEUES)
POOL: Final = ("threads", 8)
EXTRA: Final = {"SMS_ENABLED": "", "INDEXING_ENABLED": "", "ALLOWED_HOSTS": ADDRESSES["web"]}
WEB_PORT: Final = 8000
SUBMISSIONS: Final = 120
EVERY: Final = 0.8  # seconds between two submissions: less than two workers can do, more than one can
LATENCY: Final = 0.7  # seconds of every provider's answer, so that there are jobs in hand whenever a cable is pulled
# A vanished machine stays away until PostgreSQL has ended all its sessions: 10 s idle, one probe of 5 s.
AWAY: Final = {VANISHING: 20.0, LATE: 9.0}
# Until each job that was in hand runs elsewhere: keepalives (5 s idle, three probes of 3 s) or the lease, then the
# sweep; and as much again for a busy machine.
MOST: Final = {VANISHING: 20.0, LATE: 12.0}
WHY: Final = {VANISHING: "owner gone", LATE: "lease ended"}
BUSY: Final = 3  # jobs that a worker has in hand when its cable is pulled
SETTLED: Final = 0.5  # seconds after which nothing that was on its way arrives any more
SOON: Final = 60.0  # seconds for a worker to have jobs in hand, and to be back
TRIES: Final = 3  # a late worker may have nothing left to write when its cable is back
FENCED: Final = re.compile(r"stopped in .*its fence was raised")

Say = Callable[[str], None]


class HostsPlace(Place):
    """The stack with web and workers on hosts of their own; PostgreSQL, Redis and the sandbox share this one."""

    network: Network

    def _start_program(
        self, name: str, command: Sequence[str], env: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        more = {"CHAOS_LEASE": str(LEASES[name])} if name in LEASES else {}
        return super()._start_program(name, [*self.network.inside(name), *command], {**env, **more}, pass_fds)


def place_in(network: Network) -> dict[str, Any]:
    """How the stack is started in that network."""

    def made(*given: Any) -> HostsPlace:
        place = HostsPlace(*given)
        place.network = network
        return place

    web = partial(network.listen, "web", WEB_PORT)
    return {"kind": made, "host": HUB, "listening_at": web, "extra": EXTRA, "pool": POOL, "workers": WORKERS}


@dataclass
class Cut:
    """One cable that was pulled: when by PostgreSQL's clock, what its worker had in hand, when others had it."""

    host: str
    at: datetime
    jobs: Sequence[tuple[Any, str]]  # pipeline and step
    freed: list[float] = field(default_factory=list)  # seconds after the cut
    taken: list[float] = field(default_factory=list)
    why: set[str] = field(default_factory=set)
    back: float | None = None  # seconds after the cable was back until it began a job again


def hosts(place: HostsPlace, seed: int, say: Say, *, count: int = SUBMISSIONS) -> tuple[dict[str, Any], list[str]]:
    """(figures, violations)."""
    asked = submissions(seed, count, EVERY, world(place), PLAIN, copies=False)
    for provider in PROVIDERS:
        place.tell("faults", {"provider": provider, "kind": "latency", "seconds": LATENCY})
    customers = Customers(place.web, place.sandbox, place.chaos / "answers")
    say(f"{len(asked)} submissions to {place.web}; workers at {ADDRESSES[VANISHING]} and {ADDRESSES[LATE]} …")
    cuts: list[Cut] = []
    cutting = threading.Thread(target=_pull_cables, args=[place, cuts, say], daemon=True)
    cutting.start()
    customers.serve(asked)
    cutting.join()
    place.clear_faults()
    hands = Hands(place, customers.open)
    hands.did.update(f"cut off {cut.host}" for cut in cuts)
    facts, violations = reckon(place, asked, customers, hands, [], [], say)
    late = fenced(place)
    facts |= _told(cuts) | {"late writes that failed on their fence": late}
    tried = {cut.host for cut in cuts} == {VANISHING, LATE}
    violations += [] if late and tried else ["bar: no late write met its fence, or not every cable was pulled"]
    return facts, violations + missed(cuts)


def _pull_cables(place: HostsPlace, cuts: list[Cut], say: Say) -> None:
    """One after the other, the second until there was a late write."""
    from django.db import OperationalError, connection

    try:
        cuts.append(_cut(place, VANISHING, say))
        while len(cuts) <= TRIES and not fenced(place):
            cuts.append(_cut(place, LATE, say))
            _wait(lambda: bool(fenced(place)), SOON / 2)
    except OperationalError as error:
        say(f"No more cables are pulled: PostgreSQL is gone ({error})")
    finally:
        connection.close()


def missed(cuts: Sequence[Cut]) -> list[str]:
    """What was not as it must be with the cables."""
    found = []
    for cut in cuts:
        if not cut.jobs:
            found.append(f"bar: {cut.host} had nothing in hand when it was cut off")
            continue
        name = f"bar: {cut.host}, cut off with {len(cut.jobs)} jobs in hand,"
        if len(cut.taken) < len(cut.jobs) or max(cut.taken, default=0.0) > MOST[cut.host]:
            found.append(f"{name} had {len(cut.taken)} taken over within {MOST[cut.host]:g} s: {cut.taken}")
        if cut.why != {WHY[cut.host]}:
            found.append(f"{name} was found by {cut.why or 'nobody'} and not by {WHY[cut.host]}")
        if cut.back is None:
            found.append(f"{name} took no job within {SOON:g} s of being back")
    return found


def fenced(place: Place) -> int:
    """How many late writes failed so far, by the log of the worker that is cut off for less than its sessions last."""
    return len(FENCED.findall((place.folder.logs / f"{LATE}.log").read_text(errors="replace")))


def _told(cuts: Sequence[Cut]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for host, how in ((VANISHING, "keepalives"), (LATE, "lease")):
        of = [cut for cut in cuts if cut.host == host]
        told[f"jobs in hand of a worker cut off, found by {how}"] = ", ".join(str(len(cut.jobs)) for cut in of)
        told[f"freed after the cut, found by {how}"] = spread(each for cut in of for each in cut.freed)
        told[f"running elsewhere after the cut, found by {how}"] = spread(each for cut in of for each in cut.taken)
        told[f"working again once back, found by {how}"] = spread(cut.back for cut in of if cut.back is not None)
    return told


def _cut(place: HostsPlace, host: str, say: Say) -> Cut:
    """Pull the cable while it has jobs in hand, watch who takes them, and put it back."""
    _wait(lambda: len(_in_hand(host)) >= BUSY, SOON)
    place.network.cut(host)
    at, pulled = _now(), time.monotonic()
    time.sleep(SETTLED)
    cut = Cut(host, at, _in_hand(host))
    say(f"{host} ({ADDRESSES[host]}) is cut off with {len(cut.jobs)} jobs in hand …")
    _wait(lambda: len(_taken(cut)) == len(cut.jobs), 2 * MOST[host])
    time.sleep(max(0.0, pulled + AWAY[host] - time.monotonic()))
    freed_and_taken = _taken(cut)
    cut.freed, cut.taken = ([round(row[n], 3) for row in freed_and_taken] for n in (0, 1))
    cut.why = {row[2] for row in freed_and_taken}
    say(f"  taken over after {min(cut.taken, default=0):.1f} to {max(cut.taken, default=0):.1f} s ({cut.why}); back …")
    place.network.restore(host)
    since, back = _now(), time.monotonic()
    if _wait(lambda: _works(host, since), SOON):
        cut.back = round(time.monotonic() - back, 3)
    return cut


def _wait(is_so: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


# Whose lock is held by a session from that address: PostgreSQL knows its clients.
_OWNERS: Final = """
SELECT l.objid::bigint FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = %(lock_class)s AND l.objsubid = 2 AND a.client_addr = %(address)s::inet"""

_IN_HAND: Final = f"SELECT pipeline_id, name FROM pipeline_step WHERE owner IN ({_OWNERS})"  # nosec B608

_WORKS: Final = f"""
SELECT count(*) FROM pipeline_step
WHERE owner IN ({_OWNERS}) AND lease_until - make_interval(secs => %(lease)s) > %(since)s"""  # nosec B608

_TAKEN: Final = """
SELECT extract(epoch FROM freed.at - %(at)s)::float, extract(epoch FROM min(again.at) - %(at)s)::float,
       freed.data ->> 'why'
FROM unnest(%(pipelines)s::uuid[], %(steps)s::text[]) AS job (pipeline_id, step)
JOIN pipeline_event freed ON freed.pipeline_id = job.pipeline_id AND freed.step = job.step
     AND freed.type = 'taken_over' AND freed.at > %(at)s
JOIN pipeline_event again ON again.pipeline_id = job.pipeline_id AND again.step = job.step
     AND again.type LIKE '%%\\_started' AND again.seq > freed.seq
GROUP BY job.pipeline_id, job.step, freed.at, freed.data"""


def _rows(statement: str, **given: Any) -> list[tuple[Any, ...]]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        return cursor.fetchall()


def _now() -> datetime:
    found: datetime = _rows("SELECT clock_timestamp()")[0][0]
    return found


def _of(host: str) -> dict[str, Any]:
    from pipeline.owner_session import LOCK_CLASS

    return {"lock_class": LOCK_CLASS, "address": ADDRESSES[host]}


def _in_hand(host: str) -> list[tuple[Any, str]]:
    return [(row[0], row[1]) for row in _rows(_IN_HAND, **_of(host))]


def _works(host: str, since: datetime) -> bool:
    return bool(_rows(_WORKS, **_of(host), lease=LEASES[host], since=since)[0][0])


def _taken(cut: Cut) -> list[tuple[Any, ...]]:
    """For each job that was in hand and runs elsewhere: seconds until it was freed, until it was begun, and why."""
    pipelines, steps = [job[0] for job in cut.jobs], [job[1] for job in cut.jobs]
    return _rows(_TAKEN, at=cut.at, pipelines=pipelines, steps=steps)
