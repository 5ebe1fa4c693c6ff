"""A fresh emulator for one run of a tool, and the verdict over what the run left behind."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tools import emulator_process
from tools.emulator_process import Emulator
from tools.evidence import read_evidence
from tools.invariants import Violation, check

SETTLE_S = 30.0
SHOWN = 20


@asynccontextmanager
async def fresh_emulator(
    instances: int = 1, settings: Mapping[str, str] | None = None, options: Sequence[str] = ()
) -> AsyncIterator[Emulator]:
    """On a folder of its own, removed at the end unless something went wrong."""
    state = Path(tempfile.mkdtemp(prefix="orderflow-"))
    try:
        running = emulator_process.running(state, instances=instances, settings=settings, options=options)
        async with running as emulator:
            yield emulator
    except BaseException:
        print(f"kept for a look: {state}", file=sys.stderr)
        raise
    shutil.rmtree(state)


async def settle(state: Path, accepted: Iterable[str], timeout_s: float = SETTLE_S) -> list[Violation]:
    """The violations that stay: change feed and topic go on for a moment after the last order's end."""
    accepted = frozenset(accepted)
    deadline = time.monotonic() + timeout_s
    while True:
        violations = check(read_evidence(state, accepted=accepted))
        if not violations or time.monotonic() > deadline:
            return violations
        await asyncio.sleep(0.5)


def show(violations: list[Violation]) -> None:
    for violation in violations[:SHOWN]:
        print(violation, file=sys.stderr)
    if len(violations) > SHOWN:
        print(f"... and {len(violations) - SHOWN} more", file=sys.stderr)
