"""Inventory's commands, what must always hold of its documents, and deliveries run one request at a time."""

import types
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from datetime import timedelta
from typing import Any

import orjson

from core.contracts import contract_name
from core.documents import DocumentError, Stored
from core.envelope import Envelope, command_id, to_json, wrap
from services.inventory import handlers
from services.inventory.messages import ExtendHold, Release, Reserve, ReserveLine, Restock, RestockLine
from services.inventory.movements import set_on_hand
from tests.fakes import START, FakeDocuments

EXPIRES = START + timedelta(days=1)


def command(data: Reserve | Release | Restock | ExtendHold) -> Envelope:
    type = contract_name(data.__class__)
    return wrap(
        data,
        id=command_id(data.order_id, type, getattr(data, "return_id", "")),
        source="orders",
        subject=data.order_id,
        time=START,
        correlation_id=data.order_id,
        causation_id=f"{data.order_id}:orders:1",
    )


def reserve(order_id: str, lines: Mapping[str, int], expires_at: Any = EXPIRES) -> Envelope:
    return command(Reserve(order_id, tuple(ReserveLine(sku, n) for sku, n in lines.items()), expires_at))


def release(order_id: str) -> Envelope:
    return command(Release(order_id))


def restock(order_id: str, number: int, lines: Mapping[str, tuple[int, int]]) -> Envelope:
    """The order's return of this number; by SKU, the pieces restocked and those written off."""
    found = tuple(RestockLine(sku, *pieces) for sku, pieces in lines.items())
    return command(Restock(order_id, f"{order_id}-r{number}", found))


async def stocked(documents: FakeDocuments, stock: Mapping[str, int]) -> FakeDocuments:
    for sku, count in stock.items():
        await set_on_hand(documents, sku, count, None, START)
    documents.requests.clear()
    return documents


def figures(documents: FakeDocuments, sku: str) -> dict[str, int]:
    (stock,) = [item for item in documents.items("inventory", sku) if item["kind"] == "stock"]
    return {field: stock[field] for field in ("available", "held", "shipped")}


def holds(documents: FakeDocuments, order_id: str) -> dict[str, str]:
    found = [item for item in documents.items("inventory") if item["id"] == f"hold:{order_id}"]
    return {item["sku"]: item["state"] for item in found}


def reservation(documents: FakeDocuments, order_id: str) -> dict[str, Any]:
    (item,) = documents.items("reservations", order_id)
    return item


def check_ledger(documents: FakeDocuments) -> None:
    """What must hold between any two requests: every SKU's figures are what its own documents add up to."""
    added: Counter[tuple[str, str]] = Counter()
    for item in documents.items("inventory"):
        if item["kind"] == "hold":
            added[item["sku"], item["state"]] += item["quantity"]
        elif item["kind"] == "movement":
            added[item["sku"], item["movement"]] += item["quantity"]
            assert (item["reason"] is None) == (item["movement"] == "receipt")
        elif item["kind"] == "return":
            added[item["sku"], "returned"] += item["restocked"] + item["written_off"]
            added[item["sku"], "written_off"] += item["written_off"]
    for item in documents.items("inventory"):
        if item["kind"] == "stock":
            sku = item["sku"]
            returned, written_off = item.get("returned", 0), item.get("written_off", 0)
            outside = item["shipped"] - returned + written_off
            assert item["received"] + item["adjusted"] == item["available"] + item["held"] + outside
            assert 0 <= written_off <= returned <= item["shipped"]
            assert (returned, written_off) == (added[sku, "returned"], added[sku, "written_off"])
            assert all(item[field] >= 0 for field in ("received", "available", "held", "shipped")), item
            assert item["held"] == added[sku, "held"]
            assert item["shipped"] == added[sku, "committed"]
            assert item["received"] == added[sku, "receipt"]
            assert item["adjusted"] == added[sku, "adjustment"]


def check_at_rest(documents: FakeDocuments) -> None:
    """What must hold of every order whose deliveries were all handled."""
    check_ledger(documents)
    for item in documents.items("reservations"):
        status, order_id = item["status"], item["order_id"]
        assert status in {"reserved", "rejected", "released", "committed"}, item
        assert all(noted["reply"] is not None for noted in item["commands"].values())
        states = holds(documents, order_id)
        skus = {line["sku"] for line in item["lines"]}
        if status in {"reserved", "committed"}:
            assert states == dict.fromkeys(skus, "held" if status == "reserved" else "committed")
        else:
            assert set(states.values()) <= {"released"}
        assert ("due_at" in item) == (status == "reserved")
        _check_returns(documents, item)


def _check_returns(documents: FakeDocuments, reservation: Mapping[str, Any]) -> None:
    """What is noted on the reservation is in the ledger, and no more of a SKU than was shipped."""
    noted: Counter[tuple[str, str]] = Counter()
    for return_id, one in reservation.get("returns", {}).items():
        assert one["booked"] == (one["refused"] is None)
        if one["booked"]:
            for line in one["lines"]:
                noted[return_id, line["sku"]] += line["restocked"] + line["written_off"]
    booked = {
        (item["return_id"], item["sku"]): item["restocked"] + item["written_off"]
        for item in documents.items("inventory")
        if item["kind"] == "return" and item["order_id"] == reservation["order_id"]
    }
    assert booked == {key: pieces for key, pieces in noted.items() if pieces}
    for line in reservation["lines"]:
        assert sum(n for (_, sku), n in noted.items() if sku == line["sku"]) <= line["quantity"]


class Replies:
    """What the deliveries of one test answered. The same command must be answered the same each time."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, Any]] = {}

    def add(self, command_id: str, reply: Envelope) -> None:
        answer: dict[str, Any] = dict(to_json(reply))
        assert self.of.setdefault(command_id, answer) == answer
        assert answer["causationid"] == command_id

    def type(self, command_id: str) -> str:
        return str(self.of[command_id]["type"])


def delivery(
    documents: FakeDocuments, command: Envelope, replies: Replies, now: Any = START
) -> Coroutine[Any, Any, None]:
    async def deliver() -> None:
        replies.add(command.id, await handlers.execute(documents, command, now))

    return deliver()


@types.coroutine
def _gate() -> Generator[None]:
    yield


async def gate(request: str) -> None:
    """As `before` of the fake documents: stops in front of each request, until `step` is called."""
    await _gate()


def step(delivery: Coroutine[Any, Any, None]) -> bool:
    """Let the request through and run to the next; answers whether there is one."""
    try:
        delivery.send(None)
    except StopIteration:
        return False
    return True


class Recorded(FakeDocuments):
    """Remembers what it answered to whom: with the stored documents, all that the future depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.asking = -1
        self.answers: dict[int, list[str]] = defaultdict(list)

    def situation(self) -> int:
        stored = {
            key: {id: _content(orjson.loads(item)) for id, item in items.items()}
            for key, items in self._partitions.items()
        }
        return hash((repr(sorted(stored.items())), repr(sorted(self.answers.items()))))

    async def read(self, container: str, partition: str, id: str) -> Stored:
        return await self._remember(super().read(container, partition, id))

    async def _write(self, *request: Any) -> list[Any]:
        return await self._remember(super()._write(*request))

    async def _remember(self, request: Awaitable[Any]) -> Any:
        try:
            answer = await request
        except DocumentError as error:
            self.answers[self.asking].append(f"{error!r} {error.operation}")
            raise
        stored = answer if isinstance(answer, list) else [answer]
        self.answers[self.asking].append(repr([_content(one.item) for one in stored]))
        return answer


def _content(item: Mapping[str, Any]) -> dict[str, Any]:
    """Without the ETag: no document of the ledger ever goes back to an earlier content, so it tells nothing
    more."""
    return {field: value for field, value in sorted(item.items()) if field[0] != "_"}


async def interleavings(
    prepare: Callable[[FakeDocuments], Awaitable[None]],
    start: Callable[[FakeDocuments], list[Coroutine[Any, Any, None]]],
    finish: Callable[[FakeDocuments], Awaitable[None]],
) -> int:
    """Every order in which the requests of the deliveries can happen; the ledger is checked after each
    request.

    `start` makes the deliveries, always the same ones, `finish` judges each end. An order that comes to a
    situation that was there before is not followed further. Answers how many situations there were.
    """
    prepared = FakeDocuments()
    await prepare(prepared)
    seen: set[int] = set()
    prefix: list[int] = []
    while True:
        documents = Recorded()
        documents._partitions, documents._writes = dict(prepared._partitions), prepared._writes
        documents.before, documents.after = gate, _open
        running = list(enumerate(start(documents)))
        for _, one in running:
            step(one)
        taken: list[tuple[int, int]] = []
        while running:
            choice = prefix[len(taken)] if len(taken) < len(prefix) else 0
            taken.append((choice, len(running)))
            documents.asking, one = running[choice]
            if not step(one):
                del running[choice]
            check_ledger(documents)
            if len(taken) >= len(prefix):
                situation = documents.situation()
                if situation in seen:
                    break
                seen.add(situation)
        for _, one in running:
            one.close()
        if not running:
            documents.before = _open
            await finish(documents)
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return len(seen)
        choice, _ = taken.pop()
        prefix = [*(earlier for earlier, _ in taken), choice + 1]


async def _open(request: str) -> None:
    return


class Crash(BaseException):
    """The process dies."""


def crash_before(request_number: int) -> Callable[[str], Awaitable[None]]:
    """As `before`: dies in front of this request, counted from 0. After the last one nothing is left to
    crash."""
    passed = 0

    async def before(request: str) -> None:
        nonlocal passed
        passed += 1
        if passed > request_number:
            raise Crash(request)

    return before
