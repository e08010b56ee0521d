"""The project's settings with what lets faults show within seconds; for the processes of a chaos run alone."""

import os
from datetime import timedelta

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS, PIPELINE
from pipeline.retry import RetryPolicy

INSTALLED_APPS += ["tests.chaos.armed"]  # after the engine, whose crash points it arms
PIPELINE |= {
    # A process that is stopped for longer than this has lost its jobs. Celery's limits (35 s, 45 s) stay, so
    # that it is not ended by its parent before it wakes: the ladder is out of order here, and only here.
    "LEASE": timedelta(seconds=float(os.environ.get("CHAOS_LEASE", "6"))),
    "LEASE_MARGIN": timedelta(seconds=2),
    # So that a run has many calls that are given up; in production it is 10 seconds.
    "CALL_TIME": timedelta(seconds=1.5),
    # So that a run can wait for quiet: in production the delay grows to an hour.
    "FINISH_RETRY": RetryPolicy(first=timedelta(milliseconds=500), factor=2, cap=timedelta(seconds=5)),
    # So that a provider's circuit opens and closes many times in a run: in production its delay grows to a minute.
    "CIRCUIT_RETRY": RetryPolicy(first=timedelta(milliseconds=500), factor=2, cap=timedelta(seconds=3)),
    "STAGE_RETRY": RetryPolicy(first=timedelta(milliseconds=500), factor=2, cap=timedelta(seconds=5)),
}
SILENCED_SYSTEM_CHECKS = ["pipeline.E101"]
