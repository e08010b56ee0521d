"""The API's description (OpenAPI 3.1) and a browsable page of it, all of it served from here."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponseBase
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class _OrJson(DefaultContentNegotiation):
    """What is asked for, or JSON: an `Accept` that fits nothing is no error here."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The renderer and its media type."""
        try:
            chosen: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            first = next(iter(renderers))
            return first, first.media_type
        return chosen


class _Schema(SpectacularAPIView):
    """JSON unless YAML is asked for."""

    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer2, OpenApiYamlRenderer]
    content_negotiation_class = _OrJson
    authentication_classes = []


class _Docs(SpectacularSwaggerSplitView):
    """Its script is a request of its own, so that the site's content security policy holds here too."""

    http_method_names = ["get", "head"]  # it has no template for what OPTIONS would tell
    authentication_classes = []


def _gated(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """404 for everybody but staff, unless API_DOCS_PUBLIC."""

    @wraps(view)
    def seen(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.API_DOCS_PUBLIC and not request.user.is_staff:
            raise Http404
        return view(request, *args, **kwargs)

    return seen


schema: Final = _gated(_Schema.as_view())
docs: Final = _gated(_Docs.as_view(url_name="schema"))
