"""The audit trail as it is read: what was asked, what came of it, whether it still is what was written."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.chain import entry_hash
from core.json import JsonObject
from emulator.simulation import run_simulated
from services.audit.pages import add, pages
from services.audit.verification import first_break
from tests.audit_support import bring, completed, found, shown, tamper_with_page, verdict
from tests.fakes import FakeDocuments
from tests.order_support import COMPLETION, append, events, place
from tests.unit.http_support import Api, broken_rules


async def test_what_was_accepted_names_who_when_why_and_what_and_the_chain_is_valid() -> None:
    api = Api()
    id = await api.placed()
    await bring(api, id)
    body = await shown(api, id)
    (entry,) = body["entries"]
    assert (entry["chain"], entry["number"]) == ("orders", 1)
    assert (entry["outcome"], entry["what"]) == ("accepted", "orders.created")
    assert (entry["actor"], entry["time"]) == ("customer:c-1", api.clock.now().isoformat())
    assert (entry["causation_id"], entry["correlation_id"]) == (f"{id}:orders.place", id)
    assert entry["changed"]["total"] == 200
    assert "tok_ok" not in str(body)
    assert body["verified"] == {
        "status": "valid",
        "chains": [
            {
                "chain": "orders", "status": "valid", "from": 1, "to": 1, "unchained": 0, "broken_at": None,
                "reason": None, "pending": 0,
            }
        ],
    }  # fmt: skip
    assert body["continuation"] is None


async def test_all_chains_are_one_trail_by_time_and_one_can_be_had_alone() -> None:
    api = Api()
    id = await completed(api)
    api.clock.advance(5)
    await api.call("cancel_order_request", {"reason": "x"}, route={"order_id": id})
    body = await shown(api, id)
    assert [(entry["chain"], entry["number"]) for entry in body["entries"]] == [
        *(("orders", number) for number in range(1, 7)),
        ("record", 1),
    ]
    assert [chain["chain"] for chain in body["verified"]["chains"]] == ["orders", "record"]
    alone = await shown(api, id, chain="record")
    assert (alone["chain"], alone["entries"]) == ("record", body["entries"][6:])


async def test_every_page_of_a_trail_says_whether_all_of_it_is_valid() -> None:
    api = Api()
    id = await completed(api)
    await tamper_with_page(api, id, "orders:1-6", 6, actor="somebody else")
    numbers, continuation = [], ""
    while continuation is not None:
        page = await shown(api, id, limit="2", continuation=continuation)
        assert page["verified"]["status"] == "broken"
        assert page["verified"]["chains"][0]["broken_at"] == 6
        numbers += [entry["number"] for entry in page["entries"]]
        continuation = page["continuation"]
    assert numbers == [1, 2, 3, 4, 5, 6]


async def test_a_changed_entry_is_found_and_named() -> None:
    api = Api()
    id = await completed(api)
    await tamper_with_page(api, id, "orders:1-6", 3, actor="somebody else")
    verified = await verdict(api, id)
    assert (verified["status"], verified["broken_at"], verified["to"]) == ("broken", 3, 2)
    assert (await shown(api, id))["entries"][2]["actor"] == "somebody else"


async def test_an_entry_whose_hash_was_made_anew_breaks_the_next() -> None:
    api = Api()
    id = await completed(api)
    before, item = events(api.documents, id)[1:3]
    changed = {**item, "actor": "somebody else"}
    await tamper_with_page(
        api, id, "orders:1-6", 3, actor="somebody else", hash=entry_hash(before["hash"], changed)
    )
    assert await found(api, id) == ("broken", 4)


async def test_a_last_entry_that_was_exchanged_is_found_by_the_snapshot() -> None:
    api = Api()
    id = await completed(api)
    before, item = events(api.documents, id)[4:6]
    changed = {**item, "actor": "somebody else"}
    await tamper_with_page(
        api, id, "orders:1-6", 6, actor="somebody else", hash=entry_hash(before["hash"], changed)
    )
    assert await found(api, id) == ("broken", 6)


@pytest.mark.parametrize("fields", [{"version": "3"}, {"version": 999}, {"data": None}, {"time": None}])
async def test_an_entry_that_is_none_any_more_is_found_and_the_rest_still_shown(
    fields: dict[str, object],
) -> None:
    api = Api()
    id = await completed(api)
    await tamper_with_page(api, id, "orders:1-6", 3, **fields)
    body = await shown(api, id)
    assert body["verified"]["chains"][0]["broken_at"] == 3
    assert {1, 2, 4, 5, 6} <= {entry["number"] for entry in body["entries"]}


async def in_pages(*bounds: tuple[int, int]) -> tuple[Api, str]:
    """An order of six events whose trail has pages with these first and last entries."""
    api = Api()
    await append(api.documents, "ord-1", place("ord-1"), *COMPLETION, clock=api.clock)
    all_events = events(api.documents, "ord-1")
    for first, last in bounds:
        for page in pages("orders", "ord-1", all_events[first - 1 : last]):
            await add(api.documents, page)
    return api, "ord-1"


@pytest.mark.parametrize(("removed", "broken_at"), [("orders:1-2", 1), ("orders:3-4", 3)])
async def test_a_page_that_was_removed_is_missed_at_once_when_others_follow(
    removed: str, broken_at: int
) -> None:
    api, id = await in_pages((1, 2), (3, 4), (5, 6))
    await api.documents.delete("audit", id, removed)
    assert await found(api, id) == ("broken", broken_at)


async def test_what_the_feed_has_not_brought_is_pending_for_a_minute_and_then_missing() -> None:
    api, id = await in_pages((1, 4))
    verified = await verdict(api, id)
    assert (verified["status"], verified["to"], verified["pending"]) == ("valid", 4, 2)
    api.clock.advance(60)
    assert (await verdict(api, id))["pending"] == 2
    api.clock.advance(1)
    verified = await verdict(api, id)
    assert (verified["status"], verified["broken_at"], verified["reason"]) == ("broken", 5, "is missing")


async def test_nothing_brought_yet_is_a_trail_without_entries() -> None:
    api = Api()
    id = await api.placed()
    body = await shown(api, id)
    assert (body["entries"], body["verified"]["status"]) == ([], "valid")
    assert body["verified"]["chains"][0]["pending"] == 1


async def test_entries_that_the_stream_itself_has_lost_are_found() -> None:
    api, id = await in_pages((1, 4))
    await api.documents.delete("orders", id, "5")
    assert await found(api, id) == ("broken", 5)


async def test_a_stream_that_was_cut_off_and_its_snapshot_put_back_is_found() -> None:
    api = Api()
    id = await completed(api)
    snapshot = (await api.documents.read("orders", id, "snapshot")).item
    for number in ("5", "6"):
        await api.documents.delete("orders", id, number)
    fourth = events(api.documents, id)[3]
    await api.documents.upsert("orders", id, {**snapshot, "version": 4, "hash": fourth["hash"]})
    assert await found(api, id) == ("broken", 5)
    await api.documents.delete("orders", id, "snapshot")
    assert await found(api, id) == ("broken", 5)


async def test_pages_may_overlap_in_any_way_as_long_as_they_say_the_same() -> None:
    api, id = await in_pages((1, 3), (1, 6), (2, 2), (2, 4), (4, 6))
    body = await shown(api, id)
    assert [entry["number"] for entry in body["entries"]] == [1, 2, 3, 4, 5, 6]
    assert body["verified"]["status"] == "valid"


@pytest.mark.parametrize("fields", [{"actor": "somebody else"}, {"hash": "0" * 64}, {"hash": None}])
async def test_of_two_pages_that_differ_one_was_tampered_with(fields: dict[str, object]) -> None:
    api, id = await in_pages((1, 6), (2, 4))
    await tamper_with_page(api, id, "orders:2-4", 3, **fields)
    assert await found(api, id) == ("broken", 3)


async def test_entries_from_before_there_were_hashes_are_counted_and_no_later_one_may_lack_its_own() -> None:
    api = Api()
    id = await completed(api)
    for number in (1, 2):
        await tamper_with_page(api, id, "orders:1-6", number, hash=None)
    assert await found(api, id) == ("broken", 3)  # it follows on another
    snapshot = (await api.documents.read("orders", id, "snapshot")).item
    await api.documents.upsert("orders", id, {**snapshot, "hash": None})
    for number in (3, 4, 5, 6):
        await tamper_with_page(api, id, "orders:1-6", number, hash=None)
    verified = await verdict(api, id)
    assert (verified["status"], verified["unchained"]) == ("valid", 6)
    fifth = events(api.documents, id)[4]
    await tamper_with_page(api, id, "orders:1-6", 5, hash=entry_hash("", fifth))
    verified = await verdict(api, id)
    assert (verified["broken_at"], verified["reason"]) == (6, "has lost its hash")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"chain": "stock"}, "chain"),
        ({"limit": "0"}, "limit"),
        ({"continuation": "x"}, "continuation"),
        ({"continuation": "orders:1,"}, "continuation"),
        ({"continuation": "orders:" + "1" * 40}, "continuation"),
    ],
)
async def test_a_trail_that_cannot_be_read_names_the_parameter(query: dict[str, str], field: str) -> None:
    api = Api()
    response = await api.call("get_audit_trail", route={"stream": await completed(api)}, query=query)
    assert list(broken_rules(response)) == [field]


@pytest.mark.parametrize("stream", ["ord-x", "customer:ada", "customer:" + "a" * 64])
async def test_of_what_nothing_is_on_record_there_is_no_trail(stream: str) -> None:
    assert (await Api().call("get_audit_trail", route={"stream": stream})).status_code == 404


@pytest.mark.parametrize("stream", ["a" * 65, "customer:", "customer:" + "a" * 65, "a/b"])
async def test_a_name_that_nothing_can_have_is_refused(stream: str) -> None:
    assert list(broken_rules(await Api().call("get_audit_trail", route={"stream": stream}))) == ["stream"]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_change_of_any_field_is_found(data: Any) -> None:
    async def written() -> list[JsonObject]:
        documents = FakeDocuments()
        await append(documents, "ord-1", place("ord-1"), *COMPLETION)
        return events(documents, "ord-1")

    items = run_simulated(written())
    assert first_break(items) is None
    index = data.draw(st.integers(0, len(items) - 1))
    field = data.draw(st.sampled_from(sorted(name for name in items[index] if not name.startswith("_"))))
    values = st.sampled_from(["", "x", 7]).filter(lambda value: value != items[index][field])
    items[index] = {**items[index], field: data.draw(values)}
    broken = first_break(items)
    assert broken is not None
    assert broken.number in (index + 1, index + 2)
