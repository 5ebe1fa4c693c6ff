"""Goes through the entries of one chain as they come, and finds the first that is not as it was written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from core.chain import HASH, entry_hash
from core.json import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Break:
    """The first entry that is not as it was written, or is not there."""

    number: int
    reason: str


@dataclass(slots=True)
class Verification:
    """`number` and `hash` are those of the last entry that was taken; `unchained` counts those without one.

    Entries come by their numbers, except that some may come again. Those that were written before there were
    hashes have none; after the first that has one, all must.
    """

    number: int = 0
    hash: str = ""
    unchained: int = 0
    broken: Break | None = None
    _hashes: dict[int, str] = field(default_factory=dict)
    """By number, of what was taken: against them one that comes again is held."""

    def take(self, entry: Mapping[str, Json]) -> bool:
        """Whether it is one more; if not, it came before. After a break nothing else is looked at."""
        number = entry.get("version")
        if not isinstance(number, int):
            self.broken = self.broken or Break(self.number + 1, "is not as it was written")
            return False
        again = number in self._hashes
        if self.broken is None:
            self.broken = self._came_again(number, entry) if again else self._follows(number, entry)
        if again:
            return False
        self.number, self.hash = number, cast(str, entry.get(HASH) or "")
        self._hashes[number] = self.hash
        self.unchained += not self.hash
        return True

    def hash_of(self, number: int) -> str:
        """Of an entry that was taken; empty for another."""
        return self._hashes.get(number, "")

    def _follows(self, number: int, entry: Mapping[str, Json]) -> Break | None:
        if number != self.number + 1:
            return Break(self.number + 1, "is missing")
        stored = entry.get(HASH) or ""
        if not stored and self.hash:
            return Break(number, "has lost its hash")
        if stored and stored != entry_hash(self.hash, entry):
            return Break(number, "is not as it was written, or follows on something else")
        return None

    def _came_again(self, number: int, entry: Mapping[str, Json]) -> Break | None:
        known = self._hashes[number]
        before = self._hashes.get(number - 1, "")
        if (entry.get(HASH) or "") != known or (known and known != entry_hash(before, entry)):
            return Break(number, "is there twice, and one is not the other")
        return None


def first_break(entries: Iterable[JsonObject]) -> Break | None:
    """Of a whole chain, from its first entry on."""
    verification = Verification()
    for entry in entries:
        verification.take(entry)
    return verification.broken
