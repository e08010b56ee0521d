"""Filters of the list of pipelines. Each is served by an index of its own (pipeline/models.py)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from pipeline.models import Pipeline
from pipeline.registry import all_workflows

Lookups = Iterable[tuple[str, str]]
Rows = QuerySet[Pipeline]


class WorkflowFilter(admin.SimpleListFilter):
    """By the workflow's name, of those that this process knows."""

    title = "workflow"
    parameter_name = "workflow"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Lookups:
        """One choice a name."""
        return [(name, name.replace("_", " ")) for name in sorted({workflow.name for workflow in all_workflows()})]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        """Those of the chosen name."""
        if not self.value():
            return queryset
        # What has ended and what has not have an index each: a workflow that is rarely run is found without a walk.
        is_of_it = Q(workflow=self.value())
        return queryset.filter((is_of_it & Q(finished_at__isnull=False)) | (is_of_it & Q(finished_at__isnull=True)))


class AttentionFilter(admin.SimpleListFilter):
    """Only those that need a person."""

    title = "needs attention"
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Lookups:
        """One choice, beside "All"."""
        return [("yes", "Needs attention")]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        """Those with a mark."""
        return queryset.filter(attention__gt=0) if self.value() == "yes" else queryset


class AgeFilter(admin.SimpleListFilter):
    """By when they were submitted, and by how long they have been going without an end."""

    title = "age"
    parameter_name = "age"

    _YOUNGER = {
        "hour": ("Of the last hour", timedelta(hours=1)),
        "day": ("Of the last 24 hours", timedelta(days=1)),
        "week": ("Of the last 7 days", timedelta(days=7)),
    }
    _UNFINISHED = {
        "unfinished": ("Unfinished", timedelta(0)),
        "unfinished-15m": ("Unfinished after 15 minutes", timedelta(minutes=15)),
        "unfinished-1d": ("Unfinished after a day", timedelta(days=1)),
    }

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Lookups:
        """Young ones, then those that take long."""
        return [(name, label) for name, (label, _) in (self._YOUNGER | self._UNFINISHED).items()]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        """By the database's clock."""
        if self.value() in self._YOUNGER:
            return queryset.filter(created_at__gte=Now() - self._YOUNGER[str(self.value())][1])
        if self.value() in self._UNFINISHED:
            return queryset.filter(finished_at=None, created_at__lte=Now() - self._UNFINISHED[str(self.value())][1])
        return queryset
