"""The form at /post/: how the API's fields are asked for, and what was typed shown again.

It validates nothing by itself: postings/submission.py does, for the API and for this form alike.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.conf import settings
from django.forms.utils import ErrorDict, ErrorList
from django.http import QueryDict

from pipeline.api.cards import has_card_number
from pipeline.api.fields import LONGEST_VALUE
from postings import captcha
from postings.models import EmploymentType, Plan, SalaryUnit
from postings.money import minor
from postings.presentation import countries, currencies, price

# Stripe's own test cards, for a sandbox: https://docs.stripe.com/testing
TEST_CARDS: Final = (
    ("pm_card_visa", "Visa: accepted"),
    ("pm_card_mastercard", "Mastercard: accepted"),
    ("pm_card_authenticationRequired", "Asks for confirmation by the bank (3-D Secure)"),
    ("pm_card_chargeDeclined", "Declined"),
    ("pm_card_visa_chargeDeclinedInsufficientFunds", "Declined: insufficient funds"),
    ("pm_card_chargeDeclinedExpiredCard", "Declined: expired card"),
    ("pm_card_chargeDeclinedIncorrectCvc", "Declined: incorrect security code"),
    ("pm_card_chargeDeclinedProcessingError", "Declined: processing error"),
)
_COMMON_CURRENCIES: Final = ("EUR", "USD", "GBP", "CHF")
_CHOOSE: Final = ("", "Choose …")
_AMOUNTS: Final = ("salary_min", "salary_max")
_KEY: Final = re.compile(r"[\x21-\x7e]{8,255}")
_AMOUNT: Final = re.compile(r"(\d{1,15}|\d{1,3}(,\d{3}){1,4})(\.\d{1,4})?", re.ASCII)


_NO_AMOUNT: Final = "Write an amount such as 52000 or 52000.50."
_ONE_WAY: Final = "Give either the address of a page or an email address."
# Where the API's sentence speaks to programs: by field and code.
_WORDS: Final = {
    ("salary_min", "invalid"): _NO_AMOUNT,
    ("salary_max", "invalid"): _NO_AMOUNT,
    ("salary_min", "required"): "A salary begins with its lower end.",
    ("apply_url", "required"): _ONE_WAY,
    ("apply_email", "required"): _ONE_WAY,
    ("apply_url", "both_given"): "Give only one of the two.",
    ("apply_email", "both_given"): "Give only one of the two.",
    ("plan", "unknown_plan"): "This plan is not on sale any more: choose another one.",
}

# Field to what is wrong with it, as (code, sentence); "" for what is wrong with none.
Errors = Mapping[str, Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Fieldset:
    """A group of fields under a legend. `hint` says what is optional where a mark at each field would mislead."""

    legend: str
    names: tuple[str, ...]
    hint: str = ""
    side_by_side: bool = False


FIELDSETS: Final = (
    Fieldset("The job", ("title", "employment_type", "description")),
    Fieldset("Where", ("location", "country", "remote")),
    Fieldset(
        "Salary (optional)",
        ("salary_min", "salary_max", "salary_currency", "salary_unit"),
        hint="Jobs that name their pay are found more often. The upper end may be left empty.",
        side_by_side=True,
    ),
    Fieldset("The company", ("company_name", "company_website", "logo")),
    Fieldset("How to apply", ("apply_url", "apply_email"), hint="Give one of the two, not both."),
    Fieldset("Plan and payment", ("plan", "payment_method")),
    Fieldset("Your contact details", ("contact_email", "contact_phone")),
)


class PostingForm(forms.Form):
    """One field a field of the API, the salary in major units. `idempotency_key` makes a double click one pipeline."""

    title = forms.CharField(min_length=3, max_length=120)
    employment_type = forms.ChoiceField(label="Kind of employment", choices=EmploymentType.choices)
    description = forms.CharField(
        min_length=30,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 12}),
        help_text="At least 30 characters. Markdown: **bold**, lists with -, headings with #.",
    )
    location = forms.CharField(
        required=False, max_length=120, label="Town", help_text="Not needed when the job is remote."
    )
    country = forms.ChoiceField(help_text="For a remote job: where applicants have to be.")
    remote = forms.BooleanField(required=False, label="The job can be done remotely")
    salary_min = forms.CharField(
        required=False, label="From", help_text="For example 52000.", widget=forms.TextInput({"inputmode": "decimal"})
    )
    salary_max = forms.CharField(
        required=False, label="To", help_text="For example 65000.", widget=forms.TextInput({"inputmode": "decimal"})
    )
    salary_currency = forms.ChoiceField(required=False, label="Currency", initial="EUR")
    salary_unit = forms.ChoiceField(
        required=False, label="Paid per", choices=SalaryUnit.choices, initial=SalaryUnit.YEAR
    )
    company_name = forms.CharField(max_length=120, label="Company name")
    company_website = forms.URLField(
        required=False, max_length=500, label="Website", assume_scheme="https", help_text="Begins with https://."
    )
    logo = forms.FileField(
        required=False,
        help_text="PNG, JPEG or WebP, at most 2 MiB and 4096 by 4096 pixels.",
        widget=forms.FileInput({"accept": "image/png,image/jpeg,image/webp"}),
    )
    apply_url = forms.URLField(
        required=False,
        max_length=500,
        label="Address of your application page",
        assume_scheme="https",
    )
    apply_email = forms.EmailField(required=False, label="Email address for applications", help_text="It is public.")
    plan = forms.ChoiceField(widget=forms.RadioSelect)
    payment_method = forms.ChoiceField(
        label="Test card",
        choices=[_CHOOSE, *TEST_CARDS],
        help_text="This shop takes no real cards: choose one of Stripe's test cards and see what becomes of it.",
    )
    contact_email = forms.EmailField(label="Email", help_text="The receipt is sent there. It is not published.")
    contact_phone = forms.CharField(
        required=False,
        label="Phone",
        help_text="With the country's code, such as +4940123456.",
        widget=forms.TextInput({"type": "tel", "autocomplete": "tel"}),
    )
    idempotency_key = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, data: QueryDict | None = None) -> None:
        if data is not None and not _is_key(data.get("idempotency_key", "")):
            data = _with(data, idempotency_key=new_key())
        super().__init__(data, initial={"idempotency_key": new_key()}, label_suffix="")
        self._choices("country", [_CHOOSE, *countries()])
        self._choices("salary_currency", _currencies())
        self._choices("plan", [(plan.slug, _offer(plan)) for plan in Plan.objects.filter(is_on_sale=True)])
        self.fields["contact_email"].widget.attrs["autocomplete"] = "email"
        if settings.STRIPE_PUBLISHABLE_KEY:
            self.fields["payment_method"] = _payment_method()

    def full_clean(self) -> None:
        """Nothing is validated here; `refuse` takes what the API's validation found."""
        self._errors = ErrorDict()
        self.cleaned_data: dict[str, Any] = {}

    @property
    def key(self) -> str:
        """The idempotency key of what was sent."""
        return str(self.data["idempotency_key"])

    def refuse(self, errors: Errors) -> None:
        """Show these; those of no field of ours stand above the form."""
        for name, found in errors.items():
            for code, detail in found:
                self.add_error(name if name in self.fields else None, _WORDS.get((name, code), detail))

    def forget_cards(self) -> None:
        """Empty the fields that hold a card number or a text that is far too long: neither is echoed."""
        hidden = [name for name, field in self.fields.items() if _may_hold_card(name, field, self.data.get(name, ""))]
        self.data = _with(self.data, **dict.fromkeys(hidden, ""))

    def renew_key(self) -> None:
        """The next submission of this form is a new one."""
        self.data = _with(self.data, idempotency_key=new_key())

    @property
    def groups(self) -> list[tuple[Fieldset, list[forms.BoundField]]]:
        """The fieldsets with their fields."""
        return [(group, [self[name] for name in group.names if name in self.fields]) for group in FIELDSETS]

    @property
    def problems(self) -> list[tuple[forms.BoundField, ErrorList]]:
        """The fields that are wrong, in the form's order, for the summary."""
        return [(self[name], self.errors[name]) for name in self.fields if name in self.errors]

    @property
    def has_plans(self) -> bool:
        """Whether there is anything to buy."""
        field = self.fields["plan"]
        return isinstance(field, forms.ChoiceField) and bool(field.widget.choices)

    def _choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices


def new_key() -> str:
    """An idempotency key for one rendering of the form."""
    return f"form-{uuid.uuid4()}"


def _is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None and not has_card_number(text)


def raw_fields(data: Mapping[str, str]) -> dict[str, Any]:
    """What the API would have been sent for this form, without the logo. Salaries in the minor unit, where they
    are amounts at all: anything else is passed on for the validation to refuse.
    """
    fields: dict[str, Any] = {
        name: data.get(name, "")
        for name in PostingForm.base_fields
        if name not in ("logo", "idempotency_key", "remote")
    }
    fields["remote"] = "remote" in data
    fields[captcha.FIELD] = data.get("g-recaptcha-response", "")
    if not any(fields[name].strip() for name in _AMOUNTS):
        fields |= {"salary_currency": "", "salary_unit": ""}  # chosen beforehand, but of no salary
    for name in _AMOUNTS:
        fields[name] = _in_minor_unit(fields[name].strip(), fields["salary_currency"])
    return {name: value for name, value in fields.items() if value not in ("", None)}


def _may_hold_card(name: str, field: forms.Field, value: str) -> bool:
    """By looking at twice what the field may hold, and never at more."""
    longest = 2 * (getattr(field, "max_length", None) or LONGEST_VALUE)
    return len(value) > longest or (has_card_number(value) and not _is_phone(name, value))


def _is_phone(name: str, value: str) -> bool:
    """Whether digits as many as a card's are a phone number in its field."""
    return name == "contact_phone" and value.strip().startswith("+")


def _with(data: Mapping[str, Any], **changed: str) -> QueryDict:
    """A copy with some values changed."""
    assert isinstance(data, QueryDict)
    copy = data.copy()
    for name, value in changed.items():
        copy[name] = value
    return copy


def _in_minor_unit(text: str, currency: str) -> int | str:
    """`52,000.50` of a currency with hundredths is 5200050; what is no such amount comes back as it is."""
    text = re.sub(r"^0+(?=\d)", "", text)
    if not _AMOUNT.fullmatch(text):
        return text
    amount = minor(Decimal(text.replace(",", "")), currency)
    return int(amount) if amount == amount.to_integral_value() else text


def _payment_method() -> forms.CharField:
    """With the real Stripe: where Stripe.js puts what it made of the card, which never comes here."""
    return forms.CharField(
        label="Payment method",
        help_text="The id (pm_…) that Stripe.js made of your card. Never a card number.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )


def _currencies() -> list[tuple[str, str]]:
    """The common ones first."""
    names = dict(currencies())
    return [(code, names[code]) for code in _COMMON_CURRENCIES] + [
        (code, name) for code, name in names.items() if code not in _COMMON_CURRENCIES
    ]


def _offer(plan: Plan) -> str:
    return f"{plan.name}: {price(plan)}, {plan.duration_days} days on the board"
