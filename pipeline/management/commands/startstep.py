"""`manage.py startstep NAME --app APP`: a new step's file and its test, both ready to run."""

import keyword
import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

_STEP: Final = '''"""{label}: say here what it brings about, and how an unknown outcome is answered."""

from pipeline.workflow import Run, Step


class {kind}(Step):
    """One effect: what is staged, what makes it final, what undoes it."""

    name = "{name}"
    label = "{label}"
    doing = "doing {words}"

    def stage(self, run: Run) -> dict[str, str]:
        """Bring it about so that nobody sees it and it can be undone."""
        call = run.call("make", {{"reference": run.reference}})
        # Send call.params under call.key here. If call.is_new is false, they may have been sent before.
        return {{"made": call.key}}

    def commit(self, run: Run) -> None:
        """Make final what run.data["made"] names."""

    def rollback(self, run: Run) -> None:
        """Remove it: nothing, half of it or all of it may be there."""
'''

_TEST: Final = '''"""{label}: right wherever its worker dies, and undone when the pipeline turns back."""

from typing import Any

import pytest

from pipeline.models import Step
from pipeline.start import start
from pipeline.testing import crash_at, drain
from pipeline.workflow import Refused
from {module}.{name} import {kind}


@pytest.mark.parametrize("verb", ["stage", "commit"])
@pytest.mark.parametrize("point", ["claimed", "effect", "recorded"])
def test_{name}_is_done_wherever_its_worker_dies(broker: Any, define: Any, world: Any, verb: str, point: str) -> None:
    workflow = define({kind}, world.step("payment", pivot=True))
    crash_at(f"{name}.{{verb}}.{{point}}")
    pipeline = start(workflow, input={{}}, key="one").id
    assert drain(pipeline, broker) == "committed"
    assert Step.objects.get(pipeline_id=pipeline, name="{name}").state == "committed"


@pytest.mark.parametrize("point", ["claimed", "effect", "recorded"])
def test_{name}_is_undone_when_the_payment_is_refused(broker: Any, define: Any, world: Any, point: str) -> None:
    workflow = define({kind}, world.step("payment", pivot=True))
    world.will("payment.stage", Refused("declined"))
    crash_at(f"{name}.rollback.{{point}}")
    pipeline = start(workflow, input={{}}, key="one").id
    assert drain(pipeline, broker) == "rolled_back"
    assert Step.objects.get(pipeline_id=pipeline, name="{name}").state == "rolled_back"
'''


class Command(BaseCommand):
    """Writes two files and tells what is left to do."""

    help = "Make a step's skeleton and its test in an app: APP/steps/NAME.py and tests/APP/test_NAME.py."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Options."""
        parser.add_argument("name", help="the step's name, such as push_notice: a-z, 0-9 and _, a letter first")
        parser.add_argument("--app", required=True, help="the label of the app that gets it, such as postings")
        parser.add_argument("--root", type=Path, default=settings.BASE_DIR, help="the project's folder")

    def handle(self, *, name: str, app: str, root: Path, **_: Any) -> None:
        """Run. CommandError for a name that cannot be one, an unknown app, or a file that is there already."""
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", name) or keyword.iskeyword(name):
            raise CommandError(f"{name!r} cannot name a step: use a-z, 0-9 and _, a letter first.")
        try:
            package = apps.get_app_config(app).name
        except LookupError as error:
            raise CommandError(str(error)) from error
        words = name.replace("_", " ")
        values = {
            "name": name,
            "words": words,
            "label": words.capitalize(),
            "kind": "".join(map(str.capitalize, name.split("_"))) + "Step",
            "module": f"{package}.steps",
        }
        folder = Path(*package.split("."))
        steps, tests = root / folder / "steps", root / "tests" / folder
        made = {steps / f"{name}.py": _STEP, tests / f"test_{name}.py": _TEST}
        if there := [str(path) for path in made if path.exists()]:
            raise CommandError(f"{there[0]} is there already: choose another name, or remove it.")
        for path, text in made.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(**values))
            self.stdout.write(f"made {path}")
        (steps / "__init__.py").touch()
        self.stdout.write(f"Add {values['kind']} to the steps of a workflow; docs/writing-a-step.md goes on from here.")
