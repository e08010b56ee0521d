"""Which query parameters a list takes: those of its own filters, and no other.

Django allows every lookup on the model's own columns, so that a list which shows little can be asked about all of
them: `?input__contact_email__startswith=a` tells an address letter by letter.
"""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import get_fields_from_path
from django.http import HttpRequest

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = object


class OwnFiltersOnly(_ModelAdmin):
    """Goes first among the bases of every admin class of the project; any other lookup is answered 400."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Whether one of the list's filters reads this parameter."""
        return request is not None and lookup in self._parameters(request)

    def _parameters(self, request: HttpRequest) -> set[str]:
        known: set[str] = set()
        for item in self.get_list_filter(request):
            if isinstance(item, type):
                known.add(str(getattr(item, "parameter_name", "")))
                continue
            given: Any = item if isinstance(item, tuple | list) else (item, admin.FieldListFilter.create)
            path, kind = given
            field = get_fields_from_path(self.model, path)[-1]
            known.update(kind(field, request, {}, self.model, self, field_path=path).expected_parameters())
        return known
