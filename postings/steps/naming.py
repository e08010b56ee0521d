"""Names of the things that a pipeline makes: the same at each attempt, so a repetition finds what exists already.

This also holds after a restore from a backup: the pipeline puts its logo under the same key and its posting at the same
address. The names are keyed by SECRET_KEY, so they reveal nothing of the pipeline's id.
"""

from django.utils.crypto import salted_hmac

from pipeline.workflow import Run


def name_of(what: str, run: Run) -> str:
    """32 hexadecimal digits."""
    return salted_hmac(f"postings.{what}", run.reference, algorithm="sha256").hexdigest()[:32]
