"""Asks `manage.py verify` whether what the samples did holds, against the whole of the sandbox's ledger."""

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from config.local.stack import ROOT

SECONDS = 60.0


def violations(env: Mapping[str, str], since: datetime, root: Path = ROOT) -> list[str]:
    """A sentence for each violation by pipelines made since; empty when all is as it should be."""
    command = [sys.executable, "manage.py", "verify", "--strict", "--json", "--since", since.isoformat()]
    done = subprocess.run(
        command, env=dict(env), cwd=root, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode not in (0, 1):
        return [f"verify did not come to an end: {(done.stderr or done.stdout).strip()[-500:]}"]
    return [
        f"{each['invariant']} of {each['pipeline']}: expected {each['expected']}; found: {each['found']}"
        for each in json.loads(done.stdout)["violations"]
    ]
