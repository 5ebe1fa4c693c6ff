"""Starts N equal processes on one state folder and one port, and keeps them running until told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import orjson

from emulator.database import StoreError, open_writer
from emulator.host.process_options import DRAIN_SECONDS, ProcessOptions
from emulator.host.schema import SCHEMA
from emulator.state_folder import StateFolder, open_state
from emulator.wire.endpoints import connection_settings
from emulator.wire.keys import KeysError, load_or_create

_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0
"""An instance that ran so long is restarted without a pause when it dies."""


@dataclass(frozen=True, slots=True)
class StartOptions:
    app: Path
    state: Path
    host: str = "127.0.0.1"
    port: int = 7071
    instances: int = 1
    restart: bool = True
    fast_timestamps: bool = True
    in_process_rpc: bool = True
    log_level: str = "INFO"
    amqp_port: int | None = None
    """None, as `cosmos_port`, without wire endpoints; 0 for any free one."""
    cosmos_port: int | None = None


class CannotStart(Exception):
    """`code` is the exit code: 1 the app was refused, 2 the place (folder, port)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Child:
    number: int
    process: asyncio.subprocess.Process
    status: int
    """The pipe on which it says that it is ready."""
    restarts: int = 0
    started: float = field(default_factory=lambda: asyncio.get_running_loop().time())


async def supervise(options: StartOptions) -> None:
    """Returns when all instances have stopped as asked. Raises CannotStart."""
    with ExitStack() as held:
        try:
            folder = open_state(options.state)
            held.callback(folder.close)
            # Created here, once: several processes cannot switch a new file to WAL at the same time.
            open_writer(folder.store, SCHEMA, "FULL").close()
        except StoreError as error:
            raise CannotStart(2, str(error)) from None
        ports = [
            None if port is None else held.enter_context(_take_port(options.host, port, flag))
            for port, flag in (
                (options.port, "--port"),
                (options.amqp_port, "--amqp-port"),
                (options.cosmos_port, "--cosmos-port"),
            )
        ]
        http, amqp, cosmos = (None if port is None else int(port.getsockname()[1]) for port in ports)
        taken = replace(options, port=http or 0, amqp_port=amqp, cosmos_port=cosmos)
        await _Supervisor(taken, folder, _connection_settings(taken, folder)).run()


def _connection_settings(options: StartOptions, folder: StateFolder) -> dict[str, str]:
    if options.amqp_port is None or options.cosmos_port is None:
        return {}
    try:
        keys = load_or_create(folder.path)
    except KeysError as error:
        raise CannotStart(2, str(error)) from None
    return connection_settings(keys, options.host, options.amqp_port, options.cosmos_port, options.port)


class _Supervisor:
    def __init__(self, options: StartOptions, folder: StateFolder, wire_settings: dict[str, str]) -> None:
        """The ports of `options` are held; `wire_settings` are said once all is ready."""
        self._options = options
        self._folder = folder
        self._wire_settings = wire_settings
        self._children: dict[int, _Child] = {}
        self._stop = asyncio.Event()
        # The children see the end of this pipe when the supervisor ends, however it ends.
        self._alive, self._held_open = os.pipe()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._stop.set)
        try:
            for number in range(self._options.instances):
                self._children[number] = await self._spawn(number)
            waits = [self._until_ready(child) for child in self._children.values()]
            await self._unless_stopped(asyncio.gather(*waits))
            if not self._stop.is_set():
                _say(f"ready: http://{self._options.host}:{self._options.port}")
                for name, value in self._wire_settings.items():
                    _say(f"{name}={value}")
                await self._keep_running()
            if not self._stop.is_set():
                raise CannotStart(1, "all instances have ended")
        finally:
            await self._stop_children()
            os.close(self._held_open)
            os.close(self._alive)

    async def _spawn(self, number: int) -> _Child:
        read_end, write_end = os.pipe()
        options = ProcessOptions(
            app=str(self._options.app.resolve()),
            state=str(self._folder.path.resolve()),
            store=str(self._folder.store.resolve()),
            host=self._options.host,
            port=self._options.port,
            number=number,
            instances=self._options.instances,
            fast_timestamps=self._options.fast_timestamps,
            in_process_rpc=self._options.in_process_rpc,
            log_level=self._options.log_level,
            amqp_port=self._options.amqp_port,
            cosmos_port=self._options.cosmos_port,
            status_fd=write_end,
            supervisor_fd=self._alive,
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "emulator", "instance", options.as_json()),
            pass_fds=(write_end, self._alive, self._folder.lock),
            # Ctrl-C goes to the supervisor alone, which tells the children.
            start_new_session=True,
        )
        os.close(write_end)
        return _Child(number, process, read_end)

    async def _until_ready(self, child: _Child) -> None:
        """Raises CannotStart with what the child says, or that it died without a word."""
        line = await asyncio.get_running_loop().run_in_executor(None, _read_all, child.status)
        if not line:
            code = await child.process.wait()
            raise CannotStart(1, f"instance {child.number} ended with code {code} before it was ready")
        status = orjson.loads(line)
        if not status["ready"]:
            raise CannotStart(status["code"], status["message"])

    async def _keep_running(self) -> None:
        loops = [asyncio.create_task(self._keep_one(number)) for number in self._children]
        await self._unless_stopped(asyncio.gather(*loops))

    async def _keep_one(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            child = self._children[number]
            code = await child.process.wait()
            if self._stop.is_set():
                return
            _say(f"instance {number} ended with code {code}")
            if not self._options.restart:
                return
            steady = loop.time() - child.started > _STEADY_SECONDS
            restarts = 0 if steady else child.restarts
            await asyncio.sleep(min(_LONGEST_PAUSE_SECONDS, 0.2 * 2**restarts if restarts else 0))
            self._children[number] = await self._spawn(number)
            self._children[number].restarts = restarts + 1
            try:
                await self._until_ready(self._children[number])
            except CannotStart as error:
                _say(f"instance {number}: {error}")
            else:
                _say(f"instance {number} runs again")

    async def _unless_stopped(self, work: asyncio.Future[list[None]]) -> None:
        stopped: asyncio.Future[Literal[True]] = asyncio.ensure_future(self._stop.wait())
        either: list[asyncio.Future[Any]] = [work, stopped]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not work.done():
            work.cancel()
        with suppress(asyncio.CancelledError):
            await work

    async def _stop_children(self) -> None:
        self._stop.set()
        for child in self._children.values():
            with suppress(ProcessLookupError):
                child.process.terminate()
        for child in self._children.values():
            try:
                async with asyncio.timeout(2 * DRAIN_SECONDS):
                    await child.process.wait()
            except TimeoutError:
                _say(f"instance {child.number} did not stop in {2 * DRAIN_SECONDS:.0f} s and is killed")
                child.process.kill()
                await child.process.wait()


def _take_port(host: str, port: int, flag: str) -> socket.socket:
    """A bound socket, which keeps the number. The first, exclusive attempt finds any other program there."""
    try:
        with _socket(host) as exclusive:
            exclusive.bind((host, port))
            port = exclusive.getsockname()[1]
        kept = _socket(host)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind((host, port))
    except OSError as error:
        raise CannotStart(
            2, f"port {port} on {host} cannot be used ({error.strerror}): give another {flag}"
        ) from None
    return kept


def _socket(host: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    # Connections that an emulator has just closed are no reason not to start the next one.
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return opened


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as pipe:
        return pipe.read()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
