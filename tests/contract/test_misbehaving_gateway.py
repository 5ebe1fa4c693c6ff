"""What a gateway does that misbehaves, and what its policy makes of it: real HTTP, in real time.

The adapter as composition/providers.py has it: a call has a key, and may be repeated. Senders, which may not,
are in test_misbehaving_senders.py.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from adapters.resilience.gateway import ResilientGateway
from adapters.stripe.gateway import StripeGateway
from core.bulkhead import BulkheadFull
from core.circuit import CircuitOpen
from core.outside_call import NotSent, OutcomeUnknown, OutsideUnavailable
from core.outside_limits import OutsideLimits
from core.outside_policy import OutsidePolicy
from services.payments.messages import Charged
from tests.misbehaving import HttpServer, http_server

ORDER = "ord-1"
PATIENCE_S = 1.0
"""Longer than a good answer takes on a machine that is busy."""
LIMITS = OutsideLimits(
    timeout_s=20.0,
    attempt_s=PATIENCE_S,
    attempts=3,
    circuit_failures=4,
    circuit_s=1.0,
    concurrency=2,
    queue=1,
)
INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "status": "succeeded",
    "amount": 4200,
    "currency": "gbp",
    "metadata": {"order_id": ORDER},
}


async def intent(request: web.Request) -> web.Response:
    return web.json_response(INTENT)


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server(intent) as serving:
        yield serving


def keys(server: HttpServer) -> list[str]:
    return [request.headers["Idempotency-Key"] for request in server.requests]


class AtOnce(random.Random):
    """No back-off but what the provider asks for."""

    def uniform(self, a: float, b: float) -> float:
        return 0.0


@pytest.fixture
async def gateway(server: HttpServer) -> AsyncIterator[ResilientGateway]:
    stripe = StripeGateway("sk_test_1", 5.0, api=server.url)
    yield ResilientGateway(stripe, OutsidePolicy("gateway:stripe", LIMITS, random=AtOnce()))
    await stripe.close()


async def charge(gateway: ResilientGateway) -> Any:
    return await gateway.charge(f"{ORDER}:payments.charge", ORDER, 4200, "GBP", "pm_card_visa")


async def failing(call: Callable[[], Awaitable[object]], *errors: type[Exception]) -> Exception:
    with pytest.raises(errors) as raised:
        await call()
    return raised.value


GATEWAY_MISBEHAVES = pytest.mark.parametrize("behaviour", ["slow", "reset", "garbage", "429", "500", "html"])


@GATEWAY_MISBEHAVES
async def test_a_charge_is_made_again_under_its_key(
    behaviour: str, server: HttpServer, gateway: ResilientGateway
) -> None:
    server.behaviour = [behaviour, behaviour]
    assert await charge(gateway) == Charged(ORDER, "pi_1", 4200, "GBP")
    assert keys(server) == [f"{ORDER}:payments.charge"] * 3
    if behaviour == "429":
        assert server.times[1] - server.times[0] >= 1.0


@GATEWAY_MISBEHAVES
async def test_a_provider_that_goes_on_so_is_asked_no_more_until_its_circuit_s_time_is_over(
    behaviour: str, server: HttpServer, gateway: ResilientGateway
) -> None:
    server.then = behaviour
    error = await failing(lambda: charge(gateway), OutcomeUnknown, OutsideUnavailable)
    assert not isinstance(error, NotSent)
    assert len(server.requests) == LIMITS.attempts
    await failing(lambda: charge(gateway), OutcomeUnknown, OutsideUnavailable)
    assert len(server.requests) == LIMITS.circuit_failures
    refused = await failing(lambda: charge(gateway), CircuitOpen)
    assert isinstance(refused, CircuitOpen)
    assert len(server.requests) == LIMITS.circuit_failures
    server.then = "well"
    await asyncio.sleep(refused.retry_after_s)
    assert isinstance(await charge(gateway), Charged)
    assert gateway.guard.circuit.state == "closed"


async def test_no_more_calls_reach_a_provider_at_once_than_may(
    server: HttpServer, gateway: ResilientGateway
) -> None:
    server.then = "not so slow"
    outcomes = await asyncio.gather(*(charge(gateway) for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(Charged) == LIMITS.concurrency + LIMITS.queue
    assert [type(outcome) for outcome in outcomes].count(BulkheadFull) == 2
    assert server.most == LIMITS.concurrency


async def test_a_look_up_is_repeated_too(server: HttpServer, gateway: ResilientGateway) -> None:
    server.behaviour = ["500", "reset"]
    assert await gateway.find_charge(ORDER, "pi_1") == Charged(ORDER, "pi_1", 4200, "GBP")
