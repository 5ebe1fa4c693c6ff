"""`make start`, and what make says when there is no Python 3.13."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tools.emulator_process import PROJECT


@pytest.mark.slow
def test_start_serves_and_prints_its_urls_until_it_is_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.start", "--state", str(tmp_path / "state"), "--port", "0"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as tool:
        assert tool.stdout is not None
        printed = []
        for line in tool.stdout:
            printed.append(line.strip())
            if line.startswith("Ctrl-C"):
                break
        base = printed[0].removeprefix("ready: ")
        assert f"GET  {base}/api/health                    is the app up" in printed
        with urllib.request.urlopen(f"{base}/api/health") as answer:  # noqa: S310  (this machine)
            assert answer.status == 200
        tool.send_signal(signal.SIGINT)
        assert tool.wait(timeout=60) == 0


@pytest.mark.parametrize("target", ["demo", "start", "test", "check", "bench"])
def test_without_python_3_13_make_says_what_to_install(tmp_path: Path, target: str) -> None:
    for needed in ("Makefile", "requirements.lock", "tools"):
        copy = shutil.copytree if (PROJECT / needed).is_dir() else shutil.copy
        copy(PROJECT / needed, tmp_path / needed)
    done = subprocess.run(
        ["make", target, "PYTHON=/nonexistent/python"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "/nonexistent/python is not a Python 3.13." in done.stderr
    assert "apt install python3.13 python3.13-venv" in done.stderr
    assert "make PYTHON=/path/to/python3.13" in done.stderr


def test_replay_without_a_file_says_so() -> None:
    done = subprocess.run(
        ["make", "--silent", "--assume-old=.venv/.ready", "replay"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "make replay FILE=" in done.stderr
