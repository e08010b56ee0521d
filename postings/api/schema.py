"""The shop's part of the OpenAPI description."""

from typing import Any, Final

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers

from pipeline.api.schema import Decorator, describe_accept, problems
from postings.api.serializers import PostingSubmission
from postings.models import EmploymentType, SalaryUnit

_LOGO: Final = "PNG, JPEG or WebP of at most 2 MiB and 4096 by 4096 pixels, one frame; decided by its bytes."
CURSOR: Final = (
    r"^20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{6})?Z"
    r"_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
)
_RECAPTCHA: Final = "Needed only where reCAPTCHA is switched on. Not part of what makes two submissions the same."


class PostingJson(PostingSubmission):
    """A posting as JSON."""

    logo = serializers.CharField(required=False, help_text=f"Base64, with or without `data:` prefix. {_LOGO}")
    recaptcha_token = serializers.CharField(required=False, help_text=_RECAPTCHA)


class PostingForm(PostingSubmission):
    """A posting as a form."""

    logo = serializers.FileField(required=False, help_text=_LOGO)
    recaptcha_token = serializers.CharField(required=False, help_text=_RECAPTCHA)


class Price(serializers.Serializer[Any]):
    """An amount in the smallest unit that Stripe charges in the currency: ISO 4217's minor unit but in ISK and UGX
    (hundredths, in whole hundreds) and MGA (whole).
    """

    amount = serializers.IntegerField()
    currency = serializers.CharField()


class PlanResource(serializers.Serializer[Any]):
    """A plan on sale."""

    slug = serializers.CharField()
    name = serializers.CharField()
    price = Price()
    duration_days = serializers.IntegerField()


class Salary(serializers.Serializer[Any]):
    """In the currency's minor unit."""

    min = serializers.IntegerField()
    max = serializers.IntegerField(allow_null=True)
    currency = serializers.CharField()
    unit = serializers.ChoiceField(SalaryUnit.choices)


class PostingResource(serializers.Serializer[Any]):
    """A published posting."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    company_name = serializers.CharField()
    company_website = serializers.URLField(allow_null=True)
    description = serializers.CharField(help_text="Markdown, as submitted: sanitise what you render.")
    employment_type = serializers.ChoiceField(EmploymentType.choices)
    location = serializers.CharField(allow_null=True)
    country = serializers.CharField()
    remote = serializers.BooleanField()
    salary = Salary(allow_null=True)
    apply_url = serializers.URLField(allow_null=True)
    apply_email = serializers.EmailField(allow_null=True)
    url = serializers.URLField()
    logo_url = serializers.URLField(allow_null=True)
    published_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


def _page(name: str, results: Any) -> Any:
    fields = {
        "next": serializers.URLField(allow_null=True),
        "previous": serializers.URLField(allow_null=True),
        "results": results,
    }
    return type(name, (serializers.Serializer,), fields)


PlanPage: Final = _page("PlanPage", PlanResource(many=True))
PostingPage: Final = _page("PostingPage", PostingResource(many=True))

describe_submission: Final[Decorator] = describe_accept(
    "Submit a posting",
    {"multipart/form-data": PostingForm, "application/json": PostingJson},
    operation_id="submit_posting",
    description="The price is the plan's: one that is sent is ignored, like every unknown field. Text is composed "
    "(Unicode NFC) before it is compared and stored. What looks like a card number is refused in every field. "
    "Without a logo leave the field out: one that is there and empty is refused.",
)
describe_postings: Final[Decorator] = extend_schema(
    operation_id="postings",
    summary="Published postings, newest first",
    parameters=[OpenApiParameter("after", {"type": "string", "pattern": CURSOR}, description="As `next` has it.")],
    responses={200: PostingPage} | problems(401),
)
describe_posting: Final[Decorator] = extend_schema(
    operation_id="posting", summary="One published posting", responses={200: PostingResource} | problems(404)
)
describe_plans: Final[Decorator] = extend_schema(
    operation_id="plans", summary="Plans on sale, by price", responses={200: PlanPage} | problems()
)
