"""Names of what a pipeline makes: the same each time it is asked, so that a repetition finds what there is.

That holds for a pipeline whose database was restored from a backup, too: it puts its logo under the same key and its
posting at the same address. The names are keyed by SECRET_KEY, so that they tell nobody the pipeline's id.
"""

from django.utils.crypto import salted_hmac

from pipeline.workflow import Run


def name_of(what: str, run: Run) -> str:
    """32 hexadecimal digits."""
    return salted_hmac(f"postings.{what}", run.reference, algorithm="sha256").hexdigest()[:32]
