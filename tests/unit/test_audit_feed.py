"""How entries come into the read container of the audit trail: by a feed that may deliver anything twice."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.chain import HASH
from core.documents import DocumentTooLarge, TransientDocumentError
from core.json import JsonObject
from emulator.simulation import run_simulated
from services.audit import pages as paging
from services.audit.trail import read_trail
from tests.audit_support import chain, written
from tests.fakes import START, FakeBus, FakeDocuments
from tests.order_support import COMPLETION, append, place
from triggers.change_feed.audit import record_changes


async def snapshot(documents: FakeDocuments, entries: list[JsonObject]) -> None:
    last = entries[-1]
    item: JsonObject = {"id": "snapshot", "kind": "snapshot", "stream": "s"}
    await documents.upsert("orders", "s", {**item, "version": last["version"], HASH: last[HASH]})


def pages_of(documents: FakeDocuments, stream: str) -> list[str]:
    return sorted(item["id"] for item in documents.items("audit", stream))


async def test_the_events_of_a_batch_are_one_page_for_each_stream_at_one_request_each() -> None:
    documents, bus = FakeDocuments(), FakeBus()
    for order_id in ("ord-1", "ord-2"):
        await append(documents, order_id, place(order_id), *COMPLETION)
    batch = [item for order_id in ("ord-1", "ord-2") for item in written(documents, "orders", order_id)]
    documents.requests.clear()
    await record_changes(documents, bus, "orders", batch)
    assert documents.requests == ["create audit", "create audit"]
    assert pages_of(documents, "ord-1") == pages_of(documents, "ord-2") == ["orders:1-6"]
    (page,) = documents.items("audit", "ord-1")
    assert {entry["kind"] for entry in page["entries"]} == {"event"}
    assert not [name for entry in page["entries"] for name in entry if name.startswith("_")]


@pytest.mark.parametrize(
    ("of", "bounds"),
    [
        (chain(450), ["orders:1-200", "orders:201-400", "orders:401-450"]),
        (chain(5, text="x" * 100_000), None),
    ],
    ids=["many", "large"],
)
async def test_a_batch_that_is_too_much_for_a_page_makes_several(
    of: list[JsonObject], bounds: list[str] | None
) -> None:
    documents = FakeDocuments()
    await record_changes(documents, FakeBus(), "orders", of)
    assert pages_of(documents, "s") == (bounds or ["orders:1-2", "orders:3-4", "orders:5-5"])
    await snapshot(documents, of)
    assert await verified(documents) == ("valid", len(of))


async def verified(documents: FakeDocuments) -> tuple[str, int]:
    body = await read_trail(documents, "orders", "s", 10, None, START)
    (found,) = body["verified"]["chains"]  # type: ignore[index,call-overload]
    return found["status"], found["to"]  # type: ignore[index,call-overload,return-value]


async def test_what_is_no_event_of_a_stream_is_parked_and_lets_the_others_pass() -> None:
    documents, bus = FakeDocuments(), FakeBus()
    entries = chain(2)
    nameless: JsonObject = {**entries[0], "id": "x", "stream": None}
    unnumbered: JsonObject = {**entries[0], "id": "y", "version": "one"}
    await record_changes(documents, bus, "orders", [nameless, unnumbered, *entries])
    assert pages_of(documents, "s") == ["orders:1-2"]
    assert sorted(message.properties["original_message_id"] for message in bus.sent["parked"]) == ["x", "y"]


async def test_a_history_that_is_none_is_parked() -> None:
    bus = FakeBus()
    bad: JsonObject = {"id": "reservation", "order_id": "ord-1", "history": "x"}
    await record_changes(FakeDocuments(), bus, "reservations", [bad], entries=paging.history_of)
    assert len(bus.sent["parked"]) == 1


async def test_a_page_that_the_store_never_takes_is_parked() -> None:
    class Full(FakeDocuments):
        async def create(self, container: str, partition: str, item: JsonObject) -> object:  # type: ignore[override]
            raise DocumentTooLarge("too large")

    bus = FakeBus()
    await record_changes(Full(), bus, "orders", chain(1))
    assert bus.sent["parked"][0].properties["source"] == "orders, change feed of audit_orders"


def test_an_infrastructure_fault_is_raised_so_that_the_batch_comes_again() -> None:
    class Down(FakeDocuments):
        async def create(self, container: str, partition: str, item: JsonObject) -> object:  # type: ignore[override]
            raise TransientDocumentError("down")

    async def scenario() -> None:
        with pytest.raises(TransientDocumentError):
            await record_changes(Down(), FakeBus(), "orders", chain(1))

    run_simulated(scenario())


ENTRIES = chain(12)
batches = st.lists(
    st.tuples(st.integers(0, 11), st.integers(1, 12)).map(lambda cut: (cut[0], min(12, cut[0] + cut[1]))),
    max_size=8,
)


@given(batches, st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_batches_delivered_again_with_other_bounds_make_the_same_trail(
    again: list[tuple[int, int]], random: object
) -> None:
    """Whatever came once in order may come again, cut anywhere, at any time, from two readers at once."""

    async def scenario() -> None:
        documents = FakeDocuments()
        cuts = [(0, 5), (5, 6), (6, 12), *again]
        random.shuffle(cuts)  # type: ignore[attr-defined]
        readers = [record_changes(documents, FakeBus(), "orders", ENTRIES[low:high]) for low, high in cuts]
        await asyncio.gather(*readers)
        await snapshot(documents, ENTRIES)
        assert await verified(documents) == ("valid", 12)

    run_simulated(scenario())


async def test_entries_with_a_gap_between_them_are_two_pages_and_the_gap_is_missed() -> None:
    documents, entries = FakeDocuments(), chain(6)
    await record_changes(documents, FakeBus(), "orders", [*entries[:2], *entries[4:]])
    assert pages_of(documents, "s") == ["orders:1-2", "orders:5-6"]
    await snapshot(documents, entries)
    assert await verified(documents) == ("broken", 2)


@pytest.mark.parametrize("order", [list, reversed], ids=["in order", "reversed"])
async def test_the_order_within_a_batch_does_not_matter(
    order: Callable[[list[JsonObject]], list[JsonObject]],
) -> None:
    documents = FakeDocuments()
    await record_changes(documents, FakeBus(), "orders", list(order(chain(4))))
    assert pages_of(documents, "s") == ["orders:1-4"]
