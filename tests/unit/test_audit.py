"""The audit trail: what was asked and what came of it, and whether it still is what was written."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.audit import Asked, put_on_record
from core.chain import entry_hash
from emulator.simulation import run_simulated
from services.audit.trail import first_break, read_trail
from tests.fakes import START, FakeDocuments
from tests.order_support import COMPLETION, append, place
from tests.unit.http_support import Api, broken_rules, content
from triggers.change_feed.inventory import project_changes


async def shown(api: Api, stream: str, **query: str):
    return content(await api.call("get_audit_trail", route={"stream": stream}, query=query))


async def completed(api: Api) -> str:
    await append(api.documents, "ord-1", place("ord-1"), *COMPLETION, clock=api.clock)
    return "ord-1"


async def tamper(api: Api, container: str, stream: str, id: str, **fields: object) -> None:
    item = (await api.documents.read(container, stream, id)).item
    await api.documents.upsert(container, stream, {**item, **fields})


async def test_what_was_accepted_names_who_when_why_and_what_and_the_chain_is_valid() -> None:
    api = Api()
    id = await api.placed()
    body = await shown(api, id)
    (entry,) = body["entries"]
    assert (entry["number"], entry["outcome"], entry["what"]) == (1, "accepted", "orders.created")
    assert (entry["actor"], entry["time"]) == ("customer:c-1", api.clock.now().isoformat())
    assert (entry["causation_id"], entry["correlation_id"]) == (f"{id}:orders.place", id)
    assert entry["changed"]["total"] == 200
    assert "tok_ok" not in str(body)
    assert body["verified"] == {
        "status": "valid", "from": 1, "to": 1, "unchained": 0, "broken_at": None, "reason": None,
    }  # fmt: skip
    assert body["continuation"] is None


async def test_a_trail_is_verified_across_its_pages() -> None:
    api = Api()
    id = await completed(api)
    numbers, continuation = [], ""
    while continuation is not None:
        page = await shown(api, id, limit="2", continuation=continuation)
        assert page["verified"]["status"] == "valid"
        numbers += [entry["number"] for entry in page["entries"]]
        continuation = page["continuation"]
    assert numbers == [1, 2, 3, 4, 5, 6]


async def test_a_changed_entry_is_found_and_named() -> None:
    api = Api()
    id = await completed(api)
    await tamper(api, "orders", id, "3", actor="somebody else")
    verified = (await shown(api, id))["verified"]
    assert (verified["status"], verified["broken_at"]) == ("broken", 3)
    pages = [await shown(api, id, limit="2")]
    pages.append(await shown(api, id, limit="2", continuation=pages[0]["continuation"]))
    assert [page["verified"]["status"] for page in pages] == ["valid", "broken"]


async def test_an_entry_whose_hash_was_made_anew_breaks_the_next() -> None:
    api = Api()
    id = await completed(api)
    item = (await api.documents.read("orders", id, "3")).item
    before = (await api.documents.read("orders", id, "2")).item["hash"]
    changed = {**item, "actor": "somebody else"}
    await tamper(api, "orders", id, "3", actor="somebody else", hash=entry_hash(before, changed))
    assert (await shown(api, id))["verified"]["broken_at"] == 4


@pytest.mark.parametrize(("removed", "broken_at"), [("1", 1), ("4", 4), ("6", 6)])
async def test_an_entry_that_was_removed_is_missed_the_last_one_too(removed: str, broken_at: int) -> None:
    api = Api()
    id = await completed(api)
    await api.documents.delete("orders", id, removed)
    verified = (await shown(api, id))["verified"]
    assert (verified["status"], verified["broken_at"]) == ("broken", broken_at)


async def test_a_last_entry_that_was_exchanged_is_found_by_the_snapshot() -> None:
    api = Api()
    id = await completed(api)
    item = (await api.documents.read("orders", id, "6")).item
    before = (await api.documents.read("orders", id, "5")).item["hash"]
    changed = {**item, "actor": "somebody else"}
    await tamper(api, "orders", id, "6", actor="somebody else", hash=entry_hash(before, changed))
    assert (await shown(api, id))["verified"]["broken_at"] == 6


async def test_entries_from_before_there_were_hashes_are_counted_and_no_later_one_may_lack_its_own() -> None:
    api = Api()
    id = await completed(api)
    for version in ("1", "2"):
        await tamper(api, "orders", id, version, hash=None)
    assert (await shown(api, id))["verified"]["broken_at"] == 3  # it follows on another
    await api.documents.delete("orders", id, "snapshot")
    for version in ("3", "4", "5", "6"):
        await tamper(api, "orders", id, version, hash=None)
    verified = (await shown(api, id))["verified"]
    assert (verified["status"], verified["unchained"]) == ("valid", 6)
    item = (await api.documents.read("orders", id, "5")).item
    await tamper(api, "orders", id, "5", hash=entry_hash("", item))
    verified = (await shown(api, id))["verified"]
    assert (verified["broken_at"], verified["reason"]) == (6, "has lost its hash")


async def test_a_refused_command_is_on_record() -> None:
    api = Api()
    id = await completed(api)
    api.clock.advance(5)
    assert (
        await api.call("cancel_order_request", {"reason": "x"}, route={"order_id": id})
    ).status_code == 409
    body = await shown(api, id, chain="record")
    (entry,) = body["entries"]
    assert (entry["outcome"], entry["what"], entry["actor"]) == (
        "refused",
        "orders.RequestCancel",
        "customer",
    )
    assert entry["time"] == api.clock.now().isoformat()
    assert entry["changed"]["code"] == "cannot_cancel"
    assert body["verified"]["status"] == "valid"
    assert (await shown(api, id))["verified"]["to"] == 6


async def test_refusals_of_stock_and_its_movements_are_on_record_in_one_chain() -> None:
    api = Api()
    for body in ({"on_hand": 5}, {"on_hand": 3}, {"on_hand": 4, "reason": "one broke"}):
        await api.call("put_inventory", body, route={"sku": "TEA"})
    feed = sorted(api.documents.items("inventory", "TEA"), key=lambda item: item["_etag"])
    for _ in range(2):  # the feed may bring it twice
        await project_changes(api.documents, api.bus, feed)
    body = await shown(api, "TEA", chain="record")
    assert [(entry["what"], entry["outcome"]) for entry in body["entries"]] == [
        ("inventory.SetOnHand", "refused"),
        ("inventory.receipt", "accepted"),
        ("inventory.adjustment", "accepted"),
    ]
    assert body["verified"]["status"] == "valid"
    await tamper(api, "audit", "TEA", "entry:1", outcome="accepted")
    assert (await shown(api, "TEA", chain="record"))["verified"]["broken_at"] == 1
    await api.documents.delete("audit", "TEA", "entry:1")
    assert (await shown(api, "TEA", chain="record"))["verified"]["broken_at"] == 1


def test_what_is_recorded_at_once_is_chained_all_the_same() -> None:
    async def scenario() -> None:
        documents = FakeDocuments()
        asked = [Asked("s", f"c.{number}", "a", "s") for number in range(6)]
        await asyncio.gather(*[put_on_record(documents, each, "refused", {}, START) for each in asked])
        body = await read_trail(documents, "record", "s", 100, None)
        assert (body["verified"]["status"], body["verified"]["to"]) == ("valid", 6)  # type: ignore[index,call-overload]

    run_simulated(scenario())


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"chain": "all"}, "chain"),
        ({"limit": "0"}, "limit"),
        ({"continuation": "x"}, "continuation"),
        ({"continuation": "1" * 40 + ":"}, "continuation"),
    ],
)
async def test_a_trail_that_cannot_be_read_names_the_parameter(query: dict[str, str], field: str) -> None:
    api = Api()
    response = await api.call("get_audit_trail", route={"stream": await completed(api)}, query=query)
    assert list(broken_rules(response)) == [field]


async def test_of_what_nothing_is_on_record_there_is_no_trail() -> None:
    assert (await Api().call("get_audit_trail", route={"stream": "ord-x"})).status_code == 404


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_change_of_any_field_is_found(data) -> None:
    async def written() -> list:
        documents = FakeDocuments()
        await append(documents, "ord-1", place("ord-1"), *COMPLETION)
        items = [item for item in documents.items("orders") if item["kind"] == "event"]
        return sorted(items, key=lambda item: item["version"])

    items = run_simulated(written())
    assert first_break(items) is None
    index = data.draw(st.integers(0, len(items) - 1))
    field = data.draw(st.sampled_from(sorted(name for name in items[index] if not name.startswith("_"))))
    values = st.sampled_from(["", "x", 7]).filter(lambda value: value != items[index][field])
    items[index] = {**items[index], field: data.draw(values)}
    found = first_break(items)
    assert found is not None
    assert found.number in (index + 1, index + 2)
