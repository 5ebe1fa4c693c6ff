"""Payments over HTTP: how one stands, and the gateway's webhooks."""

import orjson
import pytest

from adapters.sandbox.gateway import SandboxGateway
from adapters.sandbox.payment_webhooks import SECRET
from core.envelope import from_json
from core.signatures import sign
from services.payments.handlers import handle_command
from services.payments.messages import CheckCharge
from tests.fakes import START
from tests.payments_support import ORDER, command
from tests.unit.http_support import Api, broken_rules, content

EVENT = {"id": "evt-1", "type": "charge.succeeded", "order_id": ORDER, "payment_id": f"pay-{ORDER}"}


async def post(api: Api, event: object = EVENT):
    """What holds of every webhook is in test_http_webhooks.py."""
    body = orjson.dumps(event)
    headers = {"Sandbox-Signature": sign(SECRET, body, START)}
    return await api.call("take_payment_webhook", body, route={"provider": "sandbox"}, headers=headers)


async def test_a_payment_shows_what_moved_and_what_was_given_back_for_returns():
    api = Api()
    gateway = SandboxGateway(api.documents, api.bus, api.clock)
    for name in ("charge", "part-a"):
        await handle_command(api.documents, api.bus, gateway, api.clock, 10.0, command(name))
    response = await api.call("get_payment", route={"order_id": ORDER})
    assert response.status_code == 200
    assert content(response) == {
        "order_id": ORDER,
        "status": "charged",
        "amount": 4200,
        "charged": 4200,
        "refunded": 1200,
        "currency": "GBP",
        "payment_id": f"pay-{ORDER}",
        "reason": "",
        "action_url": "",
        "pending_reason": "",
        "refunds": [{"return_id": "part-a", "amount": 1200, "status": "refunded", "reason": ""}],
        "version": 4,
    }


async def test_a_payment_that_is_not_there_is_a_404():
    response = await Api().call("get_payment", route={"order_id": "ord-none"})
    assert (response.status_code, content(response)["detail"]) == (404, "there is no payment of this order")


async def test_a_webhook_becomes_a_command_whose_id_is_made_of_the_event():
    api = Api()
    for _ in range(2):
        assert (await post(api)).status_code == 202
    first, second = (from_json(message.body) for message in api.bus.sent["payments"])
    assert first.data == CheckCharge(ORDER, f"pay-{ORDER}", "evt-1", "charged")
    assert first.id == second.id == f"{ORDER}:payments.check_charge:evt-1"
    assert first.source == "webhooks.sandbox"


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (EVENT | {"order_id": 7}, "order_id"),
        (EVENT | {"order_id": ""}, "order_id"),
        (EVENT | {"order_id": "a/b"}, "payments.check_charge"),
        (EVENT | {"id": "x" * 300}, "payments.check_charge"),
    ],
)
async def test_a_genuine_webhook_of_another_form_is_refused_with_the_field(event, field):
    api = Api()
    response = await post(api, event)
    assert response.status_code == 400
    assert list(broken_rules(response)) == [field]
    assert not api.bus.sent


async def test_the_differences_of_a_day_are_listed_in_pages():
    api = Api()
    for number in range(101):
        moved_at = "2027-01-15T08:00:00+00:00"
        difference = {
            "difference_id": f"{number:03}",
            "about": "charge",
            "order_id": f"ord-{number}",
            "payment_id": "pay-1",
            "part": "",
            "gateway_amount": 1,
            "recorded_amount": 0,
            "currency": "GBP",
            "moved_at": moved_at,
        }
        item = {"id": f"{number:03}", "day": "2027-01-15", "difference": difference, "found_at": moved_at}
        await api.documents.create("payment-differences", "2027-01-15", item)
    first = content(await api.call("list_payment_differences"))
    assert (first["day"], len(first["differences"])) == ("2027-01-15", 100)
    assert first["differences"][0]["order_id"] == "ord-0"
    assert first["differences"][0]["found_at"] == "2027-01-15T08:00:00+00:00"
    query = {"day": "2027-01-15", "continuation": first["continuation"]}
    last = content(await api.call("list_payment_differences", query=query))
    assert ([one["order_id"] for one in last["differences"]], last["continuation"]) == (["ord-100"], None)
    assert (
        content(await api.call("list_payment_differences", query={"day": "2027-01-14"}))["differences"] == []
    )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"day": "today"}, "day"),
        ({"day": "20270115"}, "day"),
        ({"day": "checkpoint"}, "day"),
        ({"continuation": "x"}, "continuation"),
    ],
)
async def test_a_wrong_day_or_continuation_is_named(query, field):
    response = await Api().call("list_payment_differences", query=query)
    assert (response.status_code, list(broken_rules(response))) == (400, [field])
