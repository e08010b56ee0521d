"""The API's description (OpenAPI 3.1) and a browsable page of it, all of it served from here."""

from typing import Final

from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiJsonRenderer2, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.negotiation import DefaultContentNegotiation


class _Schema(SpectacularAPIView):
    """JSON unless YAML is asked for."""

    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer]
    content_negotiation_class = DefaultContentNegotiation
    authentication_classes = []


class _Docs(SpectacularSwaggerSplitView):
    """Its script is a request of its own, so that the site's content security policy holds here too."""

    authentication_classes = []


schema: Final = _Schema.as_view()
docs: Final = _Docs.as_view(url_name="schema")
