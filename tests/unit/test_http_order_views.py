"""An order as the API shows it: now, when it changes, and as it was."""

import asyncio
from datetime import timedelta

import azure.functions as func
import pytest

from emulator.simulation import run_simulated
from services.orders import commands as c
from services.orders.decider import ORDERS
from services.orders.saga import Ports, Work, as_answer, await_payment
from services.payments.messages import PaymentPending
from tests.fakes import FakeBus
from tests.order_support import COMPLETION, append
from tests.unit.http_support import ORDER, Api, broken_rules, content, reserve


async def test_an_order_is_shown_as_it_is() -> None:
    api = Api()
    id = await api.placed()
    response = await api.call("get_order", route={"order_id": id})
    body = content(response)
    assert response.status_code == 200
    assert response.headers["ETag"] == '"1"'
    assert (body["id"], body["status"], body["version"], body["total"]) == (id, "created", 1, 200)
    assert body["lines"] == ORDER["lines"]
    assert body["created_at"] == body["updated_at"] == api.clock.now().isoformat()
    assert "payment_method" not in body
    assert "request_digest" not in body


async def test_an_order_says_what_its_payment_waits_for_and_until_when_and_where_that_can_be_done() -> None:
    api = Api()
    id = await api.placed()
    await reserve(api, id)
    now = api.clock.now()
    pending = as_answer(PaymentPending(id, "needs_action", now))
    ports = Ports(api.documents, FakeBus(api.clock), api.clock, 1.0)
    await await_payment(ports, Work(id, 1, "c", reply=pending, until=now + timedelta(minutes=15)))
    body = content(await api.call("get_order", route={"order_id": id}))
    assert (body["status"], body["payment_pending"]) == ("inventory_reserved", "needs_action")
    assert body["payment_due"] == (now + timedelta(minutes=15)).isoformat()
    assert body["links"]["payment"] == f"/api/payments/{id}"


async def test_an_order_says_when_it_was_delivered() -> None:
    api = Api()
    id = await api.placed()
    await append(api.documents, id, *COMPLETION)
    shown = content(await api.call("get_order", route={"order_id": id}))
    assert (shown["status"], shown["delivered_at"], shown["returned_to_sender"]) == ("completed", None, False)
    at = api.clock.now()
    await append(api.documents, id, c.RecordDelivery("shp-1", at))
    shown = content(await api.call("get_order", route={"order_id": id}))
    assert (shown["status"], shown["delivered_at"]) == ("completed", at.isoformat())


async def test_an_order_says_that_its_parcel_came_back() -> None:
    api = Api()
    id = await api.placed()
    await append(api.documents, id, *COMPLETION, c.RecordReturnToSender("shp-1", api.clock.now(), "refused"))
    shown = content(await api.call("get_order", route={"order_id": id}))
    assert (shown["status"], shown["returned_to_sender"]) == ("completed", True)


async def test_an_order_says_that_it_is_to_be_cancelled_before_the_saga_knows() -> None:
    api = Api()
    id = await api.placed()
    assert not content(await api.call("get_order", route={"order_id": id}))["cancel_requested"]
    accepted = content(await api.call("cancel_order_request", {}, route={"order_id": id}))
    assert (accepted["status"], accepted["cancel_requested"]) == ("created", True)


@pytest.mark.parametrize("drop", ["missing", "old schema"])
async def test_an_order_is_shown_from_its_events_without_a_snapshot_of_this_schema(drop: str) -> None:
    api = Api()
    id = await api.placed()
    before = content(await api.call("get_order", route={"order_id": id}))
    if drop == "missing":
        await api.documents.delete("orders", id, "snapshot")
    else:
        item = (await api.documents.read("orders", id, "snapshot")).item
        await api.documents.upsert("orders", id, {**item, "schema": ORDERS.schema - 1})
    assert content(await api.call("get_order", route={"order_id": id})) == before


@pytest.mark.parametrize(
    ("tags", "status"),
    [('"1"', 304), ('W/"1"', 304), ('"7", "1"', 304), ("*", 304), ('"2"', 200), ("", 200), ("1", 200)],
)
async def test_a_version_that_the_client_has_is_not_sent_again(tags: str, status: int) -> None:
    api = Api()
    id = await api.placed()
    response = await api.call("get_order", route={"order_id": id}, headers={"If-None-Match": tags})
    assert response.status_code == status
    assert response.headers["ETag"] == '"1"'


@pytest.mark.parametrize("headers", [{}, {"If-None-Match": '"1"'}])
def test_a_client_may_wait_for_the_next_version(headers: dict[str, str]) -> None:
    async def scenario() -> None:
        api = Api()
        id = await api.placed()
        route = {"order_id": id}
        loop = asyncio.get_running_loop()
        started = loop.time()
        waiting = asyncio.create_task(
            api.call("get_order", route=route, query={"wait": "30"}, headers=headers)
        )
        await asyncio.sleep(4)
        assert not waiting.done()
        await reserve(api, id)
        response = await waiting
        assert content(response)["version"] == 2
        assert loop.time() - started < 4.6

    run_simulated(scenario())


@pytest.mark.parametrize(("headers", "status"), [({}, 200), ({"If-None-Match": '"1"'}, 304)])
def test_waiting_ends_after_the_time_that_was_asked_for(headers: dict[str, str], status: int) -> None:
    async def scenario() -> None:
        api = Api()
        route = {"order_id": await api.placed()}
        loop = asyncio.get_running_loop()
        started = loop.time()
        response = await api.call("get_order", route=route, query={"wait": "7"}, headers=headers)
        assert response.status_code == status
        assert loop.time() - started == pytest.approx(7)
        assert len(api.documents.requests) < 25

    run_simulated(scenario())


def test_an_order_that_the_client_knows_in_another_version_is_not_waited_for() -> None:
    async def scenario() -> None:
        api = Api()
        route = {"order_id": await api.placed()}
        headers = {"If-None-Match": '"0"'}
        response = await api.call("get_order", route=route, query={"wait": "30"}, headers=headers)
        assert content(response)["version"] == 1
        assert asyncio.get_running_loop().time() == 0

    run_simulated(scenario())


@pytest.mark.parametrize("wait", ["-1", "31", "1.5", "x", "", "001"])
async def test_the_time_to_wait_has_a_rule(wait: str) -> None:
    api = Api()
    response = await api.call("get_order", route={"order_id": await api.placed()}, query={"wait": wait})
    assert list(broken_rules(response)) == ["wait"]


async def test_the_history_tells_what_happened_without_secrets() -> None:
    api = Api()
    id = await api.placed()
    await reserve(api, id)
    response = await api.call("get_order_history", route={"order_id": id})
    created, reserved = content(response)["events"]
    assert (created["version"], created["type"], created["actor"]) == (1, "orders.created", "customer:c-1")
    assert (reserved["version"], reserved["type"], reserved["actor"]) == (
        2,
        "orders.inventory_reserved",
        "saga",
    )
    assert reserved["correlation_id"] == id
    assert not {"payment_method", "request_digest"} & set(created["data"])
    assert b"tok_ok" not in response.get_body()


async def test_the_history_is_read_page_by_page() -> None:
    api = Api()
    route = {"order_id": await api.placed()}
    await reserve(api, route["order_id"])
    first = content(await api.call("get_order_history", route=route, query={"limit": "1"}))
    query = {"limit": "1", "continuation": first["continuation"]}
    rest = content(await api.call("get_order_history", route=route, query=query))
    assert [event["version"] for event in first["events"] + rest["events"]] == [1, 2]
    assert rest["continuation"] is None
    for wrong in ({"limit": "1001"}, {"continuation": "nonsense"}):
        response = await api.call("get_order_history", route=route, query=wrong)
        assert list(broken_rules(response)) == list(wrong)


async def test_an_order_is_shown_as_it_was() -> None:
    api = Api()
    id = await api.placed()
    before = content(await api.call("get_order", route={"order_id": id}))
    placed_at = api.clock.now()
    api.clock.advance(60)
    await reserve(api, id)

    async def at(seconds: float) -> func.HttpResponse:
        moment = (placed_at + timedelta(seconds=seconds)).isoformat()
        return await api.call("get_order", route={"order_id": id}, query={"at": moment})

    for seconds in (0, 59.999999):
        assert content(await at(seconds)) == before
    now = content(await api.call("get_order", route={"order_id": id}))
    assert (now["status"], now["version"]) == ("inventory_reserved", 2)
    for seconds in (60, 3600):
        assert content(await at(seconds)) == now
    assert (await at(-0.000001)).status_code == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"at": "yesterday"}, "at"),
        ({"at": "2027-01-15T08:00:00"}, "at"),
        ({"at": "2027-01-15T08:00:00 00:00"}, "at"),
        ({"at": "2027-01-15T08:00:00Z", "wait": "1"}, "wait"),
    ],
)
async def test_a_moment_has_a_rule(query: dict[str, str], field: str) -> None:
    api = Api()
    response = await api.call("get_order", route={"order_id": await api.placed()}, query=query)
    assert list(broken_rules(response)) == [field]
