"""What G6 compares with: a view as one writes it without this project. It validates the posting and inserts it."""

import uuid
from typing import Any

from django.utils.text import slugify
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from postings import logo
from postings.api.serializers import PostingSubmission
from postings.models import Posting

_NOT_STORED = ("contact_email", "contact_phone", "payment_method")


class PlainPostings(APIView):
    """POST makes one row."""

    parser_classes = [JSONParser, MultiPartParser]

    def post(self, request: Request) -> Response:
        """201; 400 for wrong fields or a bad logo."""
        fields: dict[str, Any] = dict(request.data.items())  # type: ignore[union-attr] # a list is a 500 here
        serializer = PostingSubmission(data=fields)
        serializer.is_valid(raise_exception=True)
        _check_logo(fields.get("logo"))
        values = {name: value for name, value in serializer.validated_data.items() if name not in _NOT_STORED}
        row = Posting(pipeline_id=uuid.uuid4(), **values)
        row.slug = f"{slugify(row.title)}-{row.pk.hex[:12]}"
        row.save(force_insert=True)
        return Response({"id": str(row.pk), "slug": row.slug}, status=201)


def _check_logo(given: Any) -> None:
    if given is None:
        return
    try:
        logo.check(given.read())
    except logo.BadLogo as error:
        raise ValidationError({"logo": str(error)}) from error
