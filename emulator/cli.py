"""The command line: `python -m emulator start --app DIR --state DIR --port N --instances N`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 0 stopped as asked, 1 the app was refused, 2 the place (folder, port)."""
    options = _parser().parse_args(arguments)
    if options.command == "instance":
        return _instance(options.options)
    if sys.platform != "linux":
        print("emulator: Linux only (processes share one port by SO_REUSEPORT)", file=sys.stderr)  # noqa: T201
        return 2
    return _start(options)


def _start(options: argparse.Namespace) -> int:
    from emulator.host.supervisor import CannotStart, StartOptions, supervise  # noqa: PLC0415  (Linux only)

    try:
        asyncio.run(
            supervise(
                StartOptions(
                    app=options.app,
                    state=options.state,
                    host=options.host,
                    port=options.port,
                    instances=options.instances,
                    restart=not options.no_restart,
                    fast_timestamps=not options.no_fast_timestamps,
                    in_process_rpc=not options.no_in_process_rpc,
                    log_level=options.log_level,
                    amqp_port=options.amqp_port if options.wire else None,
                    cosmos_port=options.cosmos_port if options.wire else None,
                )
            )
        )
    except CannotStart as reason:
        print(f"emulator: {reason}", file=sys.stderr)  # noqa: T201
        return reason.code
    return 0


def _instance(text: str) -> int:
    import orjson  # noqa: PLC0415

    from emulator.host.process import run_process  # noqa: PLC0415
    from emulator.host.process_options import ProcessOptions  # noqa: PLC0415

    return run_process(ProcessOptions(**orjson.loads(text)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="host a function app until Ctrl-C")
    start.add_argument("--app", type=Path, required=True, help="the folder of function_app.py")
    start.add_argument("--state", type=Path, required=True, help="the folder that keeps everything")
    start.add_argument("--port", type=_port, default=7071, help="HTTP port; 0 for any free one (7071)")
    start.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    start.add_argument("--instances", type=_instances, default=1, help="equal processes, 1 to 16 (1)")
    start.add_argument("--no-restart", action="store_true", help="leave an instance that died dead")
    start.add_argument(
        "--no-fast-timestamps", action="store_true", help="leave the SDKs their own timestamp parsers"
    )
    start.add_argument(
        "--no-in-process-rpc",
        action="store_true",
        help="durable clients call the host over HTTP, as in Azure",
    )
    start.add_argument(
        "--wire", action="store_true", help="serve AMQP, Cosmos DB and blobs over the wire, and say where"
    )
    start.add_argument("--amqp-port", type=_port, default=5672, help="with --wire; 0 for any free one (5672)")
    start.add_argument(
        "--cosmos-port", type=_port, default=8081, help="with --wire; 0 for any free one (8081)"
    )
    start.add_argument("--log-level", choices=LOG_LEVELS, default="INFO", help="lowest level shown (INFO)")
    instance = commands.add_parser("instance")  # what `start` runs
    instance.add_argument("options")
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a port is 0 to 65535")
    return int(text)


def _instances(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 16:
        raise argparse.ArgumentTypeError("1 to 16 instances can be started")
    return int(text)
