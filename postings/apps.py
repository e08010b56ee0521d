"""The shop: job postings."""

from django.apps import AppConfig


class PostingsConfig(AppConfig):
    """Plans, postings and their workflow."""

    name = "postings"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from postings import checks, plan_checks  # noqa: F401
