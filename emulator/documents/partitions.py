"""Where a partition key lies among the ranges of a container: by the hash that the SDKs of Cosmos DB use too.

It is MurmurHash3 (x64, 128 bits) of the encoded key, as in `azure.cosmos.partition_key`, version 2.
"""

from functools import lru_cache
from typing import Final

FEED_RANGES: Final = 4
"""Physical partitions of every container, each a quarter of the hashes: many readers can share its feed."""

_MASK: Final = 2**64 - 1
_C1: Final = 0x87C37B91114253D5
_C2: Final = 0x4CF5AD432745937F


@lru_cache(maxsize=16384)
def feed_range_of(partition: str) -> int:
    """The range that holds this partition key."""
    return _hash(partition) >> 124


def effective_key(partition: str) -> str:
    """The partition key as the SDKs compare it: 32 hex digits, below `40`."""
    return f"{_hash(partition):032X}"


def bounds(feed_range: int) -> tuple[str, str]:
    """The least effective key of a range, and the least one above it."""
    low = "" if feed_range == 0 else f"{feed_range << 124:032X}"
    return low, "FF" if feed_range == FEED_RANGES - 1 else f"{(feed_range + 1) << 124:032X}"


def _hash(partition: str) -> int:
    """126 bits: the service clears the two highest."""
    data = b"\x08" + partition.encode() + b"\xff"
    size = len(data)
    whole = size & ~15
    h1 = h2 = 0
    for start in range(0, whole, 16):
        h1 ^= _mix1(int.from_bytes(data[start : start + 8], "little"))
        h1 = ((((h1 << 27) & _MASK | h1 >> 37) + h2) * 5 + 0x52DCE729) & _MASK
        h2 ^= _mix2(int.from_bytes(data[start + 8 : start + 16], "little"))
        h2 = ((((h2 << 31) & _MASK | h2 >> 33) + h1) * 5 + 0x38495AB5) & _MASK
    h2 ^= _mix2(int.from_bytes(data[whole + 8 :], "little"))
    h1 ^= _mix1(int.from_bytes(data[whole : whole + 8], "little"))
    h1 ^= size
    h2 ^= size
    h1 = (h1 + h2) & _MASK
    h2 = (h2 + h1) & _MASK
    h1, h2 = _finish(h1), _finish(h2)
    h1 = (h1 + h2) & _MASK
    h2 = (h2 + h1) & _MASK
    return (h2 & (_MASK >> 2)) << 64 | h1


def _mix1(k: int) -> int:
    k = k * _C1 & _MASK
    return ((k << 31) & _MASK | k >> 33) * _C2 & _MASK


def _mix2(k: int) -> int:
    k = k * _C2 & _MASK
    return ((k << 33) & _MASK | k >> 31) * _C1 & _MASK


def _finish(k: int) -> int:
    k ^= k >> 33
    k = k * 0xFF51AFD7ED558CCD & _MASK
    k ^= k >> 33
    k = k * 0xC4CEB9FE1A85EC53 & _MASK
    return k ^ k >> 33
