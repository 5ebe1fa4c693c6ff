"""A running emulator for the tools and the tests: `python -m emulator start ...` as processes of its own."""

import asyncio
import os
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp

PROJECT = Path(__file__).resolve().parent.parent
READY = b"ready: "
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0


WIRE = ("--wire", "--amqp-port", "0", "--cosmos-port", "0")
ADAPTERS = ("embedded", "azure")
"""What the hosted app uses: the emulator's engines themselves, or the Azure SDKs over the wire endpoints."""


def with_adapters(
    adapters: str, settings: Mapping[str, str] | None = None, options: Sequence[str] = ()
) -> tuple[dict[str, str], tuple[str, ...]]:
    """`settings` and `options` of `start` for an app on these adapters."""
    chosen = {**(settings or {}), "ORDERFLOW_ADAPTERS": adapters}
    return chosen, (*options, *WIRE) if adapters == "azure" else tuple(options)


class EmulatorFailed(Exception):
    """It did not start, or ended by itself; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """`supervisor` is the process that was started; the instances are its children, counted from 0."""

    url: str
    state: Path
    instances: int
    supervisor: asyncio.subprocess.Process
    log: Path

    async def metrics(self, instance: int) -> dict[str, Any]:
        """See emulator/host/admin.py."""
        return await self._admin("GET", instance, "/metrics")

    async def reset_metrics(self, instance: int) -> None:
        await self._admin("POST", instance, "/metrics/reset")

    async def fail(self, instance: int, *, documents_s: float = 0.0, bus_s: float = 0.0) -> None:
        """Every request to that instance's engines fails for so long."""
        faults = {"documents_seconds": documents_s, "bus_seconds": bus_s}
        await self._admin("POST", instance, "/faults", faults)

    def pid(self, instance: int) -> int:
        """Raises OSError when the instance does not run."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self._socket(instance)))
            credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid: int = struct.unpack("3i", credentials)[0]
        return pid

    async def kill(self, instance: int) -> None:
        """kill -9; returns once it is gone. The supervisor starts it again, unless told not to."""
        await _kill([self.pid(instance)])

    async def kill_all(self) -> None:
        """kill -9 of every process, as in a power cut."""
        pids = [self.pid(instance) for instance in range(self.instances)]
        self.supervisor.kill()
        await self.supervisor.wait()
        await _kill(pids)

    async def stop(self) -> None:
        """Raises EmulatorFailed when it had ended by itself."""
        code = self.supervisor.returncode
        await _end(self.supervisor)
        if code is not None:
            raise EmulatorFailed(f"the emulator ended by itself (code {code}):\n{_tail(self.log)}")

    def _socket(self, instance: int) -> Path:
        return self.state / f"instance-{instance}.sock"

    async def _admin(
        self, method: str, instance: int, path: str, body: Mapping[str, float] | None = None
    ) -> dict[str, Any]:
        connector = aiohttp.UnixConnector(str(self._socket(instance)))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, f"http://instance{path}", json=body) as answer,
        ):
            answer.raise_for_status()
            return await answer.json() if answer.content_type.endswith("json") else {}


@asynccontextmanager
async def running(
    state: Path,
    *,
    instances: int = 1,
    settings: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    app: Path = PROJECT,
) -> AsyncIterator[Emulator]:
    """As `start`, and stopped at the end."""
    emulator = await start(state, instances=instances, settings=settings, options=options, app=app)
    try:
        yield emulator
    finally:
        await emulator.stop()


async def start(
    state: Path,
    *,
    instances: int = 1,
    settings: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    app: Path = PROJECT,
) -> Emulator:
    """On a free port; returns once it is ready. Its log is appended to `emulator.log` in the state folder.

    `settings` are added to the environment, `options` to the command line. Raises EmulatorFailed.
    """
    command = [sys.executable, "-m", "emulator", "start", "--app", str(app), "--state", str(state)]
    command += ["--port", "0", "--instances", str(instances), *options]
    log, output = _open_log(state)
    with output:
        earlier = output.tell()
        # To a file, not to a pipe: a pipe that nobody empties stops the emulator when it is full.
        supervisor = await asyncio.create_subprocess_exec(
            *command,
            cwd=PROJECT,
            # Said here, so that a local.settings.json for `func start` says nothing about the emulator.
            env={"ORDERFLOW_ADAPTERS": ADAPTERS[0], **os.environ, **(settings or {})},
            stdout=output,
            stderr=output,
            start_new_session=True,  # a Ctrl-C is for the tool, which then stops the emulator in order
        )
    url = None
    with suppress(TimeoutError):
        async with asyncio.timeout(START_TIMEOUT_S):
            url = await _ready_url(supervisor, log, earlier)
    if url is None:
        await _end(supervisor)
        raise EmulatorFailed(f"the emulator did not start (code {supervisor.returncode}):\n{_tail(log)}")
    return Emulator(url, state, instances, supervisor, log)


async def _ready_url(supervisor: asyncio.subprocess.Process, log: Path, after: int) -> str | None:
    """None if the process ends before it is ready. `after`: bytes of the log that are of an earlier one."""
    while True:
        ended = supervisor.returncode is not None
        url = _url_in(log, after)
        if url is not None or ended:
            return url
        await asyncio.sleep(0.05)


def _url_in(log: Path, after: int) -> str | None:
    """Of the line `ready: URL`."""
    for line in log.read_bytes()[after:].splitlines(keepends=True):
        if line.startswith(READY) and line.endswith(b"\n"):
            return line.removeprefix(READY).decode().strip()
    return None


async def _end(supervisor: asyncio.subprocess.Process) -> None:
    if supervisor.returncode is None:
        supervisor.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await supervisor.wait()
    except TimeoutError:
        supervisor.kill()
        await supervisor.wait()


async def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while any(_alive(pid) for pid in pids):  # noqa: ASYNC110  (nothing tells of the end)
        await asyncio.sleep(0.01)


def _alive(pid: int) -> bool:
    """False for a zombie too: it is dead, only not yet waited for by its parent."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _open_log(state: Path) -> tuple[Path, BinaryIO]:
    state.mkdir(parents=True, exist_ok=True)
    log = state / "emulator.log"
    return log, log.open("ab")


def _tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
