"""The providers' circuits: read-only, but that a person may close one."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from pipeline import circuit
from pipeline.admin.lookups import OwnFiltersOnly
from pipeline.admin.outlook import failure
from pipeline.admin.pages import context, found
from pipeline.admin.read_only import ReadOnly
from pipeline.admin.reasons import ClosingForm
from pipeline.errors import IllegalAction
from pipeline.models import Circuit

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Circuit]
else:
    _ModelAdmin = admin.ModelAdmin


@admin.register(Circuit)
class CircuitAdmin(OwnFiltersOnly, ReadOnly, _ModelAdmin):
    """Providers that have failed. Staff with the view permission look; those with `close_circuit` close."""

    list_display = ["provider", "state", "failures", "last_error"]
    ordering = ["provider"]
    actions = None

    @admin.display(description="circuit")
    def state(self, row: Circuit) -> str:
        """Closed, or since when it is open, and when it is tried."""
        return circuit.told(row)

    @admin.display(description="last error", empty_value="-")
    def last_error(self, row: Circuit) -> str | None:
        """Of the outages since the last answer."""
        return failure(row.error) or None

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One circuit, and the form that closes it."""
        row = found(self, request, object_id)
        may_close = request.user.has_perm("pipeline.close_circuit")
        if request.method == "POST" and not may_close:
            raise PermissionDenied
        form = ClosingForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            self._close(request, row, form.cleaned_data["reason"])
            return HttpResponseRedirect(reverse("admin:pipeline_circuit_change", args=[row.pk]))
        shown = context(self, request, f"Circuit of {row.provider}") | {
            "row": row,
            "state": self.state(row),
            "error": self.last_error(row),
            "form": form if may_close and row.opened_at is not None else None,
            "back": reverse("admin:pipeline_circuit_changelist"),
        }
        return TemplateResponse(request, "admin/pipeline/circuit/circuit.html", shown)

    def _close(self, request: HttpRequest, row: Circuit, reason: str) -> None:
        try:
            circuit.close(row.provider, by=request.user.get_username(), reason=reason)
        except IllegalAction as illegal:
            self.message_user(request, str(illegal), messages.ERROR)
            return
        self.log_change(request, row, f"Closed: {reason}")
        self.message_user(request, f"The circuit of {row.provider} is closed: its jobs come back over the next minute.")
