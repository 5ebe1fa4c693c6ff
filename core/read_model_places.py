"""In which container a read model is, and how it is moved to a fresh one while it is read and written.

A read model has two containers. The document of its name in the container `read-models` says which is active;
without one it is the first. Everybody remembers that for LIFETIME_S, so a move waits twice as long before it
counts on all having seen its last step:

    emptying    the other container is made empty; nobody reads or writes it
    announced   whoever writes rows writes them into both from now on
    filling     what was there before is made again from the truth, page by page (core/read_models.py)
    switched    the other is active; the first is written too, for those who still read it
    complete    only the new one is read and written
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Literal, cast

from pydantic import TypeAdapter

from core.concurrency import gather_bounded
from core.decider import Rejection
from core.documents import DocumentConflict, DocumentNotFound, Documents, PreconditionFailed, Query
from core.json import JsonObject
from core.read_models import AT_ONCE, ReadModel, rebuild
from core.resilience import retry_transient

CONTAINER = "read-models"
LIFETIME_S = 30.0
SEEN_BY_ALL_S = 2 * LIFETIME_S
PAGE = 100

type Phase = Literal["complete", "emptying", "announced", "filling", "switched"]


class MovedOn(Rejection):
    def __init__(self) -> None:
        super().__init__("replay_moved_on", "somebody else moves this read model: read how far it is")


@dataclass(frozen=True, slots=True)
class Move:
    """How far a read model is on its way. `filling` is the container that is written beside the active one.

    since: epoch seconds of the phase. checked, written, broken: of the fill, as in `Progress`.
    """

    active: str
    phase: Phase = "complete"
    filling: str | None = None
    since: float = 0.0
    continuation: str | None = None
    checked: int = 0
    written: int = 0
    broken: int = 0

    @property
    def written_to(self) -> tuple[str, ...]:
        return (self.active,) if self.filling is None else (self.active, self.filling)


_moves = TypeAdapter(Move)


class Places:
    """Where read models are, remembered for LIFETIME_S."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._known: dict[str, tuple[float, Move]] = {}

    async def of(self, model: ReadModel) -> Move:
        now = asyncio.get_running_loop().time()
        known = self._known.get(model.name)
        if known is None or now - known[0] >= LIFETIME_S:
            known = self._known[model.name] = (now, await where_is(self._documents, model))
        return known[1]


async def written_to(places: Places | None, model: ReadModel) -> tuple[str, ...]:
    """Where its rows are to be written; without `places`, where they are at first."""
    if places is None:
        return (model.container,)
    return (await retry_transient(lambda: places.of(model))).written_to


async def where_is(documents: Documents, model: ReadModel) -> Move:
    found = await _read(documents, model)
    return Move(model.container) if found is None else found[0]


async def go_on(documents: Documents, model: ReadModel, now: float) -> Move:
    """One step of a move to the other container, the first of a new one when none is under way; how far it is
    then. A phase that must be seen by all is left only when it is old enough. Raises MovedOn.
    """
    found = await _read(documents, model)
    before = Move(model.container) if found is None else found[0]
    after = await _step(documents, model, before, now)
    if after == before:
        return before
    item: JsonObject = {"id": model.name, **cast(JsonObject, _moves.dump_python(after, mode="json"))}
    try:
        if found is None:
            await documents.create(CONTAINER, model.name, item)
        else:
            await documents.replace(CONTAINER, model.name, item, found[1])
    except (DocumentConflict, PreconditionFailed) as error:
        raise MovedOn from error
    return after


async def _step(  # noqa: PLR0911  (one a phase)
    documents: Documents, model: ReadModel, move: Move, now: float
) -> Move:
    old_enough = now - move.since >= SEEN_BY_ALL_S
    match move.phase:
        case "complete":
            return Move(move.active, "emptying", since=now)
        case "emptying":
            other = _other(model, move)
            if await _empty_page(documents, replace(model, container=other)):
                return move
            return replace(move, phase="announced", filling=other, since=now)
        case "announced":
            return replace(move, phase="filling", since=now) if old_enough else move
        case "filling":
            fresh = replace(model, container=_other(model, move))
            page = await rebuild(documents, fresh, move.continuation, PAGE)
            counted = replace(
                move,
                continuation=page.continuation,
                checked=move.checked + page.checked,
                written=move.written + page.written,
                broken=move.broken + page.broken,
            )
            if page.continuation is not None:
                return counted
            return replace(counted, phase="switched", active=fresh.container, filling=move.active, since=now)
        case "switched":
            return replace(move, phase="complete", filling=None, since=now) if old_enough else move


def _other(model: ReadModel, move: Move) -> str:
    return model.second if move.active == model.container else model.container


async def _empty_page(documents: Documents, model: ReadModel) -> bool:
    """Whether there was anything to remove."""
    page = await documents.query(model.container, Query(limit=PAGE))

    async def remove(item: JsonObject) -> None:
        key = model.row_key(item)
        try:
            await documents.delete(model.container, key.partition, key.id)
        except DocumentNotFound:
            return

    await gather_bounded(remove, page.items, AT_ONCE)
    return bool(page.items) or page.continuation is not None


async def _read(documents: Documents, model: ReadModel) -> tuple[Move, str] | None:
    try:
        stored = await documents.read(CONTAINER, model.name, model.name)
    except DocumentNotFound:
        return None
    fields = {name: value for name, value in stored.item.items() if name != "id" and not name.startswith("_")}
    return _moves.validate_python(fields), stored.etag
