"""Sessions of staff and customers: which keys may be one, and deleting those that are over."""

import re
from datetime import timedelta
from typing import Any, Final

from django.contrib.sessions.backends import db
from django.db.models.functions import Now

_KEY: Final = re.compile(r"[a-z0-9]{32}")  # as Django makes them


class SessionStore(db.SessionStore):
    """SESSION_ENGINE. A cookie that Django cannot have made is no session, and asks the database nothing.

    A quoted cookie may say any character, also the NUL that PostgreSQL takes in no text.
    """

    def _validate_session_key(self, key: Any) -> bool:
        return isinstance(key, str) and _KEY.fullmatch(key) is not None


def reap(_retention: timedelta) -> dict[str, int]:
    """Delete those that are over, which Django leaves in its table: an expired session opens nothing, however young."""
    count, _ = SessionStore.get_model_class().objects.filter(expire_date__lt=Now()).delete()
    return {"sessions": count}
