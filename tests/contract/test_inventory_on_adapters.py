"""Stock on both documents adapters: sold to the last piece and not beyond; all that a SKU can go through."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

from core.documents import Documents, Query
from core.envelope import from_json
from services.inventory import handlers
from services.inventory.csv_rows import parse
from services.inventory.history import read_history
from services.inventory.import_report import read_errors, report
from services.inventory.importing import import_chunk, resume_overdue
from services.inventory.imports import accept
from services.inventory.low_stock import set_threshold
from services.inventory.movements import Adjustment, Count, Receipt, book, set_on_hand
from services.inventory.stock import read_stock
from services.inventory.stock_levels import list_levels
from tests.fakes import START, FakeBus, FakeClock
from tests.fakes_blobs import FakeBlobs
from tests.inventory_support import check_at_rest, release, reserve, restock
from triggers.change_feed.inventory import project_changes

ORDERS, PIECES = 1000, 700


class Stored:
    """What is stored, as the fake documents show it."""

    def __init__(self, items: dict[str, list[dict[str, Any]]]) -> None:
        self._items = items

    def items(self, container: str, partition: str | None = None) -> list[dict[str, Any]]:
        keys = {"inventory": "sku", "reservations": "order_id", "stock-levels": "sku"}
        found = self._items[container]
        return [item for item in found if partition in (None, item[keys[container]])]


async def stored(documents: Documents) -> Stored:
    items: dict[str, list[dict[str, Any]]] = {}
    for container in ("inventory", "reservations", "stock-levels"):
        items[container] = []
        query = Query(limit=500)
        while True:
            page = await documents.query(container, query)
            items[container] += page.items
            if page.continuation is None:
                break
            query = Query(limit=500, continuation=page.continuation)
    return Stored(items)


async def test_1000_orders_at_once_get_700_pieces_and_not_one_more(documents: Documents) -> None:
    await set_on_hand(documents, "a", PIECES, None, START)

    async def order(number: int) -> str:
        return (await handlers.execute(documents, reserve(f"ord-{number}", {"a": 1}), START)).type

    answers = await asyncio.gather(*(order(number) for number in range(ORDERS)))

    assert Counter(answers) == {"inventory.reserved": PIECES, "inventory.rejected": ORDERS - PIECES}
    level = await read_stock(documents, "a")
    assert (level.available, level.held, level.shipped) == (0, PIECES, 0)
    found = await stored(documents)
    check_at_rest(found)
    states = Counter(item["state"] for item in found.items("inventory") if item["kind"] == "hold")
    assert states["held"] == PIECES
    assert {item["order_id"] for item in found.items("inventory") if item.get("state") == "held"} == {
        f"ord-{number}" for number, answer in enumerate(answers) if answer == "inventory.reserved"
    }


async def test_orders_that_come_twice_are_undone_and_are_shipped_at_once_leave_the_figures_right(
    documents: Documents,
) -> None:
    await set_on_hand(documents, "a", 20, None, START)
    await set_on_hand(documents, "b", 15, None, START)

    async def order(number: int) -> None:
        wanted = reserve(f"ord-{number}", {"a": 1, "b": 1})
        first, again = await asyncio.gather(*[handlers.execute(documents, wanted, START) for _ in range(2)])
        assert first.data == again.data
        if number % 3 == 0:
            await handlers.execute(documents, release(f"ord-{number}"), START)
        elif first.type == "inventory.reserved":
            await handlers.commit(documents, f"ord-{number}", START)
            if number % 3 == 1:
                back = restock(f"ord-{number}", 1, {"a": (1, 0), "b": (0, 1)})
                await handlers.execute(documents, back, START)

    await asyncio.gather(*(order(number) for number in range(40)))

    check_at_rest(await stored(documents))
    level = await read_stock(documents, "b")
    assert level.held == 0
    assert level.available == 15 - level.shipped + level.returned - level.written_off


async def feed(documents: Documents, bus: FakeBus) -> None:
    """What the change feed would give: everything, until nothing more follows."""
    for _ in range(3):
        await project_changes(documents, bus, (await stored(documents)).items("inventory"))


async def test_all_that_a_sku_can_go_through(documents: Documents) -> None:
    bus = FakeBus()
    for _ in range(2):
        await book(documents, "a", "k-1", Receipt(10, "note 12"), START)
    await set_threshold(documents, "a", 3, 2)
    await handlers.execute(documents, reserve("ord-1", {"a": 7}), START)
    await feed(documents, bus)
    assert (await read_stock(documents, "a")).low
    await handlers.commit(documents, "ord-1", START)
    back = restock("ord-1", 1, {"a": (2, 1)})
    for _ in range(2):
        await handlers.execute(documents, back, START)
    await book(documents, "a", "k-2", Adjustment(-1, "broken"), START)
    await book(documents, "a", "k-3", Count(6, "stock-take"), START)
    await set_on_hand(documents, "b", 1, None, START)
    await set_threshold(documents, "b", 1, 1)
    await set_on_hand(documents, "c", 1, None, START)
    await feed(documents, bus)

    assert {message.message_id for message in bus.sent["service-events"]} == {
        "a:inventory:1",
        "a:inventory:2",
        "b:inventory:1",
    }
    found = await stored(documents)
    check_at_rest(found)
    level = await read_stock(documents, "a")
    assert (level.on_hand, level.shipped, level.returned, level.written_off) == (6, 7, 3, 1)
    history, continuation = [], None
    while True:
        page = await read_history(documents, "a", 2, continuation)
        history += page["items"]
        continuation = page["continuation"]
        if continuation is None:
            break
    assert Counter(entry["type"] for entry in history) == dict.fromkeys(
        ("receipt", "shipment", "return", "adjustment", "count"), 1
    )
    assert sum(entry["quantity"] for entry in history) == 6
    first = await list_levels(documents, False, 2, None)
    rest = await list_levels(documents, False, 2, first["continuation"])
    assert [row.sku for row in (*first["items"], *rest["items"])] == ["a", "b", "c"]
    low = await list_levels(documents, True, 10, None)
    assert [(row.sku, row.threshold) for row in low["items"]] == [("b", 1)]


async def test_a_file_is_imported(documents: Documents) -> None:
    content = b"sku,quantity\n" + b"".join(b"sku-%d,%d\n" % (n, n) for n in range(250))
    bus, blobs = FakeBus(), FakeBlobs(FakeClock())
    file = parse(content, str, str)
    import_id, _ = await accept(documents, bus, blobs, None, content, file, START)
    while messages := bus.sent.pop("inventory", []):
        for message in messages:
            command = from_json(message.body)
            await asyncio.gather(*(import_chunk(documents, bus, blobs, command, START) for _ in range(2)))

    told = await report(documents, import_id)
    assert (told["status"], told["booked"], told["failed"]) == ("completed", 249, 1)
    assert told["errors"] == [
        {"row": 2, "field": "quantity", "rule": "must be a whole number from 1 to 1000000000"}
    ]
    assert (await read_errors(documents, import_id, 10, None))["items"] == told["errors"]
    assert (await read_stock(documents, "sku-249")).on_hand == 249
    assert await resume_overdue(documents, bus, START + timedelta(days=1)) == 0

    await accept(documents, bus, blobs, "lost", content, parse(content, str, str), START)
    bus.sent.clear()
    assert await resume_overdue(documents, bus, START + timedelta(days=1)) == 1
    assert len(bus.sent["inventory"]) == 1
