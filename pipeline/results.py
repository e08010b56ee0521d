"""What a committed pipeline answers."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from pipeline.workflow import Workflow

log = logging.getLogger(__name__)


def result_of(
    workflow: type[Workflow], given: Mapping[str, Any], recorded: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """What the workflow answers. A defect in its `result` does not undo what was committed: it is logged."""
    try:
        result = workflow.result(given, recorded)
        json.dumps(result, allow_nan=False)
    except Exception:
        log.exception("%s version %s has no result because of a defect", workflow.name, workflow.version)
        return None
    return result
