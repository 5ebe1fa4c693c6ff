"""What a bench or a test asks one instance, over its Unix socket `instance-<n>.sock` in the state folder.

- `GET /metrics`: counts by group, CPU seconds, event-loop lag, invocations in flight, commits. CPU seconds
  and commits are since the start; counts, lag and `window_seconds` since the last reset.
- `POST /metrics/reset`: begin a new window.
- `POST /faults {"documents_seconds": 30, "bus_seconds": 30}`: requests to these engines fail for so long.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import orjson

from emulator.engines import Engines
from emulator.host.invocations import Invocations
from emulator.host.loop_lag import LoopLag
from emulator.http import HttpAnswer

_FAULTS = frozenset({"documents_seconds", "bus_seconds"})


class Admin:
    def __init__(self, name: str, engines: Engines, invocations: Invocations, lag: LoopLag) -> None:
        self._name = name
        self._engines = engines
        self._invocations = invocations
        self._lag = lag
        self._window_began = time.monotonic()

    async def handle(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        path = urlsplit(url).path.strip("/")
        if (method, path) == ("GET", "metrics"):
            return _json(200, self._metrics())
        if (method, path) == ("POST", "metrics/reset"):
            self._lag.reset()
            self._engines.metrics.counts.clear()
            self._window_began = time.monotonic()
            return HttpAnswer(204)
        if (method, path) == ("POST", "faults"):
            return self._set_faults(body)
        return _json(404, {"error": f"there is no {method} /{path}"})

    def _metrics(self) -> dict[str, object]:
        counts: dict[str, dict[str, int]] = {}
        for (group, name), number in self._engines.metrics.counts.items():
            counts.setdefault(group, {})[name] = number
        return {
            "instance": self._name,
            "counts": counts,
            "cpu_seconds": time.process_time(),
            "window_seconds": time.monotonic() - self._window_began,
            "loop_lag": self._lag.report(),
            "in_flight": self._invocations.in_flight,
            "commits": self._engines.store.commits,
        }

    def _set_faults(self, body: bytes) -> HttpAnswer:
        try:
            faults = orjson.loads(body)
        except orjson.JSONDecodeError:
            faults = None
        if not isinstance(faults, dict) or not faults or not _FAULTS.issuperset(faults):
            return _json(400, {"error": f"an object with some of {sorted(_FAULTS)} is needed"})
        for name, seconds in faults.items():
            if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds < 0:
                return _json(400, {"error": f"{name}: a number of seconds is needed"})
        now = self._engines.clock.time()
        if "documents_seconds" in faults:
            self._engines.documents.fail_until(now + faults["documents_seconds"])
        if "bus_seconds" in faults:
            self._engines.bus.fail_until(now + faults["bus_seconds"])
        return HttpAnswer(204)


def _json(status: int, value: object) -> HttpAnswer:
    return HttpAnswer(status, {"content-type": "application/json"}, orjson.dumps(value))
