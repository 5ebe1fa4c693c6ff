"""What a provider does that misbehaves, and what its policy makes of it: real HTTP, in real time.

Each adapter as function_app.py composes it: the gateway may repeat a call, which has a key, a sender not.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest
from aiohttp import web

from adapters.notifications.web_push import WebPush, read_vapid_key
from adapters.resilience.channel import ResilientChannel
from adapters.resilience.gateway import ResilientGateway
from adapters.stripe.gateway import StripeGateway
from core.bulkhead import BulkheadFull
from core.circuit import CircuitOpen
from core.outside_call import NotSent, OutcomeUnknown, OutsideUnavailable
from core.outside_limits import OutsideLimits
from core.outside_policy import OutsidePolicy
from services.notifications.channels import Message, SendUnavailable, Sent
from services.payments.messages import Charged
from tests.unit.test_notification_push import RAW_KEY, Browser

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


class Server:
    """Misbehaves as told, one request after the other, `then` for all that follow."""

    def __init__(self) -> None:
        self.url = ""
        self.behaviour: list[str] = []
        self.then = "well"
        self.keys: list[str] = []
        self.times: list[float] = []
        self.running = self.most = 0
        self._over = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        self.times.append(asyncio.get_running_loop().time())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self._answer(request, self.behaviour.pop(0) if self.behaviour else self.then)
        finally:
            self.running -= 1

    async def _answer(self, request: web.Request, behaviour: str) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        match behaviour:
            case "slow":
                async with asyncio.timeout(30.0):
                    await self._over.wait()
            case "not so slow":
                await asyncio.sleep(PATIENCE_S / 2)
            case "reset":
                transport.abort()
            case "garbage":
                transport.write(b"\x00\xff no HTTP at all\r\n\r\n")
                transport.close()
            case "429":
                return web.json_response({"error": {}}, status=429, headers={"Retry-After": "1"})
            case "500":
                return web.Response(status=500, text="<h1>Internal Server Error</h1>")
            case "html":
                return web.Response(text="<h1>Welcome</h1>", content_type="text/html")
        if request.path.startswith("/push"):
            return web.Response(status=201, headers={"Location": "/m/1"})
        return web.json_response(INTENT)

    def end(self) -> None:
        self._over.set()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    serving = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serving.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    serving.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield serving
    serving.end()
    await runner.cleanup()


class AtOnce(random.Random):
    """No back-off but what the provider asks for."""

    def uniform(self, a: float, b: float) -> float:
        return 0.0


@pytest.fixture
async def gateway(server: Server) -> AsyncIterator[ResilientGateway]:
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
    behaviour: str, server: Server, gateway: ResilientGateway
) -> None:
    server.behaviour = [behaviour, behaviour]
    assert await charge(gateway) == Charged(ORDER, "pi_1", 4200, "GBP")
    assert server.keys == [f"{ORDER}:payments.charge"] * 3
    if behaviour == "429":
        assert server.times[1] - server.times[0] >= 1.0


@GATEWAY_MISBEHAVES
async def test_a_provider_that_goes_on_so_is_asked_no_more_until_its_circuit_s_time_is_over(
    behaviour: str, server: Server, gateway: ResilientGateway
) -> None:
    server.then = behaviour
    error = await failing(lambda: charge(gateway), OutcomeUnknown, OutsideUnavailable)
    assert not isinstance(error, NotSent)
    assert len(server.keys) == LIMITS.attempts
    await failing(lambda: charge(gateway), OutcomeUnknown, OutsideUnavailable)
    assert len(server.keys) == LIMITS.circuit_failures
    refused = await failing(lambda: charge(gateway), CircuitOpen)
    assert isinstance(refused, CircuitOpen)
    assert len(server.keys) == LIMITS.circuit_failures
    server.then = "well"
    await asyncio.sleep(refused.retry_after_s)
    assert isinstance(await charge(gateway), Charged)
    assert gateway.guard.circuit.state == "closed"


async def test_no_more_calls_reach_a_provider_at_once_than_may(
    server: Server, gateway: ResilientGateway
) -> None:
    server.then = "not so slow"
    outcomes = await asyncio.gather(*(charge(gateway) for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(Charged) == LIMITS.concurrency + LIMITS.queue
    assert [type(outcome) for outcome in outcomes].count(BulkheadFull) == 2
    assert server.most == LIMITS.concurrency


async def test_a_look_up_is_repeated_too(server: Server, gateway: ResilientGateway) -> None:
    server.behaviour = ["500", "reset"]
    assert await gateway.find_charge(ORDER, "pi_1") == Charged(ORDER, "pi_1", 4200, "GBP")


@pytest.fixture
def channel() -> ResilientChannel:
    push = WebPush(read_vapid_key(RAW_KEY), "mailto:shop@example.com", 5.0, lambda endpoint: None)
    return ResilientChannel(push, OutsidePolicy("sender:push", LIMITS, random=AtOnce()))


async def push(channel: ResilientChannel, server: Server) -> Sent:
    browser = Browser(f"{server.url}/push/1")
    return await channel.send(Message("ord-1:orders:5:push", (browser.address,), "Hi", "text"))


@pytest.mark.parametrize("behaviour", ["slow", "reset", "garbage", "429", "500"])
async def test_a_message_is_sent_once_and_a_sender_that_goes_on_so_is_asked_no_more(
    behaviour: str, server: Server, channel: ResilientChannel
) -> None:
    server.then = behaviour
    for sent in range(1, LIMITS.circuit_failures + 1):
        error = await failing(lambda: push(channel, server), SendUnavailable)
        assert isinstance(error, SendUnavailable)
        assert error.retry_after_s == (1.0 if behaviour == "429" else 0.0)
        assert len(server.keys) == sent
    refused = await failing(lambda: push(channel, server), SendUnavailable)
    assert "circuit is open" in str(refused)
    assert len(server.keys) == LIMITS.circuit_failures
    server.then = "well"
    await asyncio.sleep(LIMITS.circuit_s)
    assert (await push(channel, server)).provider == "web-push"
    assert orjson.dumps(channel.guard.status())
