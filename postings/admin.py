"""Plans are edited here; postings are only looked at: their pipelines make, publish and remove them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pipeline.admin.paginator import EstimatingPaginator
from postings import presentation
from postings.models import Plan, Posting, PostingState

if TYPE_CHECKING:
    _PlanAdmin = admin.ModelAdmin[Plan]
    _PostingAdmin = admin.ModelAdmin[Posting]
else:
    _PlanAdmin = _PostingAdmin = admin.ModelAdmin


admin.site.site_header = admin.site.site_title = "Job board"
admin.site.index_title = "Operations"


@admin.register(Plan)
class PlanAdmin(_PlanAdmin):
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
class PostingAdmin(_PostingAdmin):
    """Read-only, with links to the public page and to the pipeline."""

    list_display = ["title", "company_name", "state", "published_at", "expires_at"]
    list_filter = ["state"]
    ordering = ["-published_at"]
    sortable_by = ()
    list_per_page = 100
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = EstimatingPaginator
    search_fields = ["slug__exact"]
    search_help_text = "A posting's whole slug, as in the address of its page."
    fields = [
        ("state", "page"),
        ("published_at", "expires_at"),
        ("plan", "made_by"),
        "title",
        ("company_name", "company_website"),
        "description",
        ("employment_type", "salary"),
        "place",
        ("apply_url", "apply_email"),
    ]
    readonly_fields = ["page", "made_by", "salary", "place"]

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
        address = reverse("admin:pipeline_pipeline_change", args=[posting.pipeline_id])
        return format_html('<a href="{}">{}</a>', address, posting.pipeline_id)

    @admin.display(description="salary", empty_value="-")
    def salary(self, posting: Posting) -> str | None:
        """As the public sees it."""
        return presentation.salary(posting) or None

    @admin.display(description="place")
    def place(self, posting: Posting) -> str:
        """As the public sees it."""
        return presentation.place(posting)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Postings are made by pipelines."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Posting | None = None) -> bool:
        """What was paid for is not edited by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Posting | None = None) -> bool:
        """A paid posting is not deleted by hand."""
        return False
