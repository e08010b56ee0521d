"""The project's settings, armed for crash tests; used by the worker processes of these tests alone."""

from config.settings import *  # noqa: F403
from config.settings import PIPELINE, env

PIPELINE |= {"CRASH_FILE": env.text("CRASH_FILE"), "GO_ON": env.flag("PIPELINE_GO_ON", default=True)}
