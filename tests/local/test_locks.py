"""The locks are what pyproject.toml asks for, hashed, and name no index host."""

from pathlib import Path

from config.local import locks

LOCK = Path("some.lock")
HEAD = f"# Dependencies of pyproject.toml: sha256:{locks.dependencies_digest()}\n"
GOOD = """\
amqp==5.4.2 \\
    --hash=sha256:00
    # via kombu
vine==5.1.0 ; python_version < '4' \\
    --hash=sha256:11
"""


def test_the_projects_own_locks_are_right():
    assert locks.check() == []


def test_a_good_lock_has_no_problems():
    assert locks.problems(LOCK, HEAD + GOOD) == []
    assert locks.pins(GOOD) == {"amqp": "5.4.2", "vine": "5.1.0"}


def test_a_lock_of_another_pyproject_is_noticed():
    other = HEAD.replace(locks.dependencies_digest(), "0" * 64)
    assert locks.problems(LOCK, other + GOOD) == ["some.lock was not made from this pyproject.toml: run make lock"]
    assert locks.problems(LOCK, GOOD) != []


def test_a_package_without_a_hash_is_named():
    assert locks.problems(LOCK, HEAD + GOOD + "redis==8.1.0\n") == [
        "some.lock pins redis without a hash: run make lock"
    ]


def test_an_index_host_is_named_with_its_line():
    for line in ("--extra-index-url somewhere", "# from https://example.org/simple"):
        assert locks.problems(LOCK, f"{HEAD}{line}\n{GOOD}") == ["some.lock:2 names an index host: remove it"]


def test_a_package_that_the_tests_run_in_another_version_is_named():
    found = locks.disagreements(GOOD, GOOD.replace("vine==5.1.0", "vine==5.0.0"))
    assert found == ["tests/requirements.lock has vine 5.0.0, requirements.lock 5.1.0: run make lock"]
