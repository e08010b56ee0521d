"""What a posting's submission must be (API.md's table of fields), and how postings and plans are shown."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pycountry
from django.core.validators import RegexValidator
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from pipeline.api.fields import Address, Choice, Email, Flag, Line, Text, Whole, as_flag
from pipeline.api.resource import rfc3339
from postings.markdown import TooComplex, rendered
from postings.models import EmploymentType, Plan, Posting, SalaryUnit

# No salary in any currency's minor unit comes near; PostgreSQL's and JavaScript's integers reach further.
LARGEST_SALARY = 10**12

# Not given, null and "" are the same.
_OPTIONAL: Final[dict[str, Any]] = {"required": False, "default": "", "allow_blank": True, "allow_null": True}

Json = dict[str, Any]


class CountryField(Line):
    """ISO 3166-1 alpha-2."""

    default_error_messages = {"unknown_country": "Send a country's code of two letters (ISO 3166-1), such as DE."}

    def to_internal_value(self, data: Any) -> str:
        """The code in upper case."""
        code = super().to_internal_value(data).upper()
        if not (code.isascii() and len(code) == 2 and pycountry.countries.get(alpha_2=code)):
            self.fail("unknown_country")
        return code


class CurrencyField(Line):
    """ISO 4217."""

    default_error_messages = {"unknown_currency": "Send a currency's code of three letters (ISO 4217), such as EUR."}

    def to_internal_value(self, data: Any) -> str:
        """The code in upper case."""
        code = super().to_internal_value(data).upper()
        if not (code.isascii() and len(code) == 3 and pycountry.currencies.get(alpha_3=code)):
            self.fail("unknown_currency")
        return code


class PlanField(Line):
    """The slug of a plan on sale; its value is the Plan. The price is the server's."""

    default_error_messages = {"unknown_plan": "There is no such plan on sale: see /api/v1/plans/."}

    def to_internal_value(self, data: Any) -> Any:
        """One lookup, and only for what may be a slug."""
        slug = super().to_internal_value(data)
        plan = Plan.objects.filter(slug=slug, is_on_sale=True).first() if len(slug) <= 50 else None
        if plan is None:
            self.fail("unknown_plan")
        return plan


class Markdown(Text):
    """Text that becomes a page of bounded size. It is rendered here once, as it will be when it is stored."""

    default_error_messages = {
        "too_complex": "The formatting is too complex: use smaller tables, shorter lists and fewer links."
    }

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """The Markdown itself. Lastly, as only a text of an allowed length is cheap to render."""
        value = super().run_validation(data)
        try:
            rendered(value)
        except TooComplex:
            self.fail("too_complex")
        return value


class PostingSubmission(serializers.Serializer[Any]):
    """A posting as it is submitted. Unknown fields are ignored; a price among them too: it is the server's."""

    title = Line(min_length=3, max_length=120)
    company_name = Line(max_length=120)
    company_website = Address(**_OPTIONAL, help_text="https only; stored, never fetched.")
    description = Markdown(min_length=30, max_length=20_000, help_text="Markdown.")
    employment_type = Choice(EmploymentType.choices)
    location = Line(**_OPTIONAL, max_length=120, help_text="Required unless `remote` is true.")
    country = CountryField(help_text="ISO 3166-1 alpha-2.")
    remote = Flag(required=False, default=False)
    salary_min = Whole(required=False, default=None, allow_null=True, min_value=0, max_value=LARGEST_SALARY)
    salary_max = Whole(required=False, default=None, allow_null=True, min_value=0, max_value=LARGEST_SALARY)
    salary_currency = CurrencyField(**_OPTIONAL, help_text="ISO 4217.")
    salary_unit = Choice(SalaryUnit.choices, **_OPTIONAL)
    apply_url = Address(**_OPTIONAL, schemes=("https", "http"))
    apply_email = Email(**_OPTIONAL, max_length=254)
    contact_email = Email(max_length=254, help_text="The paying customer: receipts go here.")
    contact_phone = Line(
        **_OPTIONAL,
        validators=[RegexValidator(r"\A\+[1-9]\d{6,14}\Z", "Send a number as +4940123456 (E.164).", "invalid_phone")],
    )
    plan = PlanField(help_text="Slug of a plan on sale. The price always comes from the server.")
    payment_method = Line(
        max_length=255,
        validators=[
            RegexValidator(
                r"\Apm_[A-Za-z0-9_]+\Z",
                "Send the id of a Stripe PaymentMethod (pm_…), never a card's number.",
                "invalid_payment_method",
            )
        ],
    )

    def to_internal_value(self, data: Any) -> Json:
        """The valid values; one ValidationError with the errors of all fields and of their combinations."""
        errors: dict[str, list[ErrorDetail]] = {}
        values: Json = {}
        try:
            values = dict(super().to_internal_value(data))
        except serializers.ValidationError as error:
            errors = dict(error.detail)  # type: ignore[arg-type] # of a serializer it is a dict
        for check in (_check_place, _check_salary, _check_way_to_apply):
            for name, wrong in check(data, values).items():
                errors.setdefault(name, [wrong])
        if errors:
            raise serializers.ValidationError(errors)
        return values


Given = Mapping[str, Any]
Wrong = dict[str, ErrorDetail]
Check = Callable[[Given, Given], Wrong]


def _check_place(given: Given, _: Given) -> Wrong:
    if given.get("location") or as_flag(given.get("remote")):
        return {}
    return {"location": ErrorDetail("Name the place, or say that the job is remote.", "required")}


def _check_salary(given: Given, values: Given) -> Wrong:
    """All or none, but for `salary_max`; from the least to the most."""
    names = ("salary_min", "salary_currency", "salary_unit")
    wrong: Wrong = {}
    if any(name in given for name in (*names, "salary_max")):
        text = "A salary has salary_min, salary_currency and salary_unit (and salary_max if you like)."
        wrong = {name: ErrorDetail(text, "required") for name in names if name not in given}
    least, most = values.get("salary_min"), values.get("salary_max")
    if least is not None and most is not None and least > most:
        wrong["salary_max"] = ErrorDetail("The most is less than the least.", "less_than_minimum")
    return wrong


def _check_way_to_apply(given: Given, _: Given) -> Wrong:
    ways = [name for name in ("apply_url", "apply_email") if name in given]
    if len(ways) == 1:
        return {}
    code = "both_given" if ways else "required"
    return {
        name: ErrorDetail("Send exactly one of apply_url and apply_email.", code)
        for name in ("apply_url", "apply_email")
    }


class PlanSerializer(serializers.ModelSerializer[Plan]):
    """A plan on sale."""

    price = serializers.SerializerMethodField()

    class Meta:
        model = Plan
        fields = ["slug", "name", "price", "duration_days"]

    def get_price(self, plan: Plan) -> Json:
        """In the unit that Stripe charges (postings/prices.py)."""
        return {"amount": plan.amount, "currency": plan.currency}


def posting_json(posting: Posting, site: str) -> Json:
    """A published posting; `site` is scheme and host. Neither its pipeline nor its object key is in it."""
    page = f"{site}/jobs/{posting.slug}/"
    salary = {
        "min": posting.salary_min,
        "max": posting.salary_max,
        "currency": posting.salary_currency,
        "unit": posting.salary_unit,
    }
    return {
        "id": str(posting.pk),
        "title": posting.title,
        "company_name": posting.company_name,
        "company_website": posting.company_website or None,
        "description": posting.description,
        "employment_type": posting.employment_type,
        "location": posting.location or None,
        "country": posting.country,
        "remote": posting.remote,
        "salary": salary if posting.salary_min is not None else None,
        "apply_url": posting.apply_url or None,
        "apply_email": posting.apply_email or None,
        "url": page,
        "logo_url": f"{page}logo" if posting.logo_key else None,
        "published_at": rfc3339(posting.published_at),
        "expires_at": rfc3339(posting.expires_at),
    }
