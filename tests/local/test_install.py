"""When the virtual environment is made, kept or made anew; pip itself is not run here."""

import json
from pathlib import Path

import pytest

from config.local import install


@pytest.fixture
def environment(tmp_path: Path) -> install.Environment:
    environment = install.Environment(tmp_path / "venv")
    (environment.folder / "bin").mkdir(parents=True)
    environment.python.write_text("#!/bin/sh\n")
    environment.python.chmod(0o755)
    return environment


@pytest.fixture
def done(environment: install.Environment, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done to the environment, in order."""
    done: list[str] = []
    monkeypatch.setattr(install.Environment, "create", lambda self: done.append("created"))
    monkeypatch.setattr(install.Environment, "install", lambda self, lock, about: done.append(str(lock)))
    monkeypatch.setattr(install.Environment, "remove_unnamed", lambda self: None)
    return done


def test_nothing_is_done_while_the_stamps_match(environment: install.Environment, done: list[str]):
    environment.stamp(("runtime", "tests"))
    install.ensure(environment, "runtime")
    install.ensure(environment, "tests")
    assert done == []


def test_a_new_environment_is_created_and_stamped(environment: install.Environment, done: list[str]):
    install.ensure(environment, "tests")
    install.ensure(environment, "runtime")  # the tests' lock holds it
    assert done == ["created", "tests/requirements.lock"]


def test_a_changed_lock_is_installed_over_the_old_one(environment: install.Environment, done: list[str]):
    environment.stamps.write_text(json.dumps({"runtime": "of an older lock"}))
    install.ensure(environment, "runtime")
    assert done == ["requirements.lock"]


@pytest.mark.parametrize(
    "harm",
    [
        lambda environment: environment.unfinished.touch(),
        lambda environment: environment.stamps.write_text("{"),
        lambda environment: environment.python.unlink(),
    ],
    ids=["interrupted", "damaged stamps", "its Python gone"],
)
def test_a_damaged_environment_is_made_anew(environment: install.Environment, done: list[str], harm):
    environment.stamp(("runtime",))
    harm(environment)
    install.ensure(environment, "runtime")
    assert done[0] == "created"


def test_an_installation_that_fails_shows_the_end_of_what_pip_said(environment: install.Environment):
    environment.python.write_text('#!/bin/sh\necho "no such package"; exit 1\n')
    with pytest.raises(install.InstallError, match=r"no such package\n.*could not install requirements\.lock"):
        environment.install(install.LOCKS["runtime"], about=1)
    assert environment.installed() == {}
