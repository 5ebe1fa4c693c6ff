"""Sample this process if it is an emulator instance: each INTERVAL_S of CPU time, note the stack.

Written at the end: share of samples by function, alone (`self`) and with what it called (`total`).
"""

import atexit
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL_S = 0.002
SHOWN = 120


def _start(folder: Path) -> None:
    alone: Counter[str] = Counter()
    with_callees: Counter[str] = Counter()

    def sample(_: int, frame: FrameType | None) -> None:
        seen: set[str] = set()
        while frame is not None:
            code = frame.f_code
            name = f"{_short(code.co_filename)}:{code.co_firstlineno} {code.co_qualname}"
            if not seen:
                alone[name] += 1
            seen.add(name)
            frame = frame.f_back
        with_callees.update(seen)

    def write() -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        samples = sum(alone.values())
        lines = [f"{samples} samples, one each {INTERVAL_S * 1000:g} ms of CPU", ""]
        for title, counts in (("self", alone), ("total", with_callees)):
            lines += [title, *_shares(counts, samples), ""]
        (folder / f"profile-{os.getpid()}.txt").write_text("\n".join(lines))

    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
    atexit.register(write)


def _shares(counts: Counter[str], samples: int) -> list[str]:
    return [f"{number * 100 / samples:6.2f} %  {name}" for name, number in counts.most_common(SHOWN)]


def _short(filename: str) -> str:
    """The last three parts of a path."""
    return "/".join(Path(filename).parts[-3:])


_folder = os.environ.get("ORDERFLOW_PROFILE_FOLDER")
if _folder and "instance" in sys.orig_argv:
    _start(Path(_folder))
