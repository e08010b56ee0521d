"""POST of a submission: 202 and its pipeline, whatever the broker does. Subclass AcceptView for each workflow."""

from collections.abc import Mapping
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from pipeline.api.acceptance import Acceptance, Invalid, NotKnown, Submitter, TooManyRefused, accept
from pipeline.api.clients import address_of, client_of
from pipeline.api.headers import idempotency_key
from pipeline.api.parsers import StrictJSONParser, StrictMultiPartParser, check_length, fields_of
from pipeline.api.problems import MOST_ERRORS, Problem, throttled, unavailable
from pipeline.api.read import base_url, load, resource_response
from pipeline.api.resource import links, path, render
from pipeline.api.throttles import Throttle
from pipeline.api.waiting import PipelineResponse, SyncView, with_wait
from pipeline.api.watch import until_terminal
from pipeline.models import Pipeline
from pipeline.start import KeyReused, Started, TooManyOpen
from pipeline.states import PipelineState

Json = dict[str, Any]


class AcceptView(APIView):
    """The key first, then everything that can be refused, then one transaction.

    A subclass names its `acceptance`, and what a client that waited is answered when the pipeline has ended.
    """

    acceptance: ClassVar[Acceptance]
    permission_classes = [AllowAny]
    parser_classes = [StrictJSONParser, StrictMultiPartParser]
    throttle_classes = [Throttle]
    throttle_scope = "submit"

    def post(self, request: Request) -> PipelineResponse:
        """202 with the pipeline's resource; see API.md for what is refused."""
        check_length(request)
        key = idempotency_key(request)
        fields = fields_of(request.data)
        by = Submitter(request.user.pk if request.user.is_authenticated else None, client_of(request))
        started = self._accept(fields, key, by)
        row, steps = started.made() or load(started.id)
        response = resource_response(request, row, render(row, steps, base_url(request)), 202)
        response["Location"] = path(started.id)
        response["Retry-After"] = "1"
        if not started.is_new:
            response.is_replay = True
            response["Idempotent-Replayed"] = "true"
        return response

    @classmethod
    def as_waiting_view(cls) -> SyncView:
        """The callable for urls: `Prefer: wait` included."""
        return with_wait(cls, cls._after_wait)

    @classmethod
    def location(cls, resource: Mapping[str, Any], site: str) -> str:
        """The address of what a committed pipeline has made; `site` is scheme and host."""
        raise NotImplementedError

    @classmethod
    def is_payment_refused(cls, error: Mapping[str, Any]) -> bool:
        """Whether a pipeline that turned back for this error is answered 402."""
        return False

    def _accept(self, fields: Mapping[str, Any], key: str, by: Submitter) -> Started:
        try:
            return accept(self.acceptance, fields, key=key, by=by)
        except KeyReused as error:
            raise Problem(422, "idempotency_key_reused", "Key used before", str(error)) from error
        except Invalid as error:
            count = len(error.errors)
            shown = "see errors" if count <= MOST_ERRORS else f"the first {MOST_ERRORS} are in errors"
            detail = f"{count} field{'s are' if count != 1 else ' is'} wrong: {shown}."
            raise Problem(400, "invalid", "Wrong fields", detail, errors=error.errors) from error
        except TooManyOpen as error:
            raise throttled(str(error), 10, code="too_many_open") from error
        except TooManyRefused as error:
            raise throttled(str(error), error.retry_after.total_seconds(), code="too_many_refused") from error
        except NotKnown as error:
            raise unavailable(str(error)) from error

    @classmethod
    async def _after_wait(cls, request: HttpRequest, response: PipelineResponse, seconds: int) -> HttpResponseBase:
        mark = await until_terminal(response.pipeline, response.mark, seconds, client=address_of(request))
        if mark == response.mark and not mark.is_terminal:
            return response
        return await sync_to_async(cls._ended)(request, response)

    @classmethod
    def _ended(cls, request: HttpRequest, accepted: PipelineResponse) -> HttpResponseBase:
        """201, 402, or 202 with what it has come to."""
        row, steps = load(accepted.pipeline)
        site = base_url(request)
        resource = render(row, steps, site)
        if row.state == PipelineState.ROLLED_BACK and cls.is_payment_refused(row.error or {}):
            return _refused(row, site).response()
        is_made = row.state == PipelineState.COMMITTED
        response = resource_response(request, row, resource, 201 if is_made else 202)
        response["Location"] = cls.location(resource, site) if is_made else path(row.pk)
        if accepted.is_replay:
            response["Idempotent-Replayed"] = "true"
        return response


def _refused(pipeline: Pipeline, site: str) -> Problem:
    """The pipeline's own error as the answer."""
    error: Json = dict(pipeline.error or {})
    code, title, detail = (str(error.pop(name, "")) for name in ("code", "title", "detail"))
    error.pop("type", None)
    members = error | {"links": links(pipeline.pk, site)}
    return Problem(402, code or "refused", title or "Refused", detail, pipeline=pipeline.pk, members=members)
