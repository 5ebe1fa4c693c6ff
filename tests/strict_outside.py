"""The other side of an outside call, as unforgiving as a real one may be."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.interleaving import Gates

KEYS_LIVE_S = 11.0
LATE_S = 0.9
"""How long after the caller gave up a request may still arrive: less than `SETTLING_S`."""


class StrictOutside:
    """Does what it is asked to, again and again, unless it knows the key; and it soon forgets its keys.

    `lands_late`: a request whose caller gave up on it arrives nevertheless.
    """

    def __init__(self, gate: Gates, lands_late: bool) -> None:
        self._gate = gate
        self._lands_late = lands_late
        self._keys: dict[str, tuple[float, Any]] = {}
        self._late: list[asyncio.Task[None]] = []
        self._in_flight = 0
        self.overlapped = False

    async def do(self, key: str, effect: Callable[[], Any]) -> Any:
        with self._alone():
            try:
                await self._gate("call")
            except asyncio.CancelledError:
                if self._lands_late:
                    self._late.append(asyncio.ensure_future(self._land(key, effect)))
                raise
            result = self._once(key, effect)
            await self._gate("call")
            return result

    async def find(self, found: list[Any]) -> Any:
        await self._gate("find")
        first = found[0] if found else None
        await self._gate("find")
        return first

    async def landed(self) -> None:
        await asyncio.gather(*self._late)

    async def _land(self, key: str, effect: Callable[[], Any]) -> None:
        await asyncio.sleep(LATE_S)
        self._once(key, effect)

    def _once(self, key: str, effect: Callable[[], Any]) -> Any:
        now = asyncio.get_running_loop().time()
        at, result = self._keys.get(key, (-KEYS_LIVE_S, None))
        if now >= at + KEYS_LIVE_S:
            result = effect()
            self._keys[key] = (now, result)
        return result

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._in_flight += 1
        self.overlapped = self.overlapped or self._in_flight > 1
        try:
            yield
        finally:
            self._in_flight -= 1
