"""Where a read model is, and its way into the other container."""

import asyncio
from dataclasses import replace

import pytest

from core.read_model_places import LIFETIME_S, SEEN_BY_ALL_S, MovedOn, Places, go_on, where_is
from emulator.simulation import run_simulated
from services.orders.list_projection import CONTAINER, ORDER_LIST, Customers
from tests.fakes import FakeBus, FakeDocuments
from tests.order_support import COMPLETION, append, events, place
from tests.unit.http_support import Api, content
from triggers.change_feed.orders import project_changes

NEW = "order-list-2"


async def moved(documents: FakeDocuments, *, until: str, now: float = 0.0) -> float:
    """The time at which the phase is reached."""
    while (await where_is(documents, ORDER_LIST)).phase != until or now == 0.0:
        await go_on(documents, ORDER_LIST, now)
        now += SEEN_BY_ALL_S
    return now


async def test_without_a_document_a_read_model_is_where_it_is_at_first() -> None:
    place = await where_is(FakeDocuments(), ORDER_LIST)
    assert (place.active, place.phase, place.written_to) == (CONTAINER, "complete", (CONTAINER,))


async def test_it_moves_there_and_back_and_what_was_left_over_is_removed() -> None:
    documents = FakeDocuments()
    for number in range(5):
        await append(documents, f"ord-{number}", place(f"ord-{number}"), *COMPLETION[: number % 4])
    leftover = {"id": "ghost", "customer_id": "ada", "status": "created"}
    await documents.create(NEW, "ada", leftover)
    now = await moved(documents, until="complete")
    assert {row["id"] for row in documents.items(NEW)} == {f"ord-{number}" for number in range(5)}
    assert (await where_is(documents, ORDER_LIST)).active == NEW
    await documents.create(CONTAINER, "ada", leftover)
    await go_on(documents, ORDER_LIST, now)
    await moved(documents, until="complete", now=now + 1)
    assert {row["id"] for row in documents.items(CONTAINER)} == {f"ord-{number}" for number in range(5)}
    assert (await where_is(documents, ORDER_LIST)).active == CONTAINER


async def test_a_step_that_all_must_see_is_not_left_before_they_can_have() -> None:
    documents = FakeDocuments()
    for phase in ("announced", "switched"):
        now = await moved(documents, until=phase)
        since = (await where_is(documents, ORDER_LIST)).since
        assert (await go_on(documents, ORDER_LIST, since + SEEN_BY_ALL_S - 1)).phase == phase
        assert (await go_on(documents, ORDER_LIST, max(now, since + SEEN_BY_ALL_S))).phase != phase


async def test_while_it_moves_rows_are_written_into_both() -> None:
    documents = FakeDocuments()
    await append(documents, "ord-1", place("ord-1"))
    await moved(documents, until="announced")
    await project_changes(
        documents, Customers(documents), FakeBus(), events(documents, "ord-1"), Places(documents)
    )
    assert len(documents.items(CONTAINER)) == len(documents.items(NEW)) == 1


async def test_of_two_who_move_it_at_once_one_is_told() -> None:
    documents = FakeDocuments()
    await go_on(documents, ORDER_LIST, 0.0)
    found = await asyncio.gather(
        *[go_on(documents, ORDER_LIST, 1.0) for _ in range(2)], return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in found) == ["Move", MovedOn.__name__]


def test_where_it_is_is_asked_once_in_a_while() -> None:
    async def scenario() -> None:
        documents = FakeDocuments()
        places = Places(documents)
        for _ in range(3):
            await places.of(ORDER_LIST)
        assert documents.requests == ["read read-models"]
        await moved(documents, until="complete")
        assert (await places.of(ORDER_LIST)).active == CONTAINER
        await asyncio.sleep(LIFETIME_S)
        assert (await places.of(ORDER_LIST)).active == NEW

    run_simulated(scenario())


async def test_its_report_says_how_far_it_is_and_what_to_wait_for() -> None:
    api = Api()
    await api.placed()
    route = {"name": "orders"}
    reports = [content(await api.call("replay_projection", route=route)) for _ in range(3)]
    assert [report["phase"] for report in reports] == ["emptying", "announced", "announced"]
    assert reports[0]["after"] is None
    assert reports[1]["after"] > api.clock.now().isoformat()
    api.clock.advance(SEEN_BY_ALL_S)
    assert content(await api.call("replay_projection", route=route))["phase"] == "filling"
    for _ in range(2):
        report = content(await api.call("replay_projection", route=route))
    assert (report["phase"], report["active"], report["written"]) == ("switched", NEW, 1)
    assert content(await api.call("get_projection", route=route)) == report
    assert (await api.call("replay_projection", route={"name": "profits"})).status_code == 404


@pytest.mark.parametrize("function", ["replay_projection", "get_projection"])
async def test_a_read_model_that_is_not_there_has_no_place(function: str) -> None:
    assert (await Api().call(function, route={"name": "profits"})).status_code == 404


def test_both_containers_have_the_same_key() -> None:
    documents = FakeDocuments()
    assert documents._keys[ORDER_LIST.container] == documents._keys[ORDER_LIST.second]
    assert replace(ORDER_LIST, container=ORDER_LIST.second).container == NEW
