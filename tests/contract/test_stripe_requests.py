"""What the Stripe adapter sends, and what it makes of answers that localstripe never gives.

On a stand-in that answers what a test tells it to, in the form of Stripe's API
(https://docs.stripe.com/api/errors).
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
import stripe
from aiohttp import web

from adapters.stripe.gateway import StripeGateway
from core.outside_call import OutsideUnavailable
from services.payments.gateway import MoneyBack, Movement, Pending, RefundRefused
from services.payments.messages import Charged, Declined
from tests.fakes import START
from tests.stripe_objects import ORDER, error, intent, refund


@dataclass
class StandIn:
    """`answers` are given one after the other; bytes as they are, None cuts the connection."""

    url: str
    answers: list[tuple[int, Any] | None] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        text = request.query_string or (await request.text())
        fields = {name: values[0] for name, values in parse_qs(text).items()}
        self.requests.append((f"{request.method} {request.path}", dict(request.headers), fields))
        answer = self.answers.pop(0)
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, body = answer
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return web.Response(status=status, body=raw, content_type="application/json")


@pytest.fixture
async def server() -> AsyncIterator[StandIn]:
    stand_in = StandIn("")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stand_in.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stand_in.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield stand_in
    await runner.cleanup()


@pytest.fixture
async def gateway(server: StandIn) -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway("sk_test_1", 2.0, api=server.url, return_url="https://shop.example/paid")
    yield gateway
    await gateway.close()


async def charge(gateway: StripeGateway, currency: str = "GBP") -> Charged | Declined | Pending:
    return await gateway.charge("ord-1:payments.charge", ORDER, 4200, currency, "pm_card_visa")


async def refund_part(gateway: StripeGateway) -> MoneyBack | RefundRefused:
    return await gateway.refund("ord-1:payments.refund_part:r1", ORDER, "pi_1", "r1", 1200, "GBP")


async def test_a_charge_is_one_request_with_key_and_order(server: StandIn, gateway: StripeGateway) -> None:
    server.answers = [(200, intent())]
    assert await charge(gateway) == Charged(ORDER, "pi_1", 4200, "GBP")
    ((request, headers, fields),) = server.requests
    assert request == "POST /v1/payment_intents"
    assert headers["Idempotency-Key"] == "ord-1:payments.charge"
    assert fields == {
        "amount": "4200",
        "currency": "gbp",
        "confirm": "true",
        "metadata[order_id]": ORDER,
        "payment_method": "pm_card_visa",
        "payment_method_types[0]": "card",
        "return_url": "https://shop.example/paid",
    }


NOT_ATTACHED = (400, error("invalid_request_error"))


@pytest.mark.parametrize(
    "answers",
    [
        [(200, {"id": "pm_1", "object": "payment_method", "customer": None})],
        [NOT_ATTACHED, (200, {"id": "pm_1", "object": "payment_method", "customer": None})],
        [(404, error("invalid_request_error", code="resource_missing"))],
    ],
    ids=["attached", "detached before", "unknown"],
)
async def test_a_card_is_detached_by_its_own_id_whether_or_not_it_still_was_attached(
    server: StandIn, gateway: StripeGateway, answers: list[tuple[int, Any] | None]
) -> None:
    server.answers = answers
    await gateway.forget("cus_1:pm_1")
    assert server.requests[0][0] == "POST /v1/payment_methods/pm_1/detach"
    assert server.answers == []


async def test_a_card_that_stays_attached_is_not_said_to_be_forgotten(
    server: StandIn, gateway: StripeGateway
) -> None:
    attached = {"id": "pm_1", "object": "payment_method", "customer": "cus_1"}
    server.answers = [NOT_ATTACHED, (200, attached)]
    with pytest.raises(stripe.InvalidRequestError):
        await gateway.forget("cus_1:pm_1")
    server.answers = [(503, error("api_error"))]
    with pytest.raises(OutsideUnavailable):
        await gateway.forget("cus_1:pm_1")


async def test_a_currency_without_minor_units_is_counted_as_stripe_does(
    server: StandIn, gateway: StripeGateway
) -> None:
    server.answers = [(200, intent(amount=420000, currency="isk"))]
    assert await charge(gateway, "ISK") == Charged(ORDER, "pi_1", 4200, "ISK")
    assert server.requests[0][2]["amount"] == "420000"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (intent("processing"), Pending(ORDER, "pi_1", "processing")),
        (
            intent("requires_action", next_action={"type": "use_stripe_sdk"}),
            Pending(ORDER, "pi_1", "needs_action"),
        ),
        (
            intent(
                "requires_action",
                next_action={"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank/3ds"}},
            ),
            Pending(ORDER, "pi_1", "needs_action", "https://bank/3ds"),
        ),
        (intent("canceled"), Declined(ORDER, "canceled")),
        (
            intent("requires_payment_method", last_payment_error={"code": "card_declined"}),
            Declined(ORDER, "card_declined"),
        ),
        (
            intent(
                "requires_payment_method",
                last_payment_error={"code": "card_declined", "decline_code": "lost_card"},
            ),
            Declined(ORDER, "lost_card"),
        ),
    ],
)
async def test_what_a_status_means(
    server: StandIn, gateway: StripeGateway, answer: Any, result: object
) -> None:
    server.answers = [(200, answer)]
    assert await charge(gateway) == result


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (402, error("card_error", code="card_declined", decline_code="stolen_card"), "stolen_card"),
        (402, error("card_error", code="expired_card"), "expired_card"),
        (400, error("invalid_request_error", code="resource_missing"), "resource_missing"),
        (400, error("invalid_request_error"), "invalid_request"),
    ],
)
async def test_a_refusal_is_declined_with_its_code_and_never_its_message(
    server: StandIn, gateway: StripeGateway, status: int, answer: Any, reason: str
) -> None:
    server.answers = [(status, answer)]
    assert await charge(gateway) == Declined(ORDER, reason)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        (429, error("invalid_request_error", code="rate_limit")),
        (500, error("api_error")),
        (503, b"<html>down</html>"),
        (200, b"garbage"),
        (409, error("idempotency_error", code="idempotency_key_in_use")),
    ],
    ids=repr,
)
async def test_what_may_be_repeated_under_the_same_key_is_said_to_be_unavailable(
    server: StandIn, gateway: StripeGateway, answer: Any
) -> None:
    server.answers = [answer, (200, intent())]
    with pytest.raises(OutsideUnavailable) as raised:
        await charge(gateway)
    assert "4242" not in str(raised.value)
    assert await charge(gateway) == Charged(ORDER, "pi_1", 4200, "GBP")
    assert len({headers["Idempotency-Key"] for _, headers, _ in server.requests}) == 1


async def test_a_slow_answer_is_given_up_on() -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    gateway = StripeGateway("sk_test_1", 0.05, api=f"http://{host}:{port}")
    with pytest.raises(OutsideUnavailable):
        await charge(gateway)
    await gateway.close()
    server.close()
    await server.wait_closed()


async def test_a_wrong_key_is_nobodys_decline(server: StandIn, gateway: StripeGateway) -> None:
    server.answers = [(401, error("invalid_request_error"))]
    with pytest.raises(stripe.AuthenticationError):
        await charge(gateway)


async def test_an_order_is_searched_by_its_metadata_and_what_took_money_counts(
    server: StandIn, gateway: StripeGateway
) -> None:
    found = [intent("canceled", id="pi_0"), intent()]
    server.answers = [(200, {"object": "search_result", "data": found, "has_more": False})]
    assert await gateway.find_charge(ORDER) == Charged(ORDER, "pi_1", 4200, "GBP")
    ((request, _, fields),) = server.requests
    assert (request, fields["query"]) == (
        "GET /v1/payment_intents/search",
        'metadata["order_id"]:"ord-1"',
    )


async def test_an_order_that_the_search_does_not_know_has_no_charge(
    server: StandIn, gateway: StripeGateway
) -> None:
    server.answers = [(200, {"object": "search_result", "data": [], "has_more": False})]
    assert await gateway.find_charge('ord-"1') is None
    assert server.requests[0][2]["query"] == 'metadata["order_id"]:"ord-\\"1"'


async def test_a_refund_names_the_order_and_the_part(server: StandIn, gateway: StripeGateway) -> None:
    server.answers = [(200, refund())]
    assert await refund_part(gateway) == MoneyBack(1200, "GBP")
    ((request, headers, fields),) = server.requests
    assert request == "POST /v1/refunds"
    assert headers["Idempotency-Key"] == "ord-1:payments.refund_part:r1"
    assert fields == {
        "amount": "1200",
        "metadata[order_id]": ORDER,
        "metadata[part]": "r1",
        "payment_intent": "pi_1",
    }


@pytest.mark.parametrize(
    ("status", "answer", "result"),
    [
        (200, refund("pending"), MoneyBack(1200, "GBP")),
        (200, refund("failed", failure_reason="lost_or_stolen_card"), RefundRefused("lost_or_stolen_card")),
        (200, refund("canceled"), RefundRefused("canceled")),
        (
            400,
            error("invalid_request_error", code="charge_already_refunded"),
            RefundRefused("charge_already_refunded"),
        ),
    ],
)
async def test_what_becomes_of_a_refund(
    server: StandIn, gateway: StripeGateway, status: int, answer: Any, result: object
) -> None:
    server.answers = [(status, answer)]
    assert await refund_part(gateway) == result


async def test_a_refund_that_failed_is_none(server: StandIn, gateway: StripeGateway) -> None:
    server.answers = [(200, {"object": "list", "data": [refund("failed")], "has_more": False})]
    assert await gateway.find_refund(ORDER, "pi_1", "r1") is None


async def test_the_movements_of_a_window_are_charges_and_refunds_of_orders_page_by_page(
    server: StandIn, gateway: StripeGateway
) -> None:
    at = int(START.timestamp())

    def charge(id: str, status: str = "succeeded", **fields: Any) -> dict[str, Any]:
        plain = {"amount": 4200, "currency": "gbp", "created": at, "payment_intent": f"pi_{id}"}
        metadata = {"metadata": {"order_id": ORDER}}
        return {"id": f"ch_{id}", "object": "charge", "status": status, **plain, **metadata, **fields}

    def page(url: str, *data: dict[str, Any], more: bool = False) -> tuple[int, Any]:
        return 200, {"object": "list", "url": url, "data": data, "has_more": more}

    part = {"order_id": ORDER, "part": "r1"}
    given = {"created": at + 1, "payment_intent": "pi_1"}
    server.answers = [
        page("/v1/charges", charge("1"), charge("2", "failed"), more=True),
        page("/v1/charges", charge("3", metadata={}), charge("4", currency="isk", amount=500)),
        page(
            "/v1/refunds",
            refund(metadata=part, **given),
            refund("failed", metadata=part, **given),
            refund(id="re_2", amount=3000, metadata={"order_id": ORDER, "part": "all"}, **given),
        ),
    ]
    found = [each async for each in gateway.movements(START, START + timedelta(hours=1))]
    later = START + timedelta(seconds=1)
    assert found == [
        Movement("charge", ORDER, "pi_1", "", 4200, "GBP", START),
        Movement("charge", ORDER, "pi_4", "", 5, "ISK", START),
        Movement("refund", ORDER, "pi_1", "r1", 1200, "GBP", later),
        Movement("refund", ORDER, "pi_1", "", 3000, "GBP", later),
    ]
    _, following, _ = (fields for _, _, fields in server.requests)
    assert following["starting_after"] == "ch_2"
    assert following["created[gte]"] == str(at)
    assert following["created[lt]"] == str(at + 3600)
