"""docs/writing-a-step.md as it stands: its example, and what `startstep` makes, are collected and run as tests."""

import re
import sys
import tempfile
import types
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-step.md"
_FILE = re.compile(r"<!-- file: (\w+)\.py -->\n```python\n(.*?)```", re.DOTALL)


def run_as(name: str, code: str) -> dict[str, Any]:
    """Execute the code as the module of that name, which others may then import; what it defines."""
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(code, f"{name}.py", "exec"), module.__dict__)
    return module.__dict__


def collected_from(defined: dict[str, Any]) -> dict[str, Any]:
    """Its tests and the fixtures that they ask for."""
    return {name: each for name, each in defined.items() if name.startswith("test_") or name == "workflow"}


examples = dict(_FILE.findall(PAGE.read_text()))
assert list(examples) == ["coupon", "test_coupon"], "the page's example is not found any more"
run_as("coupon", examples["coupon"])
globals().update(collected_from(run_as("test_coupon", examples["test_coupon"])))

with tempfile.TemporaryDirectory() as folder:
    call_command("startstep", "push_notice", app="postings", root=Path(folder), stdout=StringIO())
    step = (Path(folder) / "postings" / "steps" / "push_notice.py").read_text()
    test = (Path(folder) / "tests" / "postings" / "test_push_notice.py").read_text()
run_as("postings.steps.push_notice", step)
globals().update(collected_from(run_as("test_push_notice", test)))


@pytest.mark.parametrize("name", ["", "Push", "2nd", "push-notice", "class", "x" * 61])
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match="cannot name a step"):
        call_command("startstep", name, app="postings", root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No installed app"):
        call_command("startstep", "push", app="nobody", root=tmp_path)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    call_command("startstep", "push", app="postings", root=tmp_path)
    made = tmp_path / "postings" / "steps" / "push.py"
    made.write_text("mine")
    with pytest.raises(CommandError, match="is there already"):
        call_command("startstep", "push", app="postings", root=tmp_path)
    assert made.read_text() == "mine"
