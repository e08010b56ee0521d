"""Registrations over HTTP. One is answered and followed exactly as a posting is."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from examples.registrations.models import Institution, InstitutionState
from examples.registrations.serializers import InstitutionResource, RegistrationSubmission
from examples.registrations.submission import RegistrationAcceptance
from pipeline.api.accept import AcceptView
from pipeline.api.problems import Problem, not_found
from pipeline.api.schema import Decorator, describe_accept, problems
from pipeline.api.throttles import Throttle
from pipeline.api.waiting import PipelineResponse

_OFF: Final = (
    "Directors get their login from Supabase Auth, and this site knows of none: whoever runs it sets SUPABASE_URL and "
    "SUPABASE_KEY (the service role's key). `make demo` has a stand-in."
)
_describe_registration: Final[Decorator] = describe_accept(
    "Register an institution",
    {"application/json": RegistrationSubmission, "multipart/form-data": RegistrationSubmission},
    operation_id="register_institution",
    description="An email address that is registered already ends in `rolled_back`, the error naming its field. "
    "Where Supabase is not set up (`SUPABASE_URL`, `SUPABASE_KEY`) the answer is 404, `registrations_off`.",
    more_problems=(404,),
)
_describe_institution: Final[Decorator] = extend_schema(
    operation_id="institution",
    summary="One registered institution",
    responses={200: InstitutionResource} | problems(404),
)


class RegisterView(AcceptView):
    """POST registers an institution."""

    acceptance = RegistrationAcceptance()

    @_describe_registration
    def post(self, request: Request) -> PipelineResponse:
        """202, or what API.md's table says; 404 where Supabase is not configured: no login could be made."""
        if not (settings.SUPABASE_URL and settings.SUPABASE_KEY):
            raise Problem(404, "registrations_off", "Registrations are not switched on here", _OFF)
        return super().post(request)

    @classmethod
    def location(cls, resource: Mapping[str, Any], site: str) -> str:
        """The institution's resource."""
        return f"{site}/api/v1/institutions/{resource['result']['institution']['id']}/"


class InstitutionView(APIView):
    """GET one registered institution."""

    authentication_classes = []
    throttle_classes = [Throttle]
    throttle_scope = "read"

    @_describe_institution
    def get(self, request: Request, institution_id: uuid.UUID) -> Response:
        """200; 404 for one that is pending, too."""
        found = Institution.objects.filter(pk=institution_id).exclude(state=InstitutionState.PENDING).first()
        if found is None:
            raise not_found("There is no institution of this id.")
        return Response(InstitutionResource(found).data)
