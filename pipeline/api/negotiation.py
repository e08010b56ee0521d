"""Which representation is sent: always the one there is, whatever `Accept` says (RFC 9110, 12.5.1 allows it)."""

from collections.abc import Iterable

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.utils.mediatypes import media_type_matches


class OneRepresentation(BaseContentNegotiation):
    """So that no error becomes a 406, and every client gets JSON."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """By the body's media type; None gives 415."""
        return next((it for it in parsers if media_type_matches(it.media_type, request.content_type)), None)

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        """The first."""
        first = next(iter(renderers))
        return first, first.media_type
