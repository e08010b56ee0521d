"""What was found outside and should not be there: looked at, acknowledged, resolved with a note."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pipeline import findings
from pipeline.admin.lookups import OwnFiltersOnly
from pipeline.admin.pages import context
from pipeline.admin.read_only import ReadOnly
from pipeline.admin.reasons import NoteForm
from pipeline.errors import IllegalAction
from pipeline.models import Finding

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Finding]
else:
    _ModelAdmin = admin.ModelAdmin


@admin.register(Finding)
class FindingAdmin(OwnFiltersOnly, ReadOnly, _ModelAdmin):
    """What `manage.py reconcile` has found; those with `operate_pipeline` acknowledge and resolve."""

    list_display = ["kind", "object_id", "pipeline", "state", "why", "found_at", "by"]
    list_filter = ["state", "kind"]
    search_fields = ["object_id", "pipeline_id"]
    search_help_text = "What its provider calls it, or a pipeline's whole id."
    actions = ["acknowledge", "resolve"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whoever operates pipelines."""
        return request.user.has_perm("pipeline.operate_pipeline") and self.has_view_permission(request)

    @admin.display(description="pipeline", empty_value="-")
    def pipeline(self, finding: Finding) -> SafeString | None:
        """Its page; there may be no such pipeline any more."""
        if finding.pipeline_id is None:
            return None
        address = reverse("admin:pipeline_pipeline_change", args=[finding.pipeline_id])
        return format_html('<a href="{}">{}</a>', address, finding.pipeline_id)

    @admin.action(description="Acknowledge (asks for a note)", permissions=["operate"])
    def acknowledge(self, request: HttpRequest, rows: QuerySet[Finding]) -> HttpResponse | None:
        """A person is at it."""
        return self._decide(request, rows, "acknowledge", findings.acknowledge)

    @admin.action(description="Resolve (asks for a note)", permissions=["operate"])
    def resolve(self, request: HttpRequest, rows: QuerySet[Finding]) -> HttpResponse | None:
        """A person has decided; it is not raised again."""
        return self._decide(request, rows, "resolve", findings.resolve)

    def _decide(
        self, request: HttpRequest, rows: QuerySet[Finding], name: str, decide: Callable[..., None]
    ) -> HttpResponse | None:
        form = NoteForm(request.POST if "apply" in request.POST else None)
        if not form.is_valid():
            shown = context(self, request, name.capitalize()) | {
                "action": name,
                "selected": [finding.pk for finding in rows],
                "findings": rows,
                "form": form,
                "back": request.get_full_path(),
            }
            return TemplateResponse(request, "admin/pipeline/finding/decide.html", shown)
        for finding in rows:
            try:
                decide(finding.pk, by=request.user.get_username(), note=form.cleaned_data["note"])
            except IllegalAction as illegal:
                self.message_user(request, f"{finding}: {illegal}", messages.ERROR)
            else:
                self.message_user(request, f"{name.capitalize()}: {finding}, with your note.")
        return None
