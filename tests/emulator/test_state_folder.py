import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.state_folder import open_state
from emulator.store import StoreError

ROOT = Path(__file__).parents[2]


def test_a_new_folder_is_created(tmp_path: Path) -> None:
    state = open_state(tmp_path / "deep" / "state")
    assert state.store.parent.is_dir()
    state.close()


def test_a_folder_in_use_is_refused_with_the_process_that_has_it(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    with pytest.raises(StoreError, match=rf"in use by another emulator \(process {os.getpid()}\)"):
        open_state(tmp_path)
    state.close()
    open_state(tmp_path).close()


def test_a_folder_stays_in_use_until_the_last_child_has_ended(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[state.lock]) as child:
        state.close()
        with pytest.raises(StoreError, match="in use"):
            open_state(tmp_path)
        child.communicate()
    open_state(tmp_path).close()


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="is not a folder"):
            open_state(path)


def test_a_store_of_a_newer_version_is_refused_and_the_folder_left_free(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    state.close()
    db = sqlite3.connect(state.store)
    db.execute("PRAGMA user_version=1000")
    db.close()
    for _ in range(2):
        with pytest.raises(StoreError, match="newer version"):
            open_state(tmp_path)


def test_a_store_that_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite3").write_text("something else" * 100)
    with pytest.raises(StoreError, match="is not a store"):
        open_state(tmp_path)


AS_ANYBODY = """
import os, pathlib
from emulator.state_folder import open_state
if os.geteuid() == 0:
    os.setuid(65534)  # root may write everywhere
open_state(pathlib.Path("state"))
"""


@pytest.mark.parametrize("read_only", ["folder", "store"])
def test_what_is_read_only_is_refused(tmp_path: Path, read_only: str) -> None:
    state = open_state(tmp_path / "state")
    state.close()
    state.store.touch()
    for path in (state.path, state.path / "emulator.lock", state.store):
        path.chmod(0o777)
    (state.path if read_only == "folder" else state.store).chmod(0o555)
    if read_only == "folder":
        (state.path / "emulator.lock").unlink()
    arguments = [sys.executable, "-c", AS_ANYBODY]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    state.path.chmod(0o755)
    assert "StoreError" in ran.stderr, ran.stderr
    assert "cannot be written to" in ran.stderr
