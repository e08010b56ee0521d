"""A registration's submission: what makes two the same, what is refused, and what the pipeline is given."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from examples.registrations.serializers import RegistrationSubmission
from examples.registrations.workflow import RegisterInstitution
from pipeline.api.acceptance import Acceptance, Invalid, Valid
from pipeline.api.fields import normal
from pipeline.api.problems import field_errors

PUBLIC: Final = ("name", "subdomain", "director_email")
SECRET: Final = "director_password"  # noqa: S105 - the field's name
ROUNDS: Final = 100_000  # of PBKDF2: about 40 ms

Fields = Mapping[str, Any]


class RegistrationAcceptance(Acceptance):
    """Submissions of `register_institution`."""

    workflow = RegisterInstitution

    def content(self, fields: Fields) -> Mapping[str, Any]:
        """The fields, and of the password a digest that is slow to guess: fingerprints are kept for ever."""
        public = {name: _same(fields.get(name)) for name in PUBLIC}
        return public | {SECRET: _digest(fields.get(SECRET), salt=repr(public))}

    def validate(self, fields: Fields) -> Valid:
        """Every wrong field in one Invalid. The password goes another way than the input."""
        serializer = RegistrationSubmission(data=dict(fields))
        if not serializer.is_valid():
            raise Invalid(field_errors(serializer.errors))
        values = dict(serializer.validated_data)
        return Valid(secrets={SECRET: values.pop(SECRET)}, input=values)


def _same(value: Any) -> Any:
    """Text as both media types have it; of anything else what it looks like: it is refused anyway."""
    return normal(value).strip() if isinstance(value, str) else {"raw": repr(value)}


def _digest(password: Any, *, salt: str) -> str:
    text = password if isinstance(password, str) else repr(password)
    raw = text.encode(errors="surrogatepass")
    return hashlib.pbkdf2_hmac("sha256", raw, salt.encode(errors="surrogatepass"), ROUNDS).hex()
