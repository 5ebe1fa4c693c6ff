"""What became of an order's reservation, each time that it came to rest: its entries of the audit trail.

They stand in the reservation itself, so they are written with what they tell of, at the cost of some hundred
bytes. The audit trail copies them by the change feed, also when a reservation moved twice before it looked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from core.chain import HASH, entry_hash
from core.contracts import encode
from core.envelope import Envelope
from core.json import Json, JsonObject
from services.inventory.messages import Rejected, RestockRefused

COMMIT = "inventory.commit"
EXPIRE = "inventory.expire"
EXTEND = "inventory.extend_hold"

type History = tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """A command and its reply."""

    id: str
    type: str
    reply: Envelope


def recorded(
    history: History,
    order_id: str,
    state: JsonObject,
    lines: Sequence[Json],
    answered: Sequence[Answered],
    now: datetime,
) -> History:
    """With one entry for each command that was answered now, or for a change that no command is answered for.

    `state` is {"status", "expires_at"}; `lines` are shown with the first entry.
    """
    for one in answered:
        refused = isinstance(one.reply.data, Rejected | RestockRefused)
        said = {name: value for name, value in encode(one.reply.data).items() if name != "order_id"}
        what = {**state, **said} if history else {**state, "lines": list(lines), **said}
        history = _and(history, order_id, one.type, one.id, "refused" if refused else "accepted", what, now)
    last = cast(JsonObject, history[-1]["data"]) if history else {}
    if all(last.get(name) == value for name, value in state.items()):
        return history
    type = {"committed": COMMIT, "released": EXPIRE}.get(cast(str, state["status"]), EXTEND)
    return _and(history, order_id, type, f"{order_id}:{type}", "accepted", state, now)


def _and(
    history: History,
    order_id: str,
    command: str,
    command_id: str,
    outcome: str,
    what: JsonObject,
    now: datetime,
) -> History:
    entry: JsonObject = {
        "stream": order_id,
        "version": len(history) + 1,
        "time": now.isoformat(),
        "actor": "system",
        "outcome": outcome,
        "command": command,
        "causation_id": command_id,
        "correlation_id": order_id,
        "data": what,
    }
    entry[HASH] = entry_hash(cast(str, history[-1][HASH]) if history else "", entry)
    return (*history, entry)
