"""Secrets at rest: Fernet, keys from PIPELINE["SECRET_KEYS"], newest first; older ones still decrypt."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.core.exceptions import ImproperlyConfigured

from pipeline.conf import conf
from pipeline.errors import PipelineError


def encrypt(value: str) -> str:
    """The token to store."""
    return _keys().encrypt(value.encode()).decode()


def decrypt(token: str) -> str:
    """The value; PipelineError when no key fits."""
    try:
        return _keys().decrypt(token.encode()).decode()
    except InvalidToken:
        raise PipelineError("No key of PIPELINE['SECRET_KEYS'] decrypts this secret: add the old key again.") from None


def _keys() -> MultiFernet:
    keys = conf().SECRET_KEYS
    if not keys:
        raise ImproperlyConfigured(
            "PIPELINE['SECRET_KEYS'] is empty, but a workflow has secrets: make a key with Fernet.generate_key()."
        )
    return MultiFernet([Fernet(key) for key in keys])
