"""SendGrid's errors: `{"errors": [{"message", "field", "help"}]}`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sandbox.provider import Answer

HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html#message."
Complaint = tuple[str, str | None, str | None]  # message, field, anchor of the help page


def errors_answer(status: int, complaints: Sequence[Complaint]) -> Answer:
    errors = [
        {"message": message, "field": field, "help": None if anchor is None else HELP + anchor}
        for message, field, anchor in complaints
    ]
    return Answer(status, json.dumps({"errors": errors}).encode(), {"content-type": "application/json"})
