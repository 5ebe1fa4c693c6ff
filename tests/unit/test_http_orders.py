"""The order API."""

import asyncio

import pytest

from core.decider import Cause, execute
from core.documents import DocumentsUnavailable, DocumentTimeout
from emulator.simulation import run_simulated
from services.orders import commands as c
from services.orders.decider import ORDERS
from services.orders.handlers import order_id
from services.orders.policy import CANCEL_EVENT
from tests.unit.http_support import ORDER, Api, broken_rules, content, reserve

OF_ONE_ORDER = ("get_order", "get_order_history", "cancel_order_request", "retry_order")


async def test_an_order_is_accepted_and_its_saga_started() -> None:
    api = Api()
    response = await api.place()
    body = content(response)
    id = body["id"]
    assert response.status_code == 202
    assert response.headers["Location"] == f"/api/orders/{id}"
    assert body == {
        "id": id,
        "status": "created",
        "version": 1,
        "links": {
            "self": f"/api/orders/{id}",
            "history": f"/api/orders/{id}/history",
            "cancel": f"/api/orders/{id}/cancel",
            "payment": f"/api/payments/{id}",
            "shipment": f"/api/shipments/{id}",
            "returns": f"/api/orders/{id}/returns",
        },
    }
    ((name, instance, given),) = api.client.started
    assert (name, instance) == ("order_saga", id)
    assert given["policy"]["step_attempts"] == 3


async def test_placing_an_order_is_one_document_request() -> None:
    api = Api()
    await api.place()
    assert api.documents.requests == ["batch orders"]


def test_the_order_id_comes_from_customer_and_key() -> None:
    assert order_id("c-1", "k-1") == order_id("c-1", "k-1")
    assert len({order_id("c-1", "k-1"), order_id("c-2", "k-1"), order_id("c-1", "k-2")}) == 3
    assert len(order_id("c-1", "k-1")) == len("ord-") + 20


async def test_the_same_request_again_is_the_same_order() -> None:
    api = Api()
    first = content(await api.place())
    await reserve(api, first["id"])
    again = await api.place()
    assert again.status_code == 202
    assert content(again) == {**first, "status": "inventory_reserved", "version": 2}
    assert len(api.client.started) == 1


async def test_the_same_key_with_another_body_is_refused() -> None:
    api = Api()
    await api.place()
    response = await api.place({**ORDER, "delivery": "express"})
    assert response.status_code == 422
    assert "Idempotency-Key" in content(response)["detail"]


async def test_of_many_equal_requests_at_once_one_starts_the_saga() -> None:
    api = Api()
    responses = await asyncio.gather(*[api.place() for _ in range(10)])
    assert {response.status_code for response in responses} == {202}
    assert len(api.client.started) == 1
    assert len([item for item in api.documents.items("orders") if item["kind"] == "event"]) == 1


async def test_an_order_is_accepted_although_its_saga_cannot_be_started_now() -> None:
    api = Api()
    api.client.fault = True
    response = await api.place()
    assert response.status_code == 202
    assert len(api.documents.items("orders")) == 2


async def test_a_repeated_request_starts_the_saga_that_the_first_one_could_not() -> None:
    api = Api()
    api.client.fault = True
    await api.place()
    api.client.fault = False
    for _ in range(2):
        await api.place()
    assert len(api.client.started) == 1


async def test_a_write_that_was_done_but_not_answered_starts_the_saga_too() -> None:
    faults = iter([True])

    async def lost(request: str) -> None:
        if next(faults, False):
            raise DocumentTimeout("no answer")

    api = Api()
    api.documents.after = lost
    assert (await api.place()).status_code == 202
    assert len(api.client.started) == 1


@pytest.mark.parametrize(
    "function", ["get_order", "get_order_history", "cancel_order_request", "retry_order"]
)
async def test_an_order_that_is_not_there_is_not_found(function: str) -> None:
    response = await Api().call(function, route={"order_id": "ord-x"})
    assert response.status_code == 404


@pytest.mark.parametrize(
    "function", ["get_order", "get_order_history", "cancel_order_request", "retry_order"]
)
async def test_an_order_id_in_a_path_keeps_the_rule_of_ids(function: str) -> None:
    response = await Api().call(function, route={"order_id": "a/b"})
    assert list(broken_rules(response)) == ["order_id"]


async def test_a_cancellation_is_recorded_and_the_saga_woken() -> None:
    api = Api()
    id = await api.placed()
    response = await api.call("cancel_order_request", {"reason": "changed my mind"}, route={"order_id": id})
    assert response.status_code == 202
    assert content(response)["version"] == 2
    assert api.client.raised == [(id, CANCEL_EVENT, {})]
    events = content(await api.call("get_order_history", route={"order_id": id}))["events"]
    assert events[-1]["data"] == {"order_id": id, "reason": "changed my mind"}


async def test_a_cancellation_may_do_without_a_body_and_be_repeated() -> None:
    api = Api()
    id = await api.placed()
    for _ in range(2):
        response = await api.call("cancel_order_request", route={"order_id": id})
        assert response.status_code == 202
        assert content(response)["version"] == 2
    # Waking the saga twice does no harm, and the first time may have been in vain.
    assert len(api.client.raised) == 2


async def test_a_cancellation_counts_although_the_saga_cannot_be_woken() -> None:
    api = Api()
    id = await api.placed()
    api.client.fault = True
    assert (await api.call("cancel_order_request", route={"order_id": id})).status_code == 202


async def test_a_shipped_order_cannot_be_cancelled() -> None:
    api = Api()
    id = await api.placed()
    await reserve(api, id)
    command = c.RecordPayment("pay-1", 200, "GBP")
    await execute(api.documents, ORDERS, id, command, Cause("x", id, "x"), api.clock.now())
    response = await api.call("cancel_order_request", route={"order_id": id})
    assert response.status_code == 409
    assert "shipping_requested" in content(response)["detail"]
    assert api.client.raised == []


async def test_a_store_that_cannot_answer_now_is_a_503_that_says_when_to_come_back() -> None:
    async def refuse(request: str) -> None:
        raise DocumentsUnavailable("out for a moment")

    api = Api()
    id = await api.placed()
    api.documents.before = refuse

    async def scenario() -> None:
        response = await api.call("get_order", route={"order_id": id})
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "1"

    await asyncio.to_thread(run_simulated, scenario())


async def test_an_outage_of_a_moment_is_not_noticed() -> None:
    api = Api()
    id = await api.placed()
    faults = iter([True, True])

    async def sometimes(request: str) -> None:
        if next(faults, False):
            raise DocumentsUnavailable("out for a moment")

    api.documents.before = sometimes

    async def scenario() -> None:
        assert (await api.call("get_order", route={"order_id": id})).status_code == 200

    await asyncio.to_thread(run_simulated, scenario())


async def test_the_trace_of_the_client_is_continued() -> None:
    api = Api()
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"Idempotency-Key": "k", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    await api.call("place_order", ORDER, headers=headers)
    (event,) = (item for item in api.documents.items("orders") if item["kind"] == "event")
    assert event["traceparent"].split("-")[1] == trace
    assert api.client.started[0][2]["traceparent"] == event["traceparent"]


@pytest.mark.parametrize("header", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
async def test_without_a_trace_of_the_client_the_order_has_its_own(header: str) -> None:
    api = Api()
    await api.call("place_order", ORDER, headers={"Idempotency-Key": "k", "traceparent": header})
    (event,) = (item for item in api.documents.items("orders") if item["kind"] == "event")
    assert len(event["traceparent"]) == 55
