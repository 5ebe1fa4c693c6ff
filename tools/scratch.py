"""A fresh emulator for one run of a tool, and the verdict over what the run left behind."""

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tools import emulator_process
from tools.api import ApiError, Unreachable
from tools.emulator_process import Emulator, EmulatorFailed
from tools.evidence import read_evidence
from tools.invariants import Violation, check

SETTLE_S = 30.0
SHOWN = 20


def run(tool: str, work: Coroutine[Any, Any, int]) -> int:
    """The exit code of `work`; 1 with a line on stderr when the emulator or its API failed it.

    A SIGTERM stops it as Ctrl-C does, so that the emulator is stopped too.
    """
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return asyncio.run(work)
    except* (ApiError, Unreachable, EmulatorFailed) as errors:
        print(f"{tool}: {_first(errors)}", file=sys.stderr)
    except* KeyboardInterrupt:
        print(f"{tool}: stopped", file=sys.stderr)
    return 1


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


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
