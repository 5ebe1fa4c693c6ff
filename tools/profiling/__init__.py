"""A sampling profile of the emulator's instances, without a change to the emulator.

`sitecustomize.py` in this folder runs at the start of every Python process that has the folder on PYTHONPATH,
and samples those that are instances.
"""

import os
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
OUT = "ORDERFLOW_PROFILE_FOLDER"


def settings(out: Path) -> dict[str, str]:
    """The environment that has each instance write `profile-<process id>.txt` into `out` when it ends."""
    path = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{FOLDER}{os.pathsep + path if path else ''}", OUT: str(out.resolve())}
