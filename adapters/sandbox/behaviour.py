"""How the sandbox gateway and the sandbox carrier misbehave when an order asks for it."""

import asyncio
from datetime import datetime

from core.clock import Clock
from core.documents import DocumentConflict, DocumentNotFound, Documents
from core.json import JsonObject
from core.outside_call import OutsideUnavailable

CONTAINER = "sandbox"
FOR_EVER_S = 86_400.0
"""Longer than any caller waits."""


class SandboxRefusal(Exception):
    """A real one would do it a second time, or refuse for good: a defect of the caller."""


def seconds(chosen: str, behaviour: str) -> float | None:
    """`seconds("tok_slow_3", "tok_slow_")` is 3.0; None when another behaviour was chosen."""
    if not chosen.startswith(behaviour):
        return None
    figure = chosen.removeprefix(behaviour)
    return float(figure) if figure.isascii() and figure.isdecimal() else None


async def never_answer() -> None:
    await asyncio.sleep(FOR_EVER_S)


async def outage(documents: Documents, clock: Clock, id: str, seconds: float) -> None:
    """Raises OutsideUnavailable until `seconds` after the first call with this `id`."""
    seen, _ = await remember(documents, {"id": id, "kind": "outage", "since": clock.now().isoformat()})
    since = datetime.fromisoformat(str(seen["since"]))
    if (clock.now() - since).total_seconds() < seconds:
        raise OutsideUnavailable(f"{id}: out of service")


async def remember(documents: Documents, item: JsonObject) -> tuple[JsonObject, bool]:
    """Create the item, or find what is there under its id, and say whether it is new."""
    id = str(item["id"])
    try:
        return (await documents.create(CONTAINER, id, item)).item, True
    except DocumentConflict:
        return (await documents.read(CONTAINER, id, id)).item, False


async def find(documents: Documents, id: str) -> JsonObject | None:
    try:
        return (await documents.read(CONTAINER, id, id)).item
    except DocumentNotFound:
        return None
