"""The forms that ask a person why: what is done by hand is kept with their words."""

from django import forms


def words(kept: str) -> forms.CharField:
    """A sentence or two; `kept` says where it will stand."""
    return forms.CharField(
        min_length=5,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
        help_text=f"{kept} No personal data, please.",
    )


class ReasonForm(forms.Form):
    """Why: it stands in the pipeline's history for ever."""

    reason = words("Written to the pipeline's history beside your name.")


class ClosingForm(forms.Form):
    """Why a circuit is closed."""

    reason = words("Written to the circuit's history beside your name.")


class NoteForm(forms.Form):
    """What was done about a finding."""

    note = words("Kept beside your name, and in the pipeline's history.")
