"""Who may use a data folder."""

import os
import signal
import subprocess
import sys

import pytest

from config.local.folder import DataFolder, FolderInUseError, LocalError

HOLD = """
import sys
from pathlib import Path
from config.local.folder import DataFolder
folder = DataFolder(Path(sys.argv[1]))
with folder.claimed("demo"):
    folder.tell(what="demo", pid=4711, web="http://127.0.0.1:8000")
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder: DataFolder) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_one_is_told_who_holds_the_folder_and_where(folder: DataFolder):
    with hold(folder) as holder:
        with pytest.raises(FolderInUseError) as refused, folder.claimed("demo"):
            pass
        holder.kill()
    assert "process 4711, at http://127.0.0.1:8000" in str(refused.value)
    assert "kill 4711" in str(refused.value)


def test_the_folder_is_free_again_when_its_holder_was_killed(folder: DataFolder):
    with hold(folder) as holder:
        os.kill(holder.pid, signal.SIGKILL)
    with folder.claimed("demo"):
        pass


def test_a_data_folder_that_is_a_file_is_refused_with_advice(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match="Name another with --data"):
        DataFolder(tmp_path / "file")


def test_secrets_are_made_once_and_missing_ones_added(folder: DataFolder):
    first = folder.secrets()
    (folder.path / "secrets.json").write_text('{"admin_password": "kept"}')
    second = folder.secrets()
    assert second["admin_password"] == "kept"
    assert set(second) == set(first)
    assert second["secret_key"] != first["secret_key"]
    assert folder.secrets() == second
