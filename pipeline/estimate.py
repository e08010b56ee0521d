"""How many rows there are, without counting a large table."""

import json
from typing import Any, Final

from django.db.models import QuerySet

# Up to here a count is exact and costs a millisecond; beyond it the planner's estimate does.
EXACT_UP_TO: Final = 1000


def about(rows: QuerySet[Any]) -> int:
    """How many rows there are: exactly up to EXACT_UP_TO, and beyond that as many as the planner estimates."""
    rows = rows.order_by()
    counted = rows.only("pk").prefetch_related(None)[: EXACT_UP_TO + 1].count()
    return counted if counted <= EXACT_UP_TO else max(counted, _estimate(rows))


def _estimate(rows: QuerySet[Any]) -> int:
    plan = json.loads(rows.explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])
