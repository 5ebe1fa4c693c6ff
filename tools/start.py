"""Serve the app until Ctrl-C: `make start`. Arguments are those of `python -m emulator start` but --app."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

from tools.emulator_process import ADAPTERS, PROJECT, READY

ROUTES = (
    "POST /api/orders                    submit an order (header Idempotency-Key)",
    "GET  /api/orders/ID                 one order (?wait=30 holds until it changes)",
    "GET  /api/orders?customer_id=C      orders of a customer (or ?status=S)",
    "GET  /api/orders/ID/history         what happened to it",
    "POST /api/orders/ID/cancel          cancel it",
    "PUT  /api/inventory/SKU             set the stock of an article",
    "GET  /api/inventory/SKU             and look at it",
    "GET  /api/health                    is the app up",
)


def urls(base: str) -> Iterator[str]:
    for route in ROUTES:
        method, path = route[:5], route[5:]
        yield f"  {method}{base}{path}"


def serve(arguments: Sequence[str]) -> int:
    """The emulator's exit code."""
    command = [sys.executable, "-m", "emulator", "start", "--app", str(PROJECT), *arguments]
    # Said here, so that a local.settings.json for `func start` says nothing about the emulator.
    environment = {"ORDERFLOW_ADAPTERS": ADAPTERS[0], **os.environ}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as emulator:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: emulator.terminate())
        assert emulator.stdout is not None  # noqa: S101  (started with a pipe)
        for line in emulator.stdout:
            sys.stdout.write(line.decode(errors="replace"))
            if line.startswith(READY):
                sys.stdout.write(
                    "\n".join(urls(line.removeprefix(READY).decode().strip())) + "\nCtrl-C stops\n"
                )
            sys.stdout.flush()
    return emulator.returncode


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
