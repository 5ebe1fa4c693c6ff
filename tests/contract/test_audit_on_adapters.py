"""The audit trail on both documents adapters: long streams, pages that overlap or are gone, the record."""

from datetime import timedelta

from core.audit import Asked, put_on_record
from core.chain import HASH
from core.documents import Documents
from core.json import JsonObject
from services.audit.trail import AuditTrail, VerifiedChain, read_trail
from tests.audit_support import chain
from tests.fakes import START, FakeBus
from tests.order_support import COMPLETION, append, place
from triggers.change_feed.audit import record_changes

LATER = START + timedelta(hours=1)


async def brought(documents: Documents, entries: list[JsonObject], batch: int) -> None:
    """As the feed of a stream `s` that has its snapshot."""
    for start in range(0, len(entries), batch):
        await record_changes(documents, FakeBus(), "orders", entries[start : start + batch])
    last = entries[-1]
    snapshot: JsonObject = {"id": "snapshot", "kind": "snapshot", "stream": "s", HASH: last[HASH]}
    await documents.upsert("orders", "s", {**snapshot, "version": last["version"]})


async def trail(documents: Documents, limit: int = 100, continuation: str | None = None) -> AuditTrail:
    return await read_trail(documents, "all", "s", limit, continuation, LATER)


def only(body: AuditTrail) -> VerifiedChain:
    (found,) = body["verified"]["chains"]
    return found


async def test_a_long_stream_is_verified_whole_whatever_page_is_asked_for(documents: Documents) -> None:
    await brought(documents, chain(2500), 90)
    body = await trail(documents, 3, "orders:1200")
    assert [entry["number"] for entry in body["entries"]] == [1201, 1202, 1203]
    assert body["continuation"] == "orders:1203"
    assert (only(body)["status"], only(body)["to"], only(body)["pending"]) == ("valid", 2500, 0)
    numbers, continuation = [], ""
    while continuation is not None:
        body = await trail(documents, 1000, continuation or None)
        numbers += [entry["number"] for entry in body["entries"]]
        continuation = body["continuation"]
    assert numbers == list(range(1, 2501))


async def test_a_page_that_is_gone_is_missed_in_the_middle_and_at_the_end(documents: Documents) -> None:
    await brought(documents, chain(300), 50)
    await documents.delete("audit", "s", "orders:251-300")
    assert (only(await trail(documents))["broken_at"], only(await trail(documents))["to"]) == (251, 250)
    await documents.delete("audit", "s", "orders:101-150")
    assert only(await trail(documents))["broken_at"] == 101


async def test_pages_that_begin_alike_overlap(documents: Documents) -> None:
    entries = chain(40)
    for first, last in ((0, 40), (0, 5), (0, 20), (3, 20), (3, 4)):
        await record_changes(documents, FakeBus(), "orders", entries[first:last])
    await brought(documents, entries, 7)
    assert (only(await trail(documents))["status"], only(await trail(documents))["to"]) == ("valid", 40)


async def test_events_of_an_order_are_found_by_their_own_hashes(documents: Documents) -> None:
    await append(documents, "s", place("s"), *COMPLETION)
    body = await trail(documents)
    assert (only(body)["broken_at"], only(body)["reason"]) == (1, "is missing")
    events = [(await documents.read("orders", "s", str(number))).item for number in range(1, 7)]
    await record_changes(documents, FakeBus(), "orders", events)
    assert (only(await trail(documents))["status"], only(await trail(documents))["to"]) == ("valid", 6)


async def test_the_record_is_longer_than_one_query(documents: Documents) -> None:
    for number in range(230):
        await put_on_record(documents, Asked("s", f"c.{number}", "a", "s"), "refused", {}, START)
    body = await trail(documents, 1000)
    assert [entry["what"] for entry in body["entries"]] == [f"c.{number}" for number in range(230)]
    assert (only(body)["status"], only(body)["to"]) == ("valid", 230)
