"""Runs what is installed in tests/wire/peers: servers and clients by others, in JavaScript."""

import base64
import fcntl
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PEERS = Path(__file__).parent / "peers"
INSTALL_S = 600.0
START_S = 60.0


def installed() -> Path:
    """The folder of the installed packages. Installs them on first use.

    Without Node it skips the test, or fails it where REQUIRE_NODE is set, as .ci/run does.
    """
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        if os.environ.get("REQUIRE_NODE"):
            pytest.fail("Node is not installed, and REQUIRE_NODE is set")
        pytest.skip("Node is not installed")
    modules = PEERS / "node_modules"
    with (PEERS / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = modules / ".package-lock.json"
        wanted = (PEERS / "package-lock.json").stat().st_mtime
        if not stamp.exists() or stamp.stat().st_mtime < wanted:
            done = subprocess.run(
                [npm, "ci", "--ignore-scripts", "--silent"],
                cwd=PEERS,
                capture_output=True,
                text=True,
                timeout=INSTALL_S,
                check=False,
            )
            assert done.returncode == 0, f"npm ci in {PEERS}: {done.stdout}{done.stderr}"
            stamp.touch()
    return modules


@contextmanager
def serving(ready: str, package_file: str, *arguments: str, folder: Path) -> Iterator[str]:
    """A server of an installed package, given as group 1 of its line that matches `ready`.

    `folder` is for what it writes.
    """
    script = installed() / package_file
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["node", script, *arguments], cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield _wait_for(ready, log, process)
    finally:
        process.kill()
        process.wait()


def _wait_for(pattern: str, log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(pattern, log.read_text())
        if found is not None:
            return found[1]
        time.sleep(0.02)
    raise AssertionError(f"the server is not ready: {log.read_text()}")


@contextmanager
def azurite(folder: Path) -> Iterator[str]:
    """Blob storage with an account of its own: gives the connection string."""
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    options = ("--blobPort", "0", "--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZURITE_ACCOUNTS", f"orderflow:{key}")
        script = "azurite/dist/src/blob/main.js"
        with serving(r"listens on (http://\S+)\n", script, *options, folder=folder) as address:
            yield f"AccountName=orderflow;AccountKey={key};BlobEndpoint={address}/orderflow;"
