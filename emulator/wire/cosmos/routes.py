"""Paths of resources: types and names by turns, `dbs/D/colls/C/docs/I`; that of a feed ends in a type."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from emulator.wire.cosmos.exchange import Refusal

_CHILDREN: Final = {
    "": ("dbs", "offers"),
    "dbs": ("colls", "users"),
    "colls": ("docs", "pkranges", "sprocs", "triggers", "udfs", "conflicts"),
    "users": ("permissions",),
}
_SERVED: Final = frozenset({"", "dbs", "colls", "docs", "pkranges"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names: `names` has the database's, the container's, the item's, as far as it goes.

    `resource_type` and `link` are what the client signs.
    """

    resource_type: str
    link: str
    names: tuple[str, ...]
    is_feed: bool


@lru_cache(maxsize=1024)  # a stream's head is asked for again and again, and each request twice
def parse(path: str) -> Target:
    """Raises Refusal 400, 404."""
    try:
        parts = path.strip("/").split("/")
        if "%" in path:
            parts = [unquote(part, errors="strict") for part in parts]
    except UnicodeDecodeError:
        raise Refusal(400, "The path is not UTF-8 in percent-encoding.") from None
    if parts == [""]:
        return Target("", "", (), False)
    resource_type = ""
    for part in parts[::2]:
        if part not in _CHILDREN.get(resource_type, ()):
            raise Refusal(404, f"There is no resource {'/'.join(parts)!r}.")
        resource_type = part
    if "" in parts:
        raise Refusal(400, f"A name is empty in {'/'.join(parts)!r}.")
    if resource_type not in _SERVED:
        raise Refusal(400, f"Resources of the type {resource_type!r} are not served by the emulator.")
    is_feed = len(parts) % 2 == 1
    return Target(resource_type, "/".join(parts[:-1] if is_feed else parts), tuple(parts[1::2]), is_feed)
