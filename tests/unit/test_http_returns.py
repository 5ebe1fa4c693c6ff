"""The return API: what is accepted, what is refused and why, and what the saga is told."""

import azure.functions as func
import pytest

from services.orders.policy import CANCEL_EVENT, OPERATOR_EVENT, RETURN_SAGA
from services.orders.return_commands import RecordReturnAttention
from services.orders.return_handlers import ask
from tests.order_support import COMPLETION, append
from tests.unit.http_support import Api, broken_rules, content

LINES = {"lines": [{"line": 1, "quantity": 1, "reason": "too small"}]}


class ReturnApi(Api):
    async def completed(self) -> str:
        """The id of a completed order of two pieces."""
        id = await self.placed()
        await append(self.documents, id, *COMPLETION, clock=self.clock)
        return id

    async def request(self, order_id: str, body: object = LINES, key: str = "r-1") -> func.HttpResponse:
        headers = {"idempotency-key": key}
        return await self.call("request_return", body, route={"order_id": order_id}, headers=headers)

    async def step(self, function: str, return_id: str, body: object = b"") -> func.HttpResponse:
        return await self.call(function, body, route={"return_id": return_id})

    async def requested(self) -> str:
        """The id of a return that the rule has approved."""
        return str(content(await self.request(await self.completed()))["id"])


async def test_a_return_is_accepted_and_its_saga_started() -> None:
    api = ReturnApi()
    order_id = await api.completed()
    response = await api.request(order_id)
    body = content(response)
    assert (response.status_code, response.headers["Location"]) == (202, f"/api/returns/{order_id}-r1")
    assert (body["status"], body["lines"]) == (
        "approved",
        [{"line": 1, "quantity": 1, "reason": "too small", "sku": "a"}],
    )
    saga, instance_id, _ = api.client.started[-1]
    assert (saga, instance_id) == (RETURN_SAGA, f"{order_id}-r1")
    assert content(await api.step("get_return", f"{order_id}-r1")) == body
    listed = await api.call("list_returns", route={"order_id": order_id})
    assert content(listed) == {"items": [body]}


async def test_the_same_request_again_is_the_same_return() -> None:
    api = ReturnApi()
    order_id = await api.completed()
    first, again = content(await api.request(order_id)), content(await api.request(order_id))
    assert first == again
    other = {"lines": [{"line": 1, "quantity": 2, "reason": "too small"}]}
    assert (await api.request(order_id, other)).status_code == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "lines"),
        ({"lines": []}, "lines"),
        ({"lines": [{"line": 0, "quantity": 1, "reason": "x"}]}, "lines.0.line"),
        ({"lines": [{"line": 1, "quantity": 0, "reason": "x"}]}, "lines.0.quantity"),
        ({"lines": [{"line": 1, "quantity": 1, "reason": " "}]}, "lines.0.reason"),
        ({"lines": [{"line": 1, "quantity": 1, "reason": "x"}] * 2}, "body"),
        ({**LINES, "refund": 1}, "refund"),
    ],
)
async def test_a_request_that_breaks_a_rule_is_refused_with_the_field(body: object, field: str) -> None:
    api = ReturnApi()
    response = await api.request(await api.completed(), body)
    assert (response.status_code, list(broken_rules(response))) == (400, [field])


@pytest.mark.parametrize(("line", "quantity", "status"), [(2, 1, 400), (1, 3, 409)])
async def test_what_was_not_bought_cannot_be_returned(line: int, quantity: int, status: int) -> None:
    api = ReturnApi()
    body = {"lines": [{"line": line, "quantity": quantity, "reason": "x"}]}
    assert (await api.request(await api.completed(), body)).status_code == status


async def test_an_order_that_is_not_completed_or_not_there_takes_no_return() -> None:
    api = ReturnApi()
    assert (await api.request(await api.placed())).status_code == 409
    assert (await api.request("ord-none")).status_code == 404
    assert (await api.call("list_returns", route={"order_id": "ord-none"})).status_code == 404


@pytest.mark.parametrize("id", ["ord-none-r1", "nonsense", "-r1", "ord-1-rx"])
async def test_a_return_that_is_not_there_is_not_found(id: str) -> None:
    api = ReturnApi()
    for function in ("get_return", "receive_return", "cancel_return_request", "retry_return"):
        assert (await api.step(function, id)).status_code == 404


async def test_the_warehouse_receives_and_inspects_and_the_saga_is_told() -> None:
    api = ReturnApi()
    id = await api.requested()
    assert content(await api.step("receive_return", id))["status"] == "received"
    lines = {"lines": [{"line": 1, "written_off": 1}]}
    inspected = content(await api.step("inspect_return", id, lines))
    assert (inspected["status"], inspected["refund"]) == ("inspected", 100)
    assert [(instance, event) for instance, event, _ in api.client.raised] == [
        (id, f"{id}:parcel"),
        (id, f"{id}:inspection"),
    ]
    another = {"lines": [{"line": 1, "restocked": 1}]}
    assert (await api.step("inspect_return", id, another)).status_code == 409
    assert (await api.step("cancel_return_request", id)).status_code == 409


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([{"line": 2, "restocked": 1}], 400),
        ([{"line": 1, "restocked": 2}], 400),
        ([{"line": 1, "refunded": 2}], 400),
        ([{"line": 1, "restocked": -1}], 400),
    ],
)
async def test_an_inspection_of_other_goods_is_refused(lines: list[object], status: int) -> None:
    api = ReturnApi()
    id = await api.requested()
    await api.step("receive_return", id)
    response = await api.step("inspect_return", id, {"lines": lines})
    assert response.status_code == status
    assert content(await api.step("get_return", id))["status"] == "received"


async def test_the_customer_cancels() -> None:
    api = ReturnApi()
    id = await api.requested()
    assert (await api.step("cancel_return_request", id)).status_code == 202
    order = {"order_id": id.removesuffix("-r1")}
    events = content(await api.call("get_order_history", route=order))["events"]
    asked = {event["type"]: event["actor"] for event in events if "return" in event["type"]}
    assert asked == dict.fromkeys(
        ("orders.return_requested", "orders.return_approved", "orders.return_cancel_requested"),
        "customer:c-1",
    )
    assert [(instance, event) for instance, event, _ in api.client.raised] == [(id, CANCEL_EVENT)]


async def test_only_a_return_that_needs_attention_is_settled() -> None:
    api = ReturnApi()
    id = await api.requested()
    assert (await api.step("settle_return", id, {"note": "paid in cash"})).status_code == 409
    attention = RecordReturnAttention(id, "request_label", "no_answer", 3)
    await ask(api.orders, id.removesuffix("-r1"), id, attention, "", "saga")
    settled = content(await api.step("settle_return", id, {"note": "paid in cash"}))
    assert (settled["status"], settled["reason"]) == ("settled", "paid in cash")
    assert (await api.step("settle_return", id, {})).status_code == 400


async def test_an_operator_wakes_a_saga_or_starts_one_that_is_gone() -> None:
    api = ReturnApi()
    id = await api.requested()
    assert (await api.step("retry_return", id)).status_code == 202
    assert api.client.raised == [(id, OPERATOR_EVENT, {})]
    api.client.instances[id] = "Failed"
    started = len(api.client.started)
    assert (await api.step("retry_return", id)).status_code == 202
    assert len(api.client.started) == started + 1


async def test_a_saga_that_cannot_be_told_does_not_fail_the_request() -> None:
    api = ReturnApi()
    id = await api.requested()
    api.client.instances[id] = "Terminated"
    assert content(await api.step("receive_return", id))["status"] == "received"
