"""What a registration's submission must be, and how an institution is shown."""

from collections.abc import Mapping
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import RegexValidator
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from examples.registrations.models import Institution, InstitutionState
from pipeline.api.fields import Email, Line, is_sound

# Names that the site itself uses or that would deceive.
RESERVED: Final = frozenset(
    "about account admin administrator api app assets auth autodiscover billing blog cdn dashboard demo dev docs email "
    "ftp help imap login mail media ns1 ns2 pop3 postmaster private register root sandbox secure signup smtp ssl "
    "staging static status support test webmail www".split()
)
LONGEST_COMPARED: Final = 254  # characters: the password is compared with each word of the other fields
LONGEST_PASSWORD: Final = 72  # bytes: GoTrue hashes with bcrypt, which reads no more


class SubdomainField(Line):
    """A subdomain that nobody has."""

    default_error_messages = {
        "reserved": "This name is reserved: choose another one.",
        "taken": "Another institution has this subdomain: choose another one.",
    }

    def __init__(self, **kwargs: Any) -> None:
        text = "Use 3 to 63 of a-z, 0-9 and the hyphen, which stands neither first nor last."
        pattern = RegexValidator(r"\A(?!-)[a-z0-9-]{3,63}(?<!-)\Z", text, "invalid_subdomain")
        super().__init__(validators=[pattern], **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Lastly whether it is free. Another may take it meanwhile: the database's constraint decides."""
        value = super().run_validation(data)
        if value in RESERVED:
            self.fail("reserved")
        if Institution.objects.filter(subdomain=value).exists():
            self.fail("taken")
        return value


class PasswordField(serializers.CharField):
    """A password as it was typed: nothing is trimmed, and nothing of it stands in an error."""

    default_error_messages = {
        "invalid": "Send text.",
        "invalid_encoding": "This is not well-formed UTF-8 text.",
        "max_bytes": f"A password has at most {LONGEST_PASSWORD} bytes.",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, write_only=True, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Text of a length that is not cut."""
        if not isinstance(data, str):
            self.fail("invalid")
        if not is_sound(data):
            self.fail("invalid_encoding")
        if len(data.encode()) > LONGEST_PASSWORD:
            self.fail("max_bytes")
        return data


class RegistrationSubmission(serializers.Serializer[Any]):
    """A registration as it is submitted. Unknown fields are ignored."""

    name = Line(max_length=120)
    subdomain = SubdomainField(help_text="3 to 63 of a-z, 0-9 and the hyphen, which stands neither first nor last.")
    director_email = Email(max_length=254)
    director_password = PasswordField(help_text="Kept encrypted until the login is made, then erased.")

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """The valid values; one ValidationError with the errors of all fields, the password's rules among them."""
        errors: dict[str, Any] = {}
        values: dict[str, Any] = {}
        try:
            values = dict(super().to_internal_value(data))
        except serializers.ValidationError as error:
            errors = dict(error.detail)  # type: ignore[arg-type] # of a serializer it is a dict
        if "director_password" not in errors and (weak := _weaknesses(data)):
            errors["director_password"] = weak
        if errors:
            raise serializers.ValidationError(errors)
        return values


class InstitutionResource(serializers.ModelSerializer[Institution]):
    """A registered institution."""

    state = serializers.ChoiceField(choices=[InstitutionState.TRIAL.value])

    class Meta:
        model = Institution
        fields = ["id", "name", "subdomain", "state", "created_at"]


def _weaknesses(data: Mapping[str, Any]) -> list[ErrorDetail]:
    """What Django's validators have against the password: too short, too common, too like the other fields."""
    given = {name: str(data.get(name) or "")[:LONGEST_COMPARED] for name in ("name", "subdomain", "director_email")}
    person = get_user_model()(username=given["subdomain"], first_name=given["name"], email=given["director_email"])
    try:
        validate_password(data["director_password"], person)
    except DjangoValidationError as error:
        return [ErrorDetail(str(text), each.code or "invalid") for each in error.error_list for text in each.messages]
    return []
