"""A running emulator for the tools and the tests: `python -m emulator start ...` as a process of its own."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp

PROJECT = Path(__file__).resolve().parent.parent
READY = "ready: "
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


class EmulatorFailed(Exception):
    """It did not start, or ended by itself; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """`process` is the one that was started; the instances may be its children. `log` is where it writes."""

    url: str
    state: Path
    instances: int
    process: asyncio.subprocess.Process
    log: Path

    async def metrics(self, instance: int) -> dict[str, Any]:
        """What one instance did since its start, or since `reset_metrics`. Instances count from 0."""
        return await self._admin("GET", instance, "/metrics")

    async def reset_metrics(self, instance: int) -> None:
        await self._admin("POST", instance, "/metrics/reset")

    async def kill(self, instance: int) -> None:
        """kill -9; returns once it is gone. Whoever supervises it may start it again."""
        pid = int((await self.metrics(instance))["pid"])
        os.kill(pid, signal.SIGKILL)
        while _alive(pid):  # noqa: ASYNC110  (the end of another's child raises no event here)
            await asyncio.sleep(0.01)

    async def _admin(self, method: str, instance: int, path: str) -> dict[str, Any]:
        connector = aiohttp.UnixConnector(str(self.state / f"instance-{instance}.sock"))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, f"http://instance{path}") as answer,
        ):
            answer.raise_for_status()
            parsed: dict[str, Any] = await answer.json() if answer.content_type.endswith("json") else {}
            return parsed


@asynccontextmanager
async def running(
    state: Path,
    *,
    port: int | None = None,
    instances: int = 1,
    settings: Mapping[str, str] | None = None,
    app: Path = PROJECT,
) -> AsyncIterator[Emulator]:
    """Start on a free port unless one is given, wait until it is ready, and stop it at the end.

    `settings` are added to the environment. Raises EmulatorFailed.
    """
    emulator = await start(state, port=port, instances=instances, settings=settings, app=app)
    try:
        yield emulator
    finally:
        await stop(emulator)


async def start(
    state: Path,
    *,
    port: int | None = None,
    instances: int = 1,
    settings: Mapping[str, str] | None = None,
    app: Path = PROJECT,
) -> Emulator:
    """As `running`, for who stops, kills and restarts it by hand. The log is appended to."""
    command = [sys.executable, "-m", "emulator", "start", "--app", str(app), "--state", str(state)]
    command += ["--port", str(port or free_port()), "--instances", str(instances)]
    log, output = _open_log(state)
    with output:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=PROJECT,
            env={**os.environ, **(settings or {})},
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            start_new_session=True,  # a Ctrl-C is for the tool, which then stops the emulator in order
        )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            url = await _ready_url(process)
    except TimeoutError:
        url = None
    if url is None:
        await _end(process)
        raise EmulatorFailed(f"the emulator did not start (code {process.returncode}):\n{_tail(log)}")
    return Emulator(url, state, instances, process, log)


async def stop(emulator: Emulator) -> None:
    """Raises EmulatorFailed when it had ended by itself."""
    code = emulator.process.returncode
    await _end(emulator.process)
    if code is not None:
        raise EmulatorFailed(f"the emulator ended by itself (code {code}):\n{_tail(emulator.log)}")


async def kill_all(emulator: Emulator) -> None:
    """kill -9 of the whole process group; returns once the process that was started is gone."""
    with suppress(ProcessLookupError):
        os.killpg(emulator.process.pid, signal.SIGKILL)
    await emulator.process.wait()


def _open_log(state: Path) -> tuple[Path, BinaryIO]:
    state.mkdir(parents=True, exist_ok=True)
    log = state / "emulator.log"
    return log, log.open("ab")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _ready_url(process: asyncio.subprocess.Process) -> str | None:
    """The URL of the line `ready: URL`, None when the process ends before it."""
    assert process.stdout is not None  # noqa: S101  (started with a pipe)
    while line := (await process.stdout.readline()).decode():
        if line.startswith(READY):
            return line.removeprefix(READY).strip()
    await process.wait()
    return None


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _alive(pid: int) -> bool:
    """False for a zombie too: it is dead, only not yet waited for by its parent."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
