"""The list of pipelines and the page of one: read-only, with the operators' actions."""

import uuid
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from pipeline.admin.filters import AgeFilter, AttentionFilter, WorkflowFilter
from pipeline.admin.lookups import OwnFiltersOnly
from pipeline.admin.operations import OPERATIONS, Operation, SkipForm, perform
from pipeline.admin.outlook import failure, jobs_at_work, outlook
from pipeline.admin.pages import context, found
from pipeline.admin.paginator import EstimatingPaginator
from pipeline.admin.read_only import ReadOnly
from pipeline.admin.reasons import ReasonForm
from pipeline.admin.timeline import SHOWN_EVENTS, as_text, newest_events, step_rows
from pipeline.marks import standing_of
from pipeline.models import Pipeline, Step
from pipeline.states import PipelineState

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Pipeline]
else:
    _ModelAdmin = admin.ModelAdmin

AT_ONCE = 500  # pipelines that one bulk action takes; each is a transaction of its own


def _bulk(name: str) -> Any:
    """One of the operations as an action of the list."""
    operation = OPERATIONS[name]

    @admin.action(description=f"{operation.label} (asks for a reason)", permissions=["operate"])
    def action(model_admin: "PipelineAdmin", request: HttpRequest, rows: QuerySet[Pipeline]) -> HttpResponse | None:
        return model_admin.operate_on_many(request, operation, rows)

    action.__name__ = name
    return action


@admin.register(Pipeline)
class PipelineAdmin(OwnFiltersOnly, ReadOnly, _ModelAdmin):
    """Staff with the view permission look; those with `operate_pipeline` act, and see the input."""

    list_display = [
        "short_id",
        "state_shown",
        "attention_shown",
        "workflow",
        "age",
        "at_work",
        "last_error",
        "attempts",
    ]
    list_filter = ["state", WorkflowFilter, AttentionFilter, AgeFilter]
    list_per_page = 100
    list_max_show_all = 100
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each facet would count the table
    paginator = EstimatingPaginator
    ordering = ["-created_at"]
    sortable_by = ["age"]
    search_fields = ["id", "key"]
    search_help_text = "A pipeline's whole id, or a whole Idempotency-Key."
    actions = [_bulk(name) for name in ("retry_now", "resume", "roll_back", "acknowledge", "erase")]

    class Media:
        css = {"all": ["pipeline/admin.css"]}

    # --- permissions ----------------------------------------------------------------------------

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the user may act, and see what the customer has submitted."""
        return request.user.has_perm("pipeline.operate_pipeline") and self.has_view_permission(request)

    # --- the list ---------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pipeline]:
        """Without the large columns, and with every step in one query more."""
        return super().get_queryset(request).defer("input", "secrets", "result").prefetch_related("steps")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Pipeline], search_term: str
    ) -> tuple[QuerySet[Pipeline], bool]:
        """By whole id or whole key only: both have an index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(pk=uuid.UUID(term)), False
        except ValueError:
            return queryset.filter(key=term.strip('"')), False

    @admin.display(description="id")
    def short_id(self, pipeline: Pipeline) -> SafeString:
        """Enough of it to tell two apart."""
        whole = str(pipeline.pk)
        return format_html('<code class="short" title="{}">{}…{}</code>', whole, whole[:8], whole[-6:])

    @admin.display(description="state")
    def state_shown(self, pipeline: Pipeline) -> SafeString:
        """A word; its colour says nothing more."""
        return state_label(pipeline.state, PipelineState(pipeline.state).label)

    @admin.display(description="age", ordering="-created_at")
    def age(self, pipeline: Pipeline) -> str:
        """Since it was submitted."""
        return timesince(pipeline.created_at, timezone.now(), depth=1)

    @admin.display(description="step at work", empty_value="-")
    def at_work(self, pipeline: Pipeline) -> str | None:
        """The steps whose jobs are open."""
        return ", ".join(step.name for step, _ in jobs_at_work(pipeline, self._steps(pipeline))) or None

    @admin.display(description="last error", empty_value="-")
    def last_error(self, pipeline: Pipeline) -> str | None:
        """Of a step at work, or why it turned back."""
        for step, _ in jobs_at_work(pipeline, self._steps(pipeline)):
            if step.error:
                return f"{step.name}: {failure(step.error)}"
        return str(pipeline.error["code"]) if pipeline.error else None

    @admin.display(description="attempts")
    def attempts(self, pipeline: Pipeline) -> int:
        """The most that one job of it has needed."""
        return max((step.attempts for step in self._steps(pipeline)), default=0)

    @admin.display(description="attention", empty_value="-")
    def attention_shown(self, pipeline: Pipeline) -> SafeString | None:
        """A mark in words."""
        return attention_label() if pipeline.attention else None

    def _steps(self, pipeline: Pipeline) -> list[Step]:
        return list(pipeline.steps.all())  # prefetched, in order of position

    # --- one pipeline -------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """The admin's, and one for an operation on one pipeline."""
        operate = self.admin_site.admin_view(self.operate_view)
        own = path("<uuid:pipeline_id>/operate/<slug:name>/", operate, name="pipeline_pipeline_operate")
        return [own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Everything there is to know about one pipeline."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        pipeline = found(self, request, object_id)
        steps = self._steps(pipeline)
        may_operate = self.has_operate_permission(request)
        events = newest_events(pipeline)
        shown = context(self, request, str(pipeline)) | {
            "pipeline": pipeline,
            "state": self.state_shown(pipeline),
            "attention": self.attention_shown(pipeline),
            "outlook": outlook(pipeline, steps),
            "marks": standing_of(pipeline.pk) if pipeline.attention else [],
            "error": as_text(pipeline.error),
            "result": as_text(pipeline.result),
            "next_action": as_text(pipeline.next_action),
            "submitted": as_text(pipeline.input) if may_operate else None,
            "may_operate": may_operate,
            "operations": _offered(pipeline, steps) if may_operate else [],
            "rows": [(row, state_label(row.step.state, row.step.get_state_display())) for row in step_rows(steps)],
            "events": events,
            "earlier_events": max(pipeline.seq - SHOWN_EVENTS, 0),
        }
        return TemplateResponse(request, "admin/pipeline/pipeline/pipeline.html", shown)

    def operate_view(self, request: HttpRequest, pipeline_id: uuid.UUID, name: str) -> HttpResponse:
        """Ask for the reason, then act on one pipeline."""
        operation = OPERATIONS.get(name)
        if operation is None:
            raise Http404(f"There is no operation {name!r}.")
        if not self.has_operate_permission(request):
            raise PermissionDenied
        pipeline = found(self, request, str(pipeline_id))
        form = self._form(request, operation, pipeline, is_sent=request.method == "POST")
        if form.is_valid():
            self._perform(request, operation, [pipeline], form)
            return HttpResponseRedirect(_address(pipeline))
        return self._ask(request, operation, [pipeline], form, back=_address(pipeline))

    # --- acting --------------------------------------------------------------------------------------

    def operate_on_many(
        self, request: HttpRequest, operation: Operation, rows: QuerySet[Pipeline]
    ) -> HttpResponse | None:
        """Ask for one reason, then act on each of the selected."""
        pipelines = list(rows[: AT_ONCE + 1])
        if len(pipelines) > AT_ONCE:
            self.message_user(request, f"Select at most {AT_ONCE} pipelines at once.", messages.ERROR)
            return None
        form = self._form(request, operation, None, is_sent="apply" in request.POST)
        if form.is_valid():
            self._perform(request, operation, pipelines, form)
            return None
        return self._ask(request, operation, pipelines, form, back=request.get_full_path(), is_bulk=True)

    def _form(
        self, request: HttpRequest, operation: Operation, pipeline: Pipeline | None, *, is_sent: bool
    ) -> forms.Form:
        data = request.POST if is_sent else None
        if operation.takes_step and pipeline is not None:
            return SkipForm(data, steps=self._steps(pipeline))
        return ReasonForm(data)

    def _perform(self, request: HttpRequest, operation: Operation, pipelines: list[Pipeline], form: forms.Form) -> None:
        refusals = perform(
            operation,
            pipelines,
            step=form.cleaned_data.get("step", ""),
            by=request.user.get_username(),
            reason=form.cleaned_data["reason"],
        )
        done = len(pipelines) - len(refusals)
        if done:
            which = str(pipelines[0]) if len(pipelines) == 1 else f"{done} pipelines"
            self.message_user(request, f"{operation.label}: asked of {which}, and written to the history.")
        for refusal in refusals:
            self.message_user(request, refusal, messages.ERROR)

    def _ask(
        self,
        request: HttpRequest,
        operation: Operation,
        pipelines: list[Pipeline],
        form: forms.Form,
        *,
        back: str,
        is_bulk: bool = False,
    ) -> HttpResponse:
        shown = context(self, request, operation.label) | {
            "operation": operation,
            "pipelines": [(pipeline, self.state_shown(pipeline), _address(pipeline)) for pipeline in pipelines],
            "form": form,
            "action": operation.name if is_bulk else None,
            "selected": [pipeline.pk for pipeline in pipelines],
            "back": back,
        }
        return TemplateResponse(request, "admin/pipeline/pipeline/operate.html", shown)


def state_label(state: str, label: str) -> SafeString:
    """The state as a word in its colour."""
    return format_html('<span class="state state-{}">{}</span>', state, label)


def attention_label() -> SafeString:
    """The mark of a pipeline that needs a person."""
    return format_html('<strong class="state state-attention">{}</strong>', "Needs attention")


def _offered(pipeline: Pipeline, steps: list[Step]) -> list[tuple[Operation, str]]:
    """The operations that its state allows, each with its address."""
    return [
        (operation, reverse("admin:pipeline_pipeline_operate", args=[pipeline.pk, operation.name]))
        for operation in OPERATIONS.values()
        if operation.is_offered(pipeline, steps)
    ]


def _address(pipeline: Pipeline) -> str:
    return reverse("admin:pipeline_pipeline_change", args=[pipeline.pk])
