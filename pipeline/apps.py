"""Loads every app's `workflow` module, the checks, and the sweep that each worker brings along."""

from pathlib import Path

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class PipelineAppConfig(AppConfig):
    """The engine."""

    name = "pipeline"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register workflows and checks; arm a crash point if a test says so."""
        from pipeline import checks, connection_checks, crashpoints, worker  # noqa: F401
        from pipeline.conf import conf

        autodiscover_modules("workflow")
        if conf().CRASH_FILE:
            crashpoints.arm_kill(Path(conf().CRASH_FILE))
