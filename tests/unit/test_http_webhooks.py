"""What holds of every signed webhook, whoever it is from."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
import pytest
from azure.functions import HttpResponse

from core.signatures import sign
from tests.fakes import START
from tests.unit.http_support import Api, broken_rules, content

TOO_OLD = timedelta(seconds=301)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Of a sandbox. `event` is one that is taken; `sender` the parameter of the route."""

    function: str
    sender: str
    event: dict[str, str]

    async def post(
        self,
        api: Api,
        event: object,
        *,
        sender: str = "sandbox",
        at: datetime = START,
        secret: str = "sandbox",  # noqa: S107  (it protects nothing)
    ) -> HttpResponse:
        body = event if isinstance(event, bytes) else orjson.dumps(event)
        headers = {"Sandbox-Signature": sign(secret, body, at)}
        return await api.call(self.function, body, route={self.sender: sender}, headers=headers)


PAYMENT = Webhook(
    "take_payment_webhook",
    "provider",
    {"id": "evt-1", "type": "charge.succeeded", "order_id": "ord-1", "payment_id": "pay-ord-1"},
)
SHIPPING = Webhook(
    "take_shipping_webhook",
    "carrier",
    {
        "id": "evt-1",
        "type": "parcel.delivered",
        "parcel_id": "ord-1",
        "shipment_id": "shp-ord-1",
        "at": START.isoformat(),
    },
)
pytestmark = pytest.mark.parametrize("webhook", [PAYMENT, SHIPPING], ids=["payment", "shipping"])


async def test_one_of_something_else_is_ignored_and_says_so(webhook: Webhook) -> None:
    api = Api()
    response = await webhook.post(api, webhook.event | {"type": "invoice.created"})
    assert (response.status_code, content(response)) == (200, {"status": "ignored"})
    assert not api.bus.sent


@pytest.mark.parametrize(
    ("at", "secret", "rule"),
    [
        (START, "other", "signature of the body"),
        (START - TOO_OLD, "sandbox", "older than 300"),
        (START + TOO_OLD, "sandbox", "older than 300"),
    ],
)
async def test_one_that_is_forged_or_old_is_refused_and_changes_nothing(
    webhook: Webhook, at: datetime, secret: str, rule: str
) -> None:
    api = Api()
    response = await webhook.post(api, webhook.event, at=at, secret=secret)
    assert response.status_code == 401
    assert rule in broken_rules(response)["Sandbox-Signature"]
    assert not api.bus.sent


async def test_one_without_a_signature_is_refused(webhook: Webhook) -> None:
    response = await Api().call(webhook.function, webhook.event, route={webhook.sender: "sandbox"})
    assert response.status_code == 401
    assert broken_rules(response) == {"Sandbox-Signature": "must be given"}


@pytest.mark.parametrize("body", [b"nothing", b"[]"])
async def test_a_genuine_one_that_is_no_object_is_refused(webhook: Webhook, body: bytes) -> None:
    api = Api()
    response = await webhook.post(api, body)
    assert (response.status_code, list(broken_rules(response))) == (400, ["body"])
    assert not api.bus.sent


async def test_those_of_who_is_not_in_use_are_not_taken(webhook: Webhook) -> None:
    api = Api()
    assert (await webhook.post(api, webhook.event, sender="somebody")).status_code == 404
    assert not api.bus.sent


async def test_one_that_is_too_large_is_refused(webhook: Webhook) -> None:
    assert (await webhook.post(Api(), b" " * (1024 * 1024 + 1))).status_code == 413
