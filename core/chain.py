"""Entries that are chained by hash, so that a change of one that was written is found.

The hash of an entry is SHA-256 over the hash before it and the entry as canonical JSON: its fields in the
order of their names, without blanks, and without the hash itself and what the store adds (`_etag`, `_ts`).
The first entry of a chain follows the empty hash.
"""

import hashlib

import orjson

from core.json import ReadOnlyJson

HASH = "hash"


def entry_hash(previous: str, entry: ReadOnlyJson) -> str:
    plain = {name: value for name, value in entry.items() if name != HASH and not name.startswith("_")}
    canonical = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(previous.encode() + canonical).hexdigest()
