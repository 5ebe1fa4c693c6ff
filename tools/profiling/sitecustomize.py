"""Sample this process, if it is an emulator instance, from SIGUSR1 to SIGUSR2.

At ticks of its CPU time notes the stack of the main thread. At the end writes the share of samples by area
(of the innermost function that has one: the standard library counts for its caller) and by function, alone
(`self`) and with what it called (`total`).
"""

import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL_S = 0.001
"""The kernel's clock tick makes it longer."""

SHOWN = 150

AREAS = (
    "/azure/durable_functions/",
    "/azure/functions/",
    "/azure_functions_runtime/",
    "/aiohttp/",
    "/pydantic/",
    "/emulator/documents/",
    "/emulator/durable/",
    "/emulator/host/",
    "/emulator/servicebus/",
    "/emulator/",
    "/activities/",
    "/adapters/",
    "/core/",
    "/orchestrators/",
    "/services/",
    "/triggers/",
)
"""The first that a file's path contains is its area."""


class Sampler:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._alone: Counter[str] = Counter()
        self._with_callees: Counter[str] = Counter()
        self._areas: Counter[str] = Counter()
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(signal.SIGUSR1, self._start)
        signal.signal(signal.SIGUSR2, self._stop)

    def _start(self, _: int, __: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        seen: set[str] = set()
        area = ""
        while frame is not None:
            code = frame.f_code
            name = f"{_short(code.co_filename)}:{code.co_firstlineno} {code.co_qualname}"
            if not seen:
                self._alone[name] += 1
            seen.add(name)
            area = area or next((area for area in AREAS if area in code.co_filename), "")
            frame = frame.f_back
        self._with_callees.update(seen)
        self._areas[area.strip("/") or "other"] += 1

    def _stop(self, _: int, __: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        samples = self._alone.total()
        lines = [f"{samples} samples", ""]
        sections = {"areas": self._areas, "self": self._alone, "total": self._with_callees}
        for title, counts in sections.items():
            lines += [title, *_shares(counts, samples), ""]
        (self._folder / f"profile-{os.getpid()}.txt").write_text("\n".join(lines))


def _shares(counts: Counter[str], samples: int) -> list[str]:
    return [f"{number * 100 / samples:6.2f} %  {name}" for name, number in counts.most_common(SHOWN)]


def _short(filename: str) -> str:
    """The last three parts of a path."""
    return "/".join(Path(filename).parts[-3:])


_folder = os.environ.get("ORDERFLOW_PROFILE_FOLDER")
if _folder and "instance" in sys.orig_argv:
    Sampler(Path(_folder))
