"""The Stripe adapter keeps the contract of the port, over HTTP on localstripe.

What localstripe does not do is tested on a stand-in, in test_stripe_requests.py: it has no search, forgets
idempotency keys, gives back more than was charged, and knows no `return_url`.
"""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from adapters.stripe.gateway import StripeGateway
from adapters.stripe.webhooks import StripeWebhooks
from services.payments.gateway import Notice, PaymentGateway, Pending
from services.payments.messages import Charged, Declined
from tests.contract.gateway_suite import GatewaySuite, order
from tests.fakes import START

__all__ = ["order"]

KEY = "sk_test_12345"
SECRET = "whsec_test"  # noqa: S105
NEVER_S = 20.0
AUTHENTICATES = "4000002500003155"
"""Stripe's own test card, whose customer must act: https://docs.stripe.com/testing"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(NEVER_S), aiohttp.ClientSession() as session:
        while True:
            assert process.poll() is None, "localstripe has ended"
            try:
                async with session.get(f"{url}/js.stripe.com/v3/"):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address. In a folder of its own: it keeps its data in the current one."""
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("localstripe")
    command = [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        asyncio.run(until_it_answers(url, process))
        yield url
    finally:
        process.kill()
        process.wait()


async def post(address: str, /, **fields: str) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(address, data=fields) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return {} if answer.content_length == 0 else await answer.json()


async def get(address: str) -> dict[str, str | None]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(address) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def payment_method(url: str, number: str) -> str:
    card = {"number": number, "exp_month": "12", "exp_year": "2030", "cvc": "123"}
    fields = {f"card[{name}]": value for name, value in card.items()}
    return (await post(f"{url}/v1/payment_methods", type="card", **fields))["id"]


class TestStripeGateway(GatewaySuite):
    ok = "pm_card_visa"
    declined = "pm_card_chargeCustomerFail"
    unknown = "pm_none"

    @pytest.fixture
    async def gateway(self, localstripe: str) -> AsyncIterator[PaymentGateway]:
        self.url = localstripe
        self.action = await payment_method(localstripe, AUTHENTICATES)
        gateway = StripeGateway(KEY, 10.0, api=localstripe)
        yield gateway
        await gateway.close()

    async def test_a_payment_of_another_order_is_not_found(self, gateway: PaymentGateway, order: str) -> None:
        charged = await self.charged(gateway, order)
        assert await gateway.find_charge("ord-other", charged.payment_id) is None
        assert await gateway.find_charge(order, "pi_none") is None

    async def test_a_token_that_stripe_does_not_know_is_declined(
        self, gateway: PaymentGateway, order: str
    ) -> None:
        result = await gateway.charge(f"{order}:charge", order, 4200, "GBP", "pm_none")
        assert isinstance(result, Declined)

    async def test_a_card_that_is_forgotten_is_attached_to_nobody(self, gateway: PaymentGateway) -> None:
        card = await gateway.keep("cust-1", self.action)
        assert card is not None
        owner, _, id = card.reference.partition(":")
        address = f"{self.url}/v1/payment_methods/{id}"
        assert (await get(address))["customer"] == owner
        await gateway.forget(card.reference)
        assert (await get(address))["customer"] is None

    async def test_a_card_that_another_customer_keeps_is_none_for_this_one(
        self, gateway: PaymentGateway
    ) -> None:
        assert await gateway.keep("cust-1", self.action) is not None
        assert await gateway.keep("cust-2", self.action) is None

    @pytest.fixture
    async def webhooks(self, localstripe: str) -> AsyncIterator[asyncio.Queue[Notice | None]]:
        """What the webhooks say that come over HTTP."""
        heard: asyncio.Queue[Notice | None] = asyncio.Queue()

        async def take(request: web.Request) -> web.Response:
            headers = {name.lower(): value for name, value in request.headers.items()}
            heard.put_nowait(StripeWebhooks(SECRET).read(await request.read(), headers, START))
            return web.Response(status=202)

        app = web.Application()
        app.router.add_post("/hook", take)
        runner = web.AppRunner(app)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        hook = {"url": f"http://127.0.0.1:{port}/hook", "secret": SECRET}
        await post(f"{localstripe}/_config/webhooks/test", **hook)
        yield heard
        await runner.cleanup()

    async def test_a_webhook_tells_that_a_charge_succeeded_after_the_customer_acted(
        self, gateway: PaymentGateway, order: str, webhooks: asyncio.Queue[Notice | None]
    ) -> None:
        pending = await gateway.charge(f"{order}:charge", order, 4200, "GBP", self.action)
        assert isinstance(pending, Pending)
        await self.authenticate(pending.payment_id)
        found = await gateway.find_charge(order, pending.payment_id)
        assert found == Charged(order, pending.payment_id, 4200, "GBP")
        notice = await self.told_of(order, webhooks)
        assert notice == Notice(notice.event_id, order, pending.payment_id, "charged")

    async def test_a_webhook_tells_that_a_bank_debit_failed(
        self, gateway: PaymentGateway, order: str, webhooks: asyncio.Queue[Notice | None]
    ) -> None:
        """The one kind that localstripe lets be pending, and of those only the ones that fail."""
        iban = {"sepa_debit[iban]": "DE62370400440532013001"}
        debit = await post(f"{self.url}/v1/payment_methods", type="sepa_debit", **iban)
        await gateway.charge(f"{order}:charge", order, 4200, "EUR", debit["id"])
        notice = await self.told_of(order, webhooks)
        assert notice.news == "declined"
        assert await gateway.find_charge(order, notice.payment_id) == Declined(order, "card_declined")

    async def told_of(self, order: str, webhooks: asyncio.Queue[Notice | None]) -> Notice:
        async with asyncio.timeout(NEVER_S):
            while (notice := await webhooks.get()) is None or notice.order_id != order:
                pass
        assert notice.event_id.startswith("evt_")
        return notice

    async def authenticate(self, payment_id: str) -> None:
        """As the customer at his bank."""
        headers = {"Authorization": f"Bearer {KEY}"}
        url = f"{self.url}/v1/payment_intents/{payment_id}"
        async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as answer:
            secret = (await answer.json())["client_secret"]
        await post(f"{url}/_authenticate", client_secret=secret, success="true")
