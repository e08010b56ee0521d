"""The demo's end check: what `manage.py verify` says is passed on, and its failing is no clean bill."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.local.verdict import violations

SINCE = datetime(2026, 1, 2, tzinfo=UTC)


def _told(root: Path, text: str, status: int) -> list[str]:
    """What is made of a verify that prints this and ends so."""
    program = f"import sys\nassert sys.argv[1:] == {['verify', '--strict', '--json', '--since', SINCE.isoformat()]!r}\n"
    (root / "manage.py").write_text(f"{program}print({text!r})\nsys.exit({status})\n")
    return violations(os.environ, SINCE, root)


def test_no_violation_is_no_sentence(tmp_path: Path) -> None:
    assert _told(tmp_path, json.dumps({"violations": []}), 0) == []


def test_a_violation_is_a_sentence(tmp_path: Path) -> None:
    found = {"invariant": "I3", "pipeline": "p1", "expected": "no object", "found": "logos/1.png"}
    assert _told(tmp_path, json.dumps({"violations": [found]}), 1) == [
        "I3 of p1: expected no object; found: logos/1.png"
    ]


@pytest.mark.parametrize("status", [2, 3])
def test_a_verify_that_fails_is_told(tmp_path: Path, status: int) -> None:
    (said,) = _told(tmp_path, "a provider cannot be read", status)
    assert said == "verify did not come to an end: a provider cannot be read"
