"""ASGI entry point: waits and streams need it (`uvicorn config.asgi:application`)."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

django_application = get_asgi_application()

from config.body_limit import BodyLimit  # noqa: E402 - Django is set up by now

application = BodyLimit(django_application)
