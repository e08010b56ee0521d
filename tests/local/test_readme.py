"""The README's requests, run as they are written, against a demo as its reader starts it."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from config.local.ports import free_port
from tests.local.test_demo import DEMO, facts, serves

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^    (curl (?:.*\\\n)*.*)$", README, re.MULTILINE)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def run(command: str, told: dict[str, Any]) -> str:
    """What the command prints; only the demo's address is another."""
    written = command.replace("http://127.0.0.1:8000", told["web"])
    done = subprocess.run(["bash", "-ec", written], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readmes_requests_work_as_they_are_written(spawn: Callable[..., Any], data: Path, until: Any) -> None:
    submit, follow = COMMANDS
    demo = spawn(DEMO, "--no-samples", "--data", data, "--port", free_port())
    until(lambda: serves(demo, data), 60)
    told = facts(data)
    places = []
    for _ in range(2):
        answer = run(submit, told)
        assert answer.split(maxsplit=2)[1] == "202", answer
        places.append(re.search(r"(?i)^location: (\S+)", answer, re.MULTILINE)[1])  # type: ignore[index]
    assert len(set(places)) == 2, "each reader's posting is a new one"
    for place in places:
        until(lambda: requests.get(told["web"] + place, timeout=5).json()["state"] == "committed", 30)  # noqa: B023
        identity = place.rstrip("/").rpartition("/")[2]
        shown = run(follow.replace("{id}", identity), told)
        assert '"committed"' in shown
        steps = requests.get(told["web"] + place, timeout=5).json()["steps"]
        assert next(step["state"] for step in steps if step["name"] == "logo") == "committed"
