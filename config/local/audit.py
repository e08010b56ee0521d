"""Ask whether what the locks pin has known vulnerabilities (pip-audit, PyPI's advisories): part of `make lint`.

A finding fails it, unless pyproject.toml accepts its id with a reason. A machine that cannot reach the service is
told so and not failed: then nothing was audited.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "tests/requirements.lock")
PATIENCE = 60  # seconds for all of it; it takes about seven
# What pip-audit dies of where there is no way to the service. A certificate that is wrong is none of these.
UNREACHABLE = re.compile(
    r"requests\.exceptions\.(?:ConnectionError|ProxyError|\w*Timeout)\b|interface\.ConnectionError"
)


class Verdict(NamedTuple):
    """Whether `make lint` may go on, and what to say."""

    is_fine: bool
    lines: list[str]


def main() -> int:
    """Command line: audits both locks. Exit status 1 on a finding."""
    accepted = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["audit"]["accepted"]
    try:
        asked = subprocess.run(_command(), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        verdict = not_reached("no answer")
    else:
        verdict = judged(asked.returncode, asked.stdout, asked.stderr, accepted)
    sys.stderr.write("".join(f"pip-audit: {line}\n" for line in verdict.lines))
    return 0 if verdict.is_fine else 1


def judged(status: int, out: str, errors: str, accepted: Mapping[str, str]) -> Verdict:
    """From pip-audit's exit status, its JSON and what it said on stderr."""
    try:
        packages: list[dict[str, Any]] = json.loads(out)["dependencies"]
    except (ValueError, KeyError):
        last = errors.strip().splitlines()[-1:] or [f"exit status {status}"]
        return not_reached(last[0]) if UNREACHABLE.search(errors) else Verdict(False, ["failed:", *last])
    found = dict.fromkeys(line for package in packages for line in _findings(package, accepted))
    stale = [f"{name} is accepted in pyproject.toml and not found any more: remove it" for name in accepted]
    unknown = {package["name"] for package in packages if "skip_reason" in package}
    known = {package["name"] for package in packages} - unknown
    said = [f"{len(known)} packages audited, {len(unknown)} unknown to the service, {len(found)} findings"]
    if unknown and not known:
        return not_reached(f"it knows none of {len(unknown)} packages (an index of your own?)")
    seen = {name for package in packages for each in package.get("vulns", []) for name in _names(each)}
    said += [line for name, line in zip(accepted, stale, strict=True) if known and name not in seen]
    return Verdict(not found, [*found, *said])


def not_reached(why: str) -> Verdict:
    """Nothing was audited, which is said."""
    return Verdict(True, [f"NOTHING WAS AUDITED, the service cannot be asked from here: {why[:200]}"])


def _command() -> list[str]:
    command = [str(Path(sys.executable).with_name("pip-audit")), "--require-hashes", "--disable-pip"]
    command += ["--format", "json", "--desc", "off", "--progress-spinner", "off", "--timeout", "5"]
    return command + [part for lock in LOCKS for part in ("--requirement", lock)]


def _findings(package: Mapping[str, Any], accepted: Mapping[str, str]) -> list[str]:
    return [
        f"{package['name']} {package['version']}: {', '.join(_names(each))};"
        f" mended in {', '.join(each.get('fix_versions', [])) or 'no version yet'}"
        for each in package.get("vulns", [])
        if not set(_names(each)) & set(accepted)
    ]


def _names(vulnerability: Mapping[str, Any]) -> list[str]:
    return [vulnerability["id"], *vulnerability.get("aliases", [])]


if __name__ == "__main__":
    sys.exit(main())
