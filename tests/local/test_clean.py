"""``make clean``."""

import fcntl
from pathlib import Path

from config.local.clean import clean


def made(root: Path) -> Path:
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".data" / "test" / "postgres").mkdir(parents=True)
    (root / ".data" / "test" / "in-use.json").touch()
    (root / "config" / "__pycache__").mkdir(parents=True)
    (root / "config" / "settings.py").touch()
    return root / ".data" / "test"


def test_what_was_made_is_removed_and_the_source_stays(tmp_path: Path):
    made(tmp_path)
    assert clean(tmp_path) == 0
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["config", "settings.py"]


def test_postgresqls_place_outside_is_removed_and_nothing_that_is_not_one(tmp_path: Path):
    root = tmp_path / "root"
    data = made(root)
    place, stranger = tmp_path / "job-posting-pipeline-0123", tmp_path / "stranger"
    place.mkdir()
    stranger.mkdir()
    (data / "postgres" / "elsewhere").write_text(str(place))
    (root / ".data" / "postgres").mkdir()
    (root / ".data" / "postgres" / "elsewhere").write_text(str(stranger))
    assert clean(root) == 0
    assert not place.exists()
    assert stranger.exists()


def test_nothing_is_removed_while_a_data_folder_is_in_use(tmp_path: Path, capsys):
    data = made(tmp_path)
    with (data / "in-use.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert clean(tmp_path) == 2
    assert str(data) in capsys.readouterr().err
    assert (tmp_path / ".venv").exists()
