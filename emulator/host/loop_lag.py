"""How late the event loop runs its timers: what everything else in the process waits for as well."""

from __future__ import annotations

import asyncio
import time

_INTERVAL_SECONDS = 0.02
_MOST_SAMPLES = 100_000
"""Half an hour; then every second sample is dropped."""


class LoopLag:
    def __init__(self) -> None:
        self._samples: list[float] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        # Not the loop's own clock: that of uvloop counts milliseconds.
        due = time.monotonic() + _INTERVAL_SECONDS
        self._timer = asyncio.get_running_loop().call_later(_INTERVAL_SECONDS, self._sample, due)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def reset(self) -> None:
        self._samples.clear()

    def report(self) -> dict[str, float]:
        """Milliseconds since the last reset."""
        ordered = sorted(self._samples) or [0.0]
        return {
            "p50_ms": round(ordered[len(ordered) // 2] * 1000, 3),
            "p99_ms": round(ordered[len(ordered) * 99 // 100] * 1000, 3),
            "max_ms": round(ordered[-1] * 1000, 3),
        }

    def _sample(self, due: float) -> None:
        self._samples.append(max(0.0, time.monotonic() - due))
        if len(self._samples) > _MOST_SAMPLES:
            del self._samples[::2]
        self.start()
