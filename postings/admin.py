"""Plans are edited here; postings are looked at and withdrawn: their pipelines make, publish and end them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pipeline.admin.lookups import OwnFiltersOnly
from pipeline.admin.pages import context
from pipeline.admin.paginator import EstimatingPaginator
from pipeline.admin.read_only import ReadOnly
from pipeline.admin.reasons import ReasonForm
from pipeline.errors import IllegalAction
from postings import endings, presentation, staff_admin
from postings.models import Plan, Posting, PostingState
from postings.news.addresses import bad_news

if TYPE_CHECKING:
    _PlanAdmin = admin.ModelAdmin[Plan]
    _PostingAdmin = admin.ModelAdmin[Posting]
else:
    _PlanAdmin = _PostingAdmin = admin.ModelAdmin


__all__ = ["PlanAdmin", "PostingAdmin", "staff_admin"]

AT_ONCE = 100  # postings that one action withdraws; each is a pipeline of its own

admin.site.site_header = admin.site.site_title = "Job board"
admin.site.index_title = "Operations"


@admin.register(Plan)
class PlanAdmin(OwnFiltersOnly, _PlanAdmin):
    """A changed price is for new submissions only: each pipeline keeps the price that it began with."""

    list_display = ["name", "slug", "price", "duration_days", "is_on_sale"]
    list_filter = ["is_on_sale"]
    fields = ["name", "slug", "amount", "currency", "price", "duration_days", "is_on_sale"]
    readonly_fields = ["price"]

    @admin.display(description="price", ordering="amount", empty_value="-")
    def price(self, plan: Plan) -> str | None:
        """As customers see it, once it is saved."""
        return presentation.price(plan) if plan.pk else None


@admin.register(Posting)
class PostingAdmin(OwnFiltersOnly, ReadOnly, _PostingAdmin):
    """With links to the public page and to the pipelines; whoever may can withdraw."""

    list_display = ["title", "company_name", "state", "published_at", "expires_at"]
    list_filter = ["state"]
    ordering = ["-published_at"]
    sortable_by = ()
    list_per_page = 100
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = EstimatingPaginator
    actions = ["withdraw"]
    search_fields = ["slug__exact"]
    search_help_text = "A posting's whole slug, as in the address of its page."
    fields = [
        ("state", "page"),
        ("published_at", "expires_at"),
        ("plan", "made_by"),
        ("ended_at", "taken_down_by"),
        "customers_address",
        "title",
        ("company_name", "company_website"),
        "description",
        ("employment_type", "salary"),
        "place",
        ("apply_url", "apply_email"),
    ]
    readonly_fields = ["page", "made_by", "ended_at", "taken_down_by", "customers_address", "salary", "place"]

    @admin.display(description="public page", empty_value="-")
    def page(self, posting: Posting) -> SafeString | None:
        """None while it is hidden."""
        if posting.state != PostingState.PUBLISHED:
            return None
        address = reverse("postings:job", args=[posting.slug])
        return format_html('<a href="{}">{}</a>', address, address)

    @admin.display(description="pipeline")
    def made_by(self, posting: Posting) -> SafeString:
        """The one that made it."""
        return _pipeline_link(posting.pipeline_id)

    @admin.display(description="taken down by", empty_value="-")
    def taken_down_by(self, posting: Posting) -> SafeString | None:
        """The pipeline of its withdrawal or expiry, as soon as that has begun."""
        return _pipeline_link(posting.ended_by) if posting.ended_by else None

    @admin.display(description="customer's address")
    def customers_address(self, posting: Posting) -> str:
        """Whether it takes mail, by the last events about it; never the address itself."""
        ours = [pipeline for pipeline in (posting.pipeline_id, posting.ended_by) if pipeline]
        bad = bad_news(ours)
        return f"Bad. {'; '.join(bad)}" if bad else "Nothing bad is known of it."

    @admin.action(description="Withdraw and refund (asks for a reason)", permissions=["withdraw"])
    def withdraw(self, request: HttpRequest, rows: QuerySet[Posting]) -> HttpResponse | None:
        """Ask for one reason, then start a withdrawal of each of the selected."""
        postings = list(rows[: AT_ONCE + 1])
        if len(postings) > AT_ONCE:
            self.message_user(request, f"Select at most {AT_ONCE} postings at once.", messages.ERROR)
            return None
        form = ReasonForm(request.POST if "apply" in request.POST else None)
        if form.is_valid():
            for posting in postings:
                self._withdraw(request, posting, form.cleaned_data["reason"])
            return None
        shown = context(self, request, "Withdraw and refund") | {
            "action": "withdraw",
            "selected": [posting.pk for posting in postings],
            "postings": [(posting, presentation.price(posting.plan)) for posting in postings],
            "form": form,
            "back": request.get_full_path(),
        }
        return TemplateResponse(request, "admin/postings/posting/withdraw.html", shown)

    def _withdraw(self, request: HttpRequest, posting: Posting, reason: str) -> None:
        try:
            started = endings.withdraw(posting, by=request.user.get_username(), reason=reason, user=request.user.pk)
        except IllegalAction as illegal:
            self.message_user(request, str(illegal), messages.ERROR)
            return
        doing = "is being withdrawn" if started.is_new else "was being withdrawn already"
        link = _pipeline_link(started.id)
        self.message_user(request, format_html("{} {}: follow pipeline {}.", str(posting), doing, link))

    def has_withdraw_permission(self, request: HttpRequest) -> bool:
        """A refund is no view: it has a permission of its own."""
        return request.user.has_perm("postings.withdraw_posting")

    @admin.display(description="salary", empty_value="-")
    def salary(self, posting: Posting) -> str | None:
        """As the public sees it."""
        return presentation.salary(posting) or None

    @admin.display(description="place")
    def place(self, posting: Posting) -> str:
        """As the public sees it."""
        return presentation.place(posting)


def _pipeline_link(pipeline: uuid.UUID) -> SafeString:
    address = reverse("admin:pipeline_pipeline_change", args=[pipeline])
    return format_html('<a href="{}">{}</a>', address, pipeline)
