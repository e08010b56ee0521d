"""The saga as a plain Celery chain: stages, then commits; an errback that undoes."""

import os
import sys
import urllib.request

from celery import Celery, chain
from celery.signals import worker_ready

STEPS = ("logo", "posting", "payment", "email")
app = Celery("saga", broker=os.environ["BROKER_URL"])
app.conf.update(
    broker_transport_options={
        "visibility_timeout": 30,
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
        "global_keyprefix": f"{os.environ['RUN']}:",
    },
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
)


class Refused(Exception):
    pass


def post(saga: str, place: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{os.environ['EFFECTS']}/{saga}/{place}", data=b"")).read()


@worker_ready.connect
def tell(**_) -> None:
    post("ready", sys.argv[2])


@app.task
def effect(saga: str, place: str) -> None:
    post(saga, place)


@app.task
def refuse(saga: str, place: str) -> None:
    post(saga, place)
    raise Refused(saga)


@app.task
def undo(saga: str) -> None:
    chain(effect.si(saga, "posting.undo"), effect.si(saga, "logo.undo")).apply_async()


def saga_of(name: str, is_refused: bool):
    stages = [effect.si(name, f"{step}.stage") for step in STEPS]
    if is_refused:
        stages[2] = refuse.si(name, "payment.stage")
    commits = [effect.si(name, f"{step}.commit") for step in ("payment", "posting", "logo", "email")]
    return chain(*stages, *commits)


def submit() -> None:
    for line in sys.stdin:
        name, is_refused = line.split()
        saga_of(name, is_refused == "1").apply_async(link_error=undo.si(name))


if __name__ == "__main__":
    if sys.argv[1] == "work":
        options = ["--concurrency", "2", "--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
        app.worker_main(["worker", "--hostname", f"{sys.argv[2]}@local", *options])
    else:
        submit()
