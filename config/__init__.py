"""The project: settings, URLs, the Celery application, the ASGI and WSGI entry points."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
