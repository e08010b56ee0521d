"""The saga in DBOS: one workflow, each effect a step; a killed executor's workflows are recovered when it is back."""

import os
import sys
import threading
import urllib.request

from dbos import DBOS, DBOSClient

STEPS = ("logo", "posting", "payment", "email")
DATABASE = os.environ["DATABASE_URL"]
SCHEMA = f"dbos_{os.environ['RUN']}"
VERSION = "1"


def post(saga: str, place: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{os.environ['EFFECTS']}/{saga}/{place}", data=b"")).read()


@DBOS.step(retries_allowed=True, max_attempts=10, interval_seconds=0.2)
def effect(saga: str, place: str) -> None:
    post(saga, place)


@DBOS.workflow()
def saga(name: str, is_refused: bool) -> None:
    for step in STEPS:
        effect(name, f"{step}.stage")
        if is_refused and step == "payment":
            effect(name, "posting.undo")
            effect(name, "logo.undo")
            return
    for step in ("payment", "posting", "logo", "email"):
        effect(name, f"{step}.commit")


def work(name: str) -> None:
    DBOS(
        config={
            "name": "saga",
            "system_database_url": DATABASE,
            "dbos_system_schema": SCHEMA,
            "executor_id": name,
            "application_version": VERSION,
        }
    )

    DBOS.launch()
    DBOS.register_queue("sagas", worker_concurrency=4, polling_interval_sec=0.1)
    post("ready", name)
    threading.Event().wait()


def submit() -> None:
    client = DBOSClient(system_database_url=DATABASE, dbos_system_schema=SCHEMA)
    for line in sys.stdin:
        name, is_refused = line.split()
        options = {"workflow_name": "saga", "queue_name": "sagas", "workflow_id": name, "app_version": VERSION}
        client.enqueue(options, name, is_refused == "1")


if __name__ == "__main__":
    work(sys.argv[2]) if sys.argv[1] == "work" else submit()
