"""What became of an order's holds, as the reservation carries it and the audit trail copies it."""

from datetime import timedelta

from core.audit import CONTAINER
from core.json import JsonObject
from services.audit.pages import history_of
from services.audit.trail import read_trail
from services.inventory.handlers import commit, execute, finish, handle_command
from services.inventory.messages import ExtendHold
from services.inventory.reservation import read
from tests.fakes import START, FakeBus, FakeClock, FakeDocuments
from tests.inventory_support import EXPIRES, command, release, reserve, restock, stocked
from triggers.change_feed.audit import record_changes

LATER = START + timedelta(hours=1)


async def bring(documents: FakeDocuments, bus: FakeBus) -> None:
    await record_changes(documents, bus, "reservations", documents.items("reservations"), entries=history_of)


async def trail(documents: FakeDocuments) -> list[tuple[str, str, object]]:
    """What, its outcome, and the status after it; of a valid chain."""
    body = await read_trail(documents, "reservations", "o", 100, None, LATER)
    assert body["verified"]["status"] == "valid"
    changed = [entry["changed"] for entry in body["entries"]]
    assert all(isinstance(each, dict) for each in changed)
    return [
        (str(entry["what"]), entry["outcome"], entry["changed"]["status"])  # type: ignore[index,call-overload]
        for entry in body["entries"]
    ]


async def test_a_hold_that_is_shipped_and_comes_back_is_on_record_from_end_to_end() -> None:
    documents, bus = await stocked(FakeDocuments(), {"A": 5}), FakeBus()
    await execute(documents, reserve("o", {"A": 2}), START)
    await bring(documents, bus)
    await commit(documents, "o", LATER)
    await execute(documents, restock("o", 1, {"A": (1, 0)}), LATER)
    await execute(documents, restock("o", 2, {"A": (5, 0)}), LATER)
    await bring(documents, bus)
    assert await trail(documents) == [
        ("inventory.reserve", "accepted", "reserved"),
        ("inventory.commit", "accepted", "committed"),
        ("inventory.restock", "accepted", "committed"),
        ("inventory.restock", "refused", "committed"),
    ]
    assert sorted(item["id"] for item in documents.items(CONTAINER)) == [
        "reservations:1-1",
        "reservations:1-4",
    ]


async def test_a_hold_that_is_refused_says_why_and_for_what() -> None:
    documents, bus = await stocked(FakeDocuments(), {"A": 1}), FakeBus()
    await execute(documents, reserve("o", {"A": 2}), START)
    await execute(documents, reserve("o", {"A": 2}), LATER)  # delivered again
    await bring(documents, bus)
    (entry,) = (await read_trail(documents, "reservations", "o", 9, None, LATER))["entries"]
    assert (entry["outcome"], entry["causation_id"]) == ("refused", "o:inventory.reserve")
    assert entry["changed"] == {
        "status": "rejected",
        "expires_at": None,
        "lines": [{"sku": "A", "quantity": 2}],
        "reason": "out_of_stock",
        "sku": "A",
    }


async def test_a_hold_that_is_extended_expires_and_is_released_late_is_on_record() -> None:
    documents, bus = await stocked(FakeDocuments(), {"A": 5}), FakeBus()
    extended = EXPIRES + timedelta(days=1)
    await execute(documents, reserve("o", {"A": 2}), START)
    await handle_command(documents, bus, FakeClock(), command(ExtendHold("o", extended)))
    await finish(documents, await read(documents, "o"), extended)
    await execute(documents, release("o"), extended)
    await bring(documents, bus)
    assert await trail(documents) == [
        ("inventory.reserve", "accepted", "reserved"),
        ("inventory.extend_hold", "accepted", "reserved"),
        ("inventory.expire", "accepted", "released"),
        ("inventory.release", "accepted", "released"),
    ]


async def test_an_extension_that_comes_too_late_is_put_on_record_as_refused_once() -> None:
    documents, bus = await stocked(FakeDocuments(), {"A": 5}), FakeBus()
    await execute(documents, reserve("o", {"A": 2}), START)
    await execute(documents, release("o"), START)
    for _ in range(2):
        await handle_command(
            documents, bus, FakeClock(), command(ExtendHold("o", EXPIRES + timedelta(days=1)))
        )
    (entry,) = (await read_trail(documents, "record", "o", 9, None, LATER))["entries"]
    assert (entry["what"], entry["outcome"]) == ("inventory.extend_hold", "refused")


async def test_a_reservation_that_was_tampered_with_or_its_copy_is_found() -> None:
    documents, bus = await stocked(FakeDocuments(), {"A": 5}), FakeBus()
    await execute(documents, reserve("o", {"A": 2}), START)
    await bring(documents, bus)
    await commit(documents, "o", START)
    body = await read_trail(documents, "reservations", "o", 9, None, START)
    assert body["verified"]["chains"][0]["pending"] == 1
    late = await read_trail(documents, "reservations", "o", 9, None, START + timedelta(seconds=61))
    assert late["verified"]["chains"][0]["broken_at"] == 2
    (item,) = documents.items("reservations", "o")
    history = [{**entry, "actor": "somebody else"} for entry in item["history"]]
    tampered: JsonObject = {**item, "history": history}
    await documents.upsert("reservations", "o", tampered)
    await bring(documents, bus)
    late = await read_trail(documents, "reservations", "o", 9, None, START)
    assert late["verified"]["chains"][0]["broken_at"] == 1


async def test_a_reservation_from_before_there_was_a_history_begins_one() -> None:
    documents, bus = await stocked(FakeDocuments(), {"A": 5}), FakeBus()
    await execute(documents, reserve("o", {"A": 2}), START)
    (item,) = documents.items("reservations", "o")
    del item["history"]
    await documents.upsert("reservations", "o", item)
    await bring(documents, bus)
    await commit(documents, "o", LATER)
    await bring(documents, bus)
    assert await trail(documents) == [("inventory.commit", "accepted", "committed")]
