"""Plan and Posting, which the shop sells and shows; and PendingNews, events that are still to be settled."""

import uuid

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from postings.prices import wrong_price


class EmploymentType(models.TextChoices):
    """schema.org's values of JobPosting.employmentType."""

    FULL_TIME = "FULL_TIME", "Full time"
    PART_TIME = "PART_TIME", "Part time"
    CONTRACTOR = "CONTRACTOR", "Contractor"
    TEMPORARY = "TEMPORARY", "Temporary"
    INTERN = "INTERN", "Internship"
    VOLUNTEER = "VOLUNTEER", "Volunteer"
    PER_DIEM = "PER_DIEM", "Per diem"
    OTHER = "OTHER", "Other"


class SalaryUnit(models.TextChoices):
    """What a salary is paid per."""

    HOUR = "HOUR", "hour"
    DAY = "DAY", "day"
    WEEK = "WEEK", "week"
    MONTH = "MONTH", "month"
    YEAR = "YEAR", "year"


class Plan(models.Model):
    """What a posting costs and how long it stays. Prices are in the unit that Stripe charges (postings/prices.py)."""

    slug = models.SlugField(unique=True, max_length=50)
    name = models.CharField(max_length=100)
    amount = models.PositiveIntegerField(
        help_text="In the smallest unit that Stripe charges (cents): 4900 is 49.00 EUR, 4900 JPY and 49 UGX."
    )
    currency = models.CharField(max_length=3, default="EUR", help_text="ISO 4217, upper case.")
    duration_days = models.PositiveSmallIntegerField()
    is_on_sale = models.BooleanField(default=True)

    class Meta:
        ordering = ["amount", "slug"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="plan_costs_something"),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="plan_currency_is_iso"),
            models.CheckConstraint(condition=Q(duration_days__gt=0), name="plan_lasts"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """ValidationError at the field of a price that Stripe does not charge."""
        if self.amount is None or not self.currency:  # type: ignore[redundant-expr] # a field may have been refused
            return
        if wrong := wrong_price(self.amount, self.currency):
            field, text = wrong
            raise ValidationError({field: text})


class PostingState(models.TextChoices):
    """Whether the public sees a posting."""

    HIDDEN = "hidden", "Hidden"
    # Staged: inserted with its pipeline's step, seen by nobody.
    PUBLISHED = "published", "Published"
    # Committed: on the board.
    WITHDRAWN = "withdrawn", "Withdrawn"
    # Taken down and refunded by staff: its page answers 410.
    EXPIRED = "expired", "Expired"
    # Taken down at the end of its time, which the customer has had: nothing is refunded.


class Posting(models.Model):
    """One job posting. Its id is public; the pipeline that made it is not."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pipeline_id = models.UUIDField(unique=True, editable=False)
    slug = models.SlugField(unique=True, max_length=160)
    state = models.CharField(max_length=10, choices=PostingState, default=PostingState.HIDDEN)

    title = models.CharField(max_length=120)
    company_name = models.CharField(max_length=120)
    company_website = models.URLField(blank=True, max_length=500)
    description = models.TextField(help_text="Markdown, as submitted.")
    # The sanitised HTML of the description, and the version that rendered it (postings/markdown.py).
    description_html = models.TextField(db_default="", editable=False)
    description_version = models.PositiveSmallIntegerField(db_default=0, editable=False)
    employment_type = models.CharField(max_length=12, choices=EmploymentType)
    location = models.CharField(max_length=120, blank=True)
    country = models.CharField(max_length=2)
    remote = models.BooleanField(default=False)
    salary_min = models.PositiveBigIntegerField(null=True, blank=True)
    salary_max = models.PositiveBigIntegerField(null=True, blank=True)
    salary_currency = models.CharField(max_length=3, blank=True)
    salary_unit = models.CharField(max_length=5, choices=SalaryUnit, blank=True)
    apply_url = models.URLField(blank=True, max_length=500)
    apply_email = models.EmailField(blank=True)

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT)
    logo_key = models.CharField(max_length=200, blank=True, editable=False)
    # A refund needs these. They are kept as long as the posting: its pipeline may be reaped while it is still public.
    intent = models.CharField(max_length=255, blank=True, default="", db_default="", editable=False)
    sale = models.JSONField(
        blank=True, default=dict, db_default={}, editable=False
    )  # {"plan", "contact_email"}; erased with it
    created_at = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.UUIDField(null=True, blank=True, editable=False)  # the pipeline that takes it down
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    is_erased = models.BooleanField(default=False, editable=False)  # of what may be personal, after it ended

    class Meta:
        ordering = ["-published_at"]
        permissions = [("withdraw_posting", "Can withdraw a posting and refund it")]
        constraints = [
            models.CheckConstraint(
                condition=Q(published_at__isnull=False, expires_at__isnull=False) | Q(state=PostingState.HIDDEN),
                name="posting_published_has_dates",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[PostingState.HIDDEN, PostingState.PUBLISHED], ended_at=None)
                | Q(
                    state__in=[PostingState.WITHDRAWN, PostingState.EXPIRED],
                    ended_by__isnull=False,
                    ended_at__isnull=False,
                ),
                name="posting_ended_by_a_pipeline",
            ),
            models.CheckConstraint(
                condition=(Q(is_erased=True) | ~Q(apply_url="", apply_email=""))
                & (Q(apply_url="") | Q(apply_email="")),
                name="posting_one_way_to_apply",
            ),
            models.CheckConstraint(
                condition=Q(is_erased=False) | Q(state__in=[PostingState.WITHDRAWN, PostingState.EXPIRED]),
                name="posting_erased_only_when_ended",
            ),
            models.CheckConstraint(condition=Q(is_erased=False) | Q(sale={}), name="posting_erased_names_no_buyer"),
        ]
        indexes = [
            models.Index(fields=["state", "-published_at"], name="posting_board"),
            models.Index(fields=["-published_at"], name="posting_by_age"),
            models.Index(
                fields=["expires_at"],
                name="posting_to_expire",
                condition=Q(state=PostingState.PUBLISHED, ended_by=None),
            ),
            models.Index(
                fields=["ended_at"],
                name="posting_to_erase",
                condition=Q(is_erased=False, ended_at__isnull=False),
            ),
            models.Index(fields=["intent"], name="posting_by_intent", condition=~Q(intent="")),
        ]

    def __str__(self) -> str:
        return f"{self.title} at {self.company_name}"


class IndexingDay(models.Model):
    """How many notifications Google was sent on one day of its quota, which begins at midnight Pacific time."""

    day = models.DateField(primary_key=True)
    told = models.PositiveSmallIntegerField()

    def __str__(self) -> str:
        return f"{self.day}: {self.told}"


class PendingNews(models.Model):
    """An event that could not be settled when it came (postings/news/pending.py). Deleted once it is settled."""

    inbox_id = models.BigIntegerField(unique=True)  # of the engine's Inbox, which holds the event itself
    provider = models.CharField(max_length=30)
    news = models.JSONField()  # ids at the provider's; nothing personal
    made_at = models.DateTimeField(db_default=Now())
    look_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        default_permissions = ["view"]

    def __str__(self) -> str:
        return f"{self.provider} event {self.inbox_id}"
