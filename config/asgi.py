"""ASGI entry point: waits and streams need it (`python -m config.web`)."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

django.setup(set_prefix=False)

from config.at_once import AtOnce  # noqa: E402 - Django is set up by now
from config.web.alive import Alive  # noqa: E402
from config.web.bodies import Edge  # noqa: E402
from config.web.ending import end_with_the_server  # noqa: E402

django_application = AtOnce()

application = Edge(Alive(django_application))

end_with_the_server()
