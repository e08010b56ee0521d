"""Pages without counting a large table."""

import json
from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

# Up to here a count is exact and costs a millisecond; beyond it the planner's estimate does.
EXACT_UP_TO = 1000


if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator


class EstimatingPaginator(_Paginator):
    """Counts exactly up to EXACT_UP_TO rows, and beyond that believes PostgreSQL's planner."""

    object_list: QuerySet[Any]

    @cached_property
    def count(self) -> int:
        """How many rows there are, about."""
        return about(self.object_list)


def about(rows: QuerySet[Any]) -> int:
    """How many rows there are: exactly up to EXACT_UP_TO, and beyond that as many as the planner estimates."""
    rows = rows.order_by()
    counted = rows.only("pk").prefetch_related(None)[: EXACT_UP_TO + 1].count()
    return counted if counted <= EXACT_UP_TO else max(counted, _estimate(rows))


def _estimate(rows: QuerySet[Any]) -> int:
    plan = json.loads(rows.explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])
