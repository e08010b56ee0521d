"""The project's settings and the test-only workflow; for the worker processes of these tests."""

from datetime import timedelta
from pathlib import Path

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS, PIPELINE, env
from tests.workers.broken_broker import break_when_there_is

INSTALLED_APPS += ["tests.workers.shop"]
PIPELINE |= {
    "CRASH_FILE": env.text("CRASH_FILE"),
    "ON_ATTENTION": "",
    "CHORES": {},
    "OWNER_GRACE": timedelta(0),  # the server of a test run has often just been started
    "LEASE": env.seconds("LEASE_SECONDS", 60),
    "LEASE_MARGIN": env.seconds("LEASE_SECONDS", 60) / 4,
    "CALL_TIME": env.seconds("LEASE_SECONDS", 60) / 6,
}
if env.text("BREAK_BROKER_FILE"):
    break_when_there_is(Path(env.text("BREAK_BROKER_FILE")))
