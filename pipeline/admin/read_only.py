"""Admin pages of what is never written by hand."""

from typing import Any

from django.http import HttpRequest


class ReadOnly:
    """What pipelines have written is looked at: nothing is added, edited or deleted by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Pipelines and commands make it."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """It is what has happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """It is kept."""
        return False
