"""Accepting a submission, whoever took it in (API, form, command): one key, one pipeline, for ever.

The key is looked up before anything else is checked, so that a repeated submission finds its pipeline even if
it would be refused today.
"""

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils.crypto import salted_hmac

from pipeline.errors import PipelineError
from pipeline.start import Started, find, start
from pipeline.workflow import Workflow

log = logging.getLogger(__name__)


class Invalid(PipelineError):
    """Wrong fields: `errors` has one {"field", "code", "detail"} for each."""

    def __init__(self, errors: Sequence[dict[str, str]]) -> None:
        super().__init__(f"{len(errors)} wrong fields")
        self.errors = list(errors)


class TooManyRefused(PipelineError):
    """The client's submissions were refused too often; its text is for the client."""

    def __init__(self, detail: str, retry_after: timedelta) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class NotKnown(PipelineError):
    """It is not known whether the submission was accepted: repeating it with the same key is safe."""


class Busy(NotKnown):
    """Nothing was accepted: the submission is too costly to check just now. Its text is for the client."""


@dataclass(frozen=True, slots=True)
class Valid:
    """What a valid submission becomes. `secrets` in clear: they are encrypted when stored."""

    input: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)
    attachments: Mapping[str, bytes] = field(default_factory=dict)


class Acceptance(ABC):
    """How one workflow's submissions are read. `fields` are what came: text, JSON values, files."""

    workflow: ClassVar[type[Workflow]]

    @abstractmethod
    def content(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """What makes two submissions the same, as JSON: known fields only, equal for every media type.

        It must take anything: it runs before validation.
        """

    @abstractmethod
    def validate(self, fields: Mapping[str, Any]) -> Valid:
        """Raises Invalid with every wrong field."""

    def check_client(self, client: str) -> None:
        """Raises TooManyRefused for a client who may not submit at present."""


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who submits: keys are unique per user, all anonymous ones being one; `client` stands for the address."""

    user: int | None
    client: str

    @property
    def scope(self) -> str:
        """Whose keys these are."""
        return f"user:{self.user}" if self.user is not None else "anonymous"


def accept(acceptance: Acceptance, fields: Mapping[str, Any], *, key: str, by: Submitter) -> Started:
    """Make the key's pipeline, or find it.

    Raises KeyReused, Invalid, TooManyRefused, TooManyOpen, NotKnown; OperationalError before anything was sent.
    """
    prints = _fingerprints(acceptance, fields)
    found = find(by.scope, key, prints)
    if found is not None:
        return found
    valid = acceptance.validate(fields)
    acceptance.check_client(by.client)
    try:
        return start(
            acceptance.workflow,
            input=valid.input,
            key=key,
            fingerprint=prints[0],
            scope=by.scope,
            user=by.user,
            client=by.client,
            secrets=valid.secrets,
            attachments=valid.attachments,
        )
    except (OperationalError, InterfaceError) as error:
        return _ask_anew(by.scope, key, prints, error)


def _ask_anew(scope: str, key: str, prints: Sequence[str], error: Exception) -> Started:
    """The COMMIT's answer was lost: a new connection knows what became of it."""
    log.warning("accepting failed (%s): asking on a new connection", type(error).__name__)
    connection.close()
    try:
        found = find(scope, key, prints)
    except (OperationalError, InterfaceError):
        found = None
    if found is None:
        raise NotKnown("It is not known whether this was accepted: repeat it with the same key.") from error
    return replace(found, is_new=True)


def _fingerprints(acceptance: Acceptance, fields: Mapping[str, Any]) -> list[str]:
    """HMACs of the content, by the present key and those before it: a rotated key changes no content."""
    content = {"workflow": acceptance.workflow.name, "content": acceptance.content(fields)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return [
        salted_hmac("pipeline.fingerprint", text, secret=secret, algorithm="sha256").hexdigest()
        for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    ]
