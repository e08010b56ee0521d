"""Make the two lock files from pyproject.toml, or check them without a network.

A lock's first line holds the digest of the dependency tables it was made from, so that a changed
pyproject.toml is noticed; versions, hashes and the absence of any index host are read from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = Path("requirements.lock")
TESTS = Path("tests/requirements.lock")
EXTRAS = {RUNTIME: ["--extra", "local", "--extra", "examples"], TESTS: ["--all-extras", "--constraint", str(RUNTIME)]}
DIGEST = re.compile(r"^# Dependencies of pyproject\.toml: sha256:([0-9a-f]{64})$", re.MULTILINE)
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)")
HOST = re.compile(r"https?://|--(?:extra-)?index-url|--find-links|--trusted-host")


def dependencies_digest() -> str:
    """SHA-256 over the dependency tables of pyproject.toml, whatever their layout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tables = [sorted(project["dependencies"]), project["optional-dependencies"]]
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def write(lock: Path) -> None:
    """Compile one lock with uv, for Python 3.11 on every platform, with all hashes."""
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "pyproject.toml"]
    command += [*EXTRAS[lock], "--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-emit-index-url", "--no-header", "--quiet", "--output-file", str(lock)]
    subprocess.run(command, cwd=ROOT, check=True)
    body = (ROOT / lock).read_text()
    head = f"# Dependencies of pyproject.toml: sha256:{dependencies_digest()}\n"
    (ROOT / lock).write_text(f'{head}# Made by "make lock"; not edited by hand.\n{body}')


def pins(text: str) -> dict[str, str]:
    """Name to version of everything a lock pins."""
    return {found[1]: found[2] for line in text.splitlines() if (found := PIN.match(line)) is not None}


def unhashed(text: str) -> list[str]:
    """Names of pinned packages without a hash beneath them."""
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    return [found[1] for block in blocks if (found := PIN.match(block)) is not None and "--hash=sha256:" not in block]


def problems(lock: Path, text: str) -> list[str]:
    """What is wrong with one lock, a sentence each; empty when nothing is."""
    found: list[str] = []
    made_from = DIGEST.search(text)
    if made_from is None or made_from[1] != dependencies_digest():
        found.append(f"{lock} was not made from this pyproject.toml: run make lock")
    found += [f"{lock} pins {name} without a hash: run make lock" for name in unhashed(text)]
    for number, line in enumerate(text.splitlines(), start=1):
        if HOST.search(line):
            found.append(f"{lock}:{number} names an index host: remove it")
    return found


def disagreements(runtime: str, tests: str) -> list[str]:
    """Packages that the tests would run in another version than the product."""
    tested = pins(tests)
    return [
        f"{TESTS} has {name} {tested.get(name, 'not at all')}, {RUNTIME} {version}: run make lock"
        for name, version in pins(runtime).items()
        if tested.get(name) != version
    ]


def check() -> list[str]:
    """Everything wrong with the locks, without a network."""
    texts = {lock: (ROOT / lock).read_text() for lock in EXTRAS}
    found = [problem for lock, text in texts.items() for problem in problems(lock, text)]
    return found + disagreements(texts[RUNTIME], texts[TESTS])


def main() -> int:
    """Command line: checks, or makes them anew with ``--write``. Exit status 1 on a problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="make both locks anew")
    if parser.parse_args().write:
        for lock in EXTRAS:
            write(lock)
    found = check()
    for problem in found:
        sys.stderr.write(f"{problem}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
