"""A sampling profile of the emulator's instances, without a change to the emulator.

`sitecustomize.py` in this folder runs at the start of every Python process that has the folder on PYTHONPATH.
An instance then samples itself between two signals.
"""

import os
import signal
from pathlib import Path

from tools.emulator_process import Emulator

FOLDER = Path(__file__).resolve().parent
OUT = "ORDERFLOW_PROFILE_FOLDER"


def settings(out: Path) -> dict[str, str]:
    """The environment in which each instance can be sampled; `profile-<process id>.txt` goes into `out`."""
    path = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{FOLDER}{os.pathsep + path if path else ''}", OUT: str(out.resolve())}


def start(emulator: Emulator) -> None:
    _signal(emulator, signal.SIGUSR1)


def stop(emulator: Emulator) -> None:
    _signal(emulator, signal.SIGUSR2)


def _signal(emulator: Emulator, number: signal.Signals) -> None:
    for instance in range(emulator.instances):
        os.kill(emulator.pid(instance), number)
