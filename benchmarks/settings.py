"""The project's own settings for a measurement: production's, a workflow that does nothing, no ceilings.

Everything that the guarantee needs stays as it is. What limits one customer is off, as all submissions here
come from one address.
"""

import os

from benchmarks.apps import FOR_EVER
from config.settings import *  # noqa: F403
from config.settings import CELERY_BROKER_TRANSPORT_OPTIONS, INSTALLED_APPS, PIPELINE, REST_FRAMEWORK

INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks"]
# Chores come once in minutes, whatever the load: in a round of seconds the first call of each would be all one sees.
PIPELINE = PIPELINE | {"MAX_OPEN_PER_CLIENT": 0, "CHORES": {}}
MAX_REFUSED_CARDS_PER_HOUR = 0
REST_FRAMEWORK = REST_FRAMEWORK | {
    "DEFAULT_THROTTLE_RATES": dict.fromkeys(REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]),
}
# Messages of another project on the same Redis are neither taken nor counted.
CELERY_BROKER_TRANSPORT_OPTIONS = CELERY_BROKER_TRANSPORT_OPTIONS | {"global_keyprefix": "bench:"}
ROOT_URLCONF = "benchmarks.urls"

if os.environ.get(FOR_EVER):
    CELERY_WORKER_MAX_TASKS_PER_CHILD = CELERY_WORKER_MAX_MEMORY_PER_CHILD = None
