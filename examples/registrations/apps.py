"""Institutions that register for a trial."""

from django.apps import AppConfig


class RegistrationsConfig(AppConfig):
    """Institutions, their directors, and the workflow of registering."""

    name = "examples.registrations"
    default_auto_field = "django.db.models.BigAutoField"
