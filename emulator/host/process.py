"""One of the equal processes of an emulator: an instance of the app on the shared store and HTTP port.

It tells the supervisor by one JSON line that it is ready, or why it cannot start, and stops when the
supervisor is gone.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
from pathlib import Path
from random import Random

import orjson

from emulator.clock import SystemClock
from emulator.host.admin import Admin
from emulator.host.app import App, load_app
from emulator.host.assembly import Instance
from emulator.host.functions import AppRefused
from emulator.host.functions_host import HostOptions
from emulator.host.http_server import HttpServer
from emulator.host.logs import start_logging, yield_to_the_app
from emulator.host.loop_lag import LoopLag
from emulator.host.process_options import DRAIN_SECONDS, ProcessOptions
from emulator.host.schema import SCHEMA
from emulator.servicebus.errors import ServiceBusError
from emulator.store import Store, StoreError
from emulator.turnstile import Turnstile
from emulator.wakeups import Wakeups
from emulator.wire.endpoints import Endpoints, connection_settings, export, start_endpoints
from emulator.wire.keys import KeysError, WireKeys, load_or_create

_COMMIT_PACE_S = 0.05
"""A quarter less CPU per request than without, for some latency under load. See docs/performance.md."""


def run_process(options: ProcessOptions) -> int:
    """Returns the exit code: 0 stopped as asked, 1 the app was refused, 2 the place (port, folder)."""
    handler = start_logging(options.log_level)
    try:
        keys = _keys(options)
        app = load_app(Path(options.app))
        yield_to_the_app(handler)
        # What is there by now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        # A request leaves few cycles. Looking for them at every 2,000 new objects costs more than it frees;
        # at every 50,000 they have left the CPU's caches by then.
        gc.set_threshold(10_000, 20, 100)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(app, options, keys))
    except AppRefused as refusal:
        return _refused(options, 1, str(refusal))
    except (StoreError, ServiceBusError, KeysError, OSError) as error:
        return _refused(options, 2, str(error))
    return 0


def _keys(options: ProcessOptions) -> WireKeys | None:
    """Of the wire endpoints, whose settings the app finds when it is loaded."""
    if options.amqp_port is None or options.cosmos_port is None:
        return None
    keys = load_or_create(Path(options.state))
    settings = connection_settings(keys, options.host, options.amqp_port, options.cosmos_port, options.port)
    export(settings, os.environ)
    return keys


async def _serve(app: App, options: ProcessOptions, keys: WireKeys | None) -> None:
    state = Path(options.state)
    alone = options.instances == 1
    turn = None if alone else Turnstile(state)
    peers = None if alone else Wakeups(state, options.number, options.instances)
    store = Store(Path(options.store), schema=SCHEMA, turn=turn, peers=peers, pace_s=_COMMIT_PACE_S)
    name = f"instance-{options.number}"
    instance = Instance(
        app,
        store,
        clock=SystemClock(),
        random=Random(),
        options=HostOptions(
            owner=name,
            base_url=f"http://{options.host}:{options.port}",
            first_instance=options.number == 0,
            fast_timestamps=options.fast_timestamps,
            in_process_rpc=options.in_process_rpc,
            storage_key=None if keys is None else keys.storage_key,
        ),
    )
    lag = LoopLag()
    socket = state / f"{name}.sock"
    socket.unlink(missing_ok=True)  # of one that was killed
    admin = HttpServer(
        Admin(name, instance.engines, instance.host.invocations, lag).handle, max_body_bytes=65536
    )
    server = HttpServer(instance.host.request, app.limits.max_body_bytes)
    if peers is not None:
        peers.start(store.wake_from_peer)
    endpoints: Endpoints | None = None

    async def serve_endpoints() -> None:
        nonlocal endpoints
        if keys is not None and options.amqp_port is not None and options.cosmos_port is not None:
            _allow_many_connections()
            endpoints = await start_endpoints(
                instance.engines, keys, options.host, options.amqp_port, options.cosmos_port
            )

    await instance.start(serve_endpoints)
    await admin.listen_on_unix_socket(socket)
    await server.listen(options.host, options.port)
    lag.start()
    _tell(options, {"ready": True})
    await _told_to_stop(options.supervisor_fd)
    lag.stop()
    await server.close(DRAIN_SECONDS / 2)
    await instance.stop(DRAIN_SECONDS)
    # Until here, because functions that finish may use them.
    if endpoints is not None:
        await endpoints.close()
    await admin.close()
    socket.unlink(missing_ok=True)
    if peers is not None:
        peers.close()
    if turn is not None:
        turn.close()


def _allow_many_connections() -> None:
    """The usual limit of 1,024 descriptors is soft, and meant for programs that use select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _told_to_stop(supervisor_fd: int) -> None:
    """By SIGTERM or SIGINT, or by the end of the supervisor."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(supervisor_fd, stop.set)
    await stop.wait()
    loop.remove_reader(supervisor_fd)


def _refused(options: ProcessOptions, code: int, message: str) -> int:
    _tell(options, {"ready": False, "code": code, "message": message})
    return code


def _tell(options: ProcessOptions, status: dict[str, object]) -> None:
    try:
        os.write(options.status_fd, orjson.dumps(status) + b"\n")
    except BrokenPipeError:
        sys.exit(0)  # nobody is left to serve for
    os.close(options.status_fd)


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  (a little faster; not there on every machine)
    except ImportError:
        return None
    return uvloop.Loop
