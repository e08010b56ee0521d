"""ASGI entry point: waits and streams need it (`uvicorn config.asgi:application`)."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

django.setup(set_prefix=False)

from config.at_once import AtOnce  # noqa: E402 - Django is set up by now
from config.body_limit import BodyLimit  # noqa: E402

django_application = AtOnce()

application = BodyLimit(django_application)
