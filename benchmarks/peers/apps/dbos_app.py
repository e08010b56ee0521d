"""Run by DBOS's own interpreter: the eight durable steps (`work`), or the client that enqueues them (`client`)."""

import os
import sys
import threading

from dbos import DBOS, DBOSClient

URL = os.environ["PEER_DATABASE_URL"]
QUEUE = "benchmark"
VERSION = "1"  # the same in every process, or nobody would take another's workflows
STEPS = 8


@DBOS.step()
def effect(_number: int) -> None:
    """Nothing."""


@DBOS.workflow()
def eight() -> None:
    """Eight durable steps, one after another."""
    for number in range(STEPS):
        effect(number)


def work() -> None:
    """Take workflows off the queue until killed."""
    DBOS(
        config={
            "name": "benchmark",
            "system_database_url": URL,
            "application_version": VERSION,
            "executor_id": str(os.getpid()),
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    DBOS.register_queue(
        QUEUE,
        worker_concurrency=int(os.environ["PEER_CONCURRENCY"]) or None,
        polling_interval_sec=float(os.environ["PEER_POLLING"]),
        on_conflict="always_update",
    )
    print("ready", flush=True)
    threading.Event().wait()


def client() -> None:
    """For each number on standard input: enqueue so many, one after another, then say so."""
    client = DBOSClient(system_database_url=URL)
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            client.enqueue({"queue_name": QUEUE, "workflow_name": "eight", "app_version": VERSION})
        print("done", flush=True)


if __name__ == "__main__":
    {"work": work, "client": client}[sys.argv[1]]()
