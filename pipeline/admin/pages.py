"""What the admin's own pages of one model share: the row that they are about, and what every page is given."""

from __future__ import annotations

from typing import Any, TypeVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest

_Row = TypeVar("_Row", bound=Model)


def found(of: admin.ModelAdmin[_Row], request: HttpRequest, key: str) -> _Row:
    """The row; Http404 for an unknown or malformed key, PermissionDenied without the view permission."""
    if not of.has_view_permission(request):
        raise PermissionDenied
    row = of.get_object(request, key)
    if row is None:
        raise Http404(f"There is no {of.opts.verbose_name} {key!r}.")
    return row


def context(of: admin.ModelAdmin[_Row], request: HttpRequest, title: str) -> dict[str, Any]:
    """What the admin's templates read, beside what the page is about."""
    return of.admin_site.each_context(request) | {"opts": of.opts, "title": title, "media": of.media}
