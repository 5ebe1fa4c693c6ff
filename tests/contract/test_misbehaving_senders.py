"""What mail servers, Azure Communication Services and push services do that misbehave, and what comes of it.

Real sockets, in real time, but for the time that a circuit stays open. Each adapter under its policy, as
composition/providers.py has it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from email import message_from_bytes
from typing import Any, cast

import orjson
import pytest
from aiohttp import web
from azure.core.credentials import AzureKeyCredential

from adapters.notifications.azure_communication import AzureEmail, AzureSms, Resource
from adapters.notifications.smtp import SmtpEmail
from adapters.notifications.smtp import SmtpServer as At
from adapters.notifications.web_push import WebPush, read_vapid_key
from adapters.resilience.channel import ResilientChannel
from core.outside_limits import OutsideLimits
from core.outside_policy import OutsidePolicy
from services.notifications.channels import Channel, ChannelName, Message, SendRefused, SendUnavailable, Sent
from services.notifications.sending import MAX_ATTEMPTS
from services.notifications.telling import tell
from tests.fakes import FakeBus, FakeClock, FakeDocuments
from tests.misbehaving import HttpServer, Smtp, SmtpServer, http_server, smtp_server
from tests.notification_support import ADA, NOTICE, drain, notifier, statuses, with_profile
from tests.unit.http_support import Api
from tests.unit.test_notification_push import RAW_KEY, Browser

PATIENCE_S = 1.0
"""Longer than a good answer takes on a machine that is busy."""
LIMITS = OutsideLimits(
    timeout_s=PATIENCE_S,
    attempt_s=PATIENCE_S,
    attempts=3,
    circuit_failures=2,
    circuit_s=20.0,
    concurrency=2,
    queue=1,
)
FROM = "shop@shop.example"
MAIL = Message("ord-1:orders:5:email", ("ada@example.com",), "Hi", "text")
SMS = Message("ord-1:orders:5:sms", ("+447700900123",), "", "text")
PUSH = Message("ord-1:orders:5:push", (), "Hi", "text")


class Later:
    """The clock of circuits."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead


class AtOnce(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return 0.0


@dataclass
class Sender:
    """One channel under its policy, and how often its provider was asked."""

    channel: ResilientChannel
    message: Message
    asked: Callable[[], int]
    clock: Later

    async def send(self) -> Sent:
        return await self.channel.send(self.message)

    async def fails(self) -> SendUnavailable:
        with pytest.raises(SendUnavailable) as raised:
            await self.send()
        return raised.value


def guarded(
    name: str, channel: Channel, message: Message, asked: Callable[[], int], limits: OutsideLimits = LIMITS
) -> Sender:
    clock = Later()
    policy = OutsidePolicy(f"sender:{name}", limits, clock=clock, random=AtOnce())
    return Sender(ResilientChannel(channel, policy), message, asked, clock)


async def taken(request: web.Request) -> web.Response:
    """What Azure and a push service answer."""
    match request.path:
        case "/emails:send":
            id = request.headers["Operation-Id"]
            where = f"{request.url.origin()}/emails/operations/{id}?api-version=1"
            body = {"id": id, "status": "Running"}
            return web.json_response(body, status=202, headers={"Operation-Location": where})
        case "/sms":
            to = (await request.json())["smsRecipients"][0]["to"]
            result = {"to": to, "messageId": "sms-1", "httpStatusCode": 202, "successful": True}
            return web.json_response({"value": [result]}, status=202)
    return web.Response(status=201, headers={"Location": "/m/1"})


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server(taken) as serving:
        yield serving


@pytest.fixture
async def mail_server() -> AsyncIterator[SmtpServer]:
    async with smtp_server() as serving:
        yield serving


def over_http(name: str, server: HttpServer) -> Sender:
    resource = Resource(server.url, AzureKeyCredential("a2V5"))
    channels: dict[str, tuple[Channel, Message]] = {
        "azure-email": (AzureEmail(resource, FROM), MAIL),
        "azure-sms": (AzureSms(resource, "SHOP"), SMS),
        "web-push": (
            WebPush(read_vapid_key(RAW_KEY), f"mailto:{FROM}", 5.0, lambda endpoint: None),
            replace(PUSH, to=(Browser(f"{server.url}/push/1").address,)),
        ),
    }
    channel, message = channels[name]
    return guarded(name, channel, message, lambda: len(server.requests))


def over_smtp(server: SmtpServer, limits: OutsideLimits = LIMITS) -> Sender:
    channel = SmtpEmail(At("127.0.0.1", server.port, "none"), FROM, FakeClock(), 5.0)
    return guarded("email", channel, MAIL, lambda: server.connections, limits)


async def shown(*senders: Sender) -> list[dict[str, Any]]:
    """Of GET /api/health."""
    answer = await Api(outside=[sender.channel.guard for sender in senders]).call("get_health")
    return cast("list[dict[str, Any]]", orjson.loads(answer.get_body())["outside"])


OVER_HTTP = ("azure-email", "azure-sms", "web-push")


async def is_given_a_rest(sender: Sender, *, retry_after_s: float, behave: Callable[[], None]) -> None:
    """Its failures are not repeated at once. After some in a row nothing is sent until the circuit's time is
    over, as /api/health shows; then one message tries.
    """
    for sent in range(1, LIMITS.circuit_failures + 1):
        assert (await sender.fails()).retry_after_s == retry_after_s
        assert sender.asked() == sent
    refused = await sender.fails()
    assert "circuit is open" in str(refused)
    assert LIMITS.circuit_s / 2 < refused.retry_after_s <= LIMITS.circuit_s
    assert sender.asked() == LIMITS.circuit_failures
    [seen] = await shown(sender)
    assert (seen["circuit"], seen["refused"]["circuit_open"]) == ("open", 1)
    behave()
    sender.clock.ahead += LIMITS.circuit_s
    await sender.send()
    assert sender.asked() == LIMITS.circuit_failures + 1
    assert [seen["circuit"] for seen in await shown(sender)] == ["closed"]


async def test_whoever_behaves_is_asked_once(server: HttpServer, mail_server: SmtpServer) -> None:
    for sender in (*(over_http(name, server) for name in OVER_HTTP), over_smtp(mail_server)):
        asked = sender.asked()
        await sender.send()
        assert sender.asked() == asked + 1


@pytest.mark.parametrize("behaviour", ["slow", "reset", "garbage", "429", "500"])
@pytest.mark.parametrize("name", OVER_HTTP)
async def test_a_provider_over_http_that_misbehaves_is_given_a_rest(
    name: str, behaviour: str, server: HttpServer
) -> None:
    server.then = behaviour

    def behave() -> None:
        server.then = "well"

    await is_given_a_rest(
        over_http(name, server), retry_after_s=1.0 if behaviour == "429" else 0.0, behave=behave
    )


@pytest.mark.parametrize(
    ("name", "behaviour"),
    [
        ("azure-email", "html"),
        ("azure-email", "half"),
        ("azure-sms", "html"),
        ("azure-sms", "half"),
        ("azure-sms", "empty"),
    ],
)
async def test_an_answer_that_is_none_is_no_refusal(name: str, behaviour: str, server: HttpServer) -> None:
    """As of a proxy between. The message may have been taken, and is sent again later, under its id."""
    server.then = behaviour
    sender = over_http(name, server)
    await sender.fails()
    assert sender.channel.guard.circuit.failures == 1


@pytest.mark.parametrize(
    "behaviour", ["slow to start", "slow", "reset", "reset after data", "garbage", "closing"]
)
async def test_a_mail_server_that_misbehaves_is_given_a_rest(
    behaviour: Smtp, mail_server: SmtpServer
) -> None:
    mail_server.behaviour = behaviour

    def behave() -> None:
        mail_server.behaviour = "well"

    await is_given_a_rest(over_smtp(mail_server), retry_after_s=0.0, behave=behave)


async def test_a_mail_that_was_taken_is_sent_though_the_server_takes_no_leave(
    mail_server: SmtpServer,
) -> None:
    mail_server.behaviour = "slow to leave"
    await over_smtp(mail_server, replace(LIMITS, timeout_s=4.0, attempt_s=4.0)).send()
    assert len(mail_server.mails) == 1


@pytest.mark.parametrize("behaviour", ["reset after data", "slow"])
async def test_a_mail_of_which_nobody_knows_whether_it_was_taken_is_the_same_when_it_comes_again(
    behaviour: Smtp, mail_server: SmtpServer
) -> None:
    mail_server.behaviour = behaviour
    sender = over_smtp(mail_server)
    await sender.fails()
    mail_server.behaviour = "well"
    sent = await sender.send()
    ids = [message_from_bytes(mail)["Message-ID"] for mail in mail_server.mails]
    assert ids == [sent.provider_id, sent.provider_id]


@pytest.mark.parametrize(
    ("behaviour", "error", "reason"),
    [
        ("refuse", SendRefused, r"550 5\.1\.1 no such user"),
        ("greylist", SendUnavailable, r"450 4\.2\.0 greylisted, come back later"),
    ],
)
async def test_what_a_mail_server_says_of_a_recipient_is_an_answer_and_stops_no_other_mail(
    behaviour: Smtp, error: type[Exception], reason: str, mail_server: SmtpServer
) -> None:
    mail_server.behaviour = behaviour
    sender = over_smtp(mail_server)
    for _ in range(LIMITS.circuit_failures + 1):
        with pytest.raises(error, match=reason):
            await sender.send()
    assert [(seen["circuit"], seen["failures_in_a_row"]) for seen in await shown(sender)] == [("closed", 0)]


async def test_no_more_messages_are_with_a_provider_at_once_than_may(server: HttpServer) -> None:
    server.then = "not so slow"
    sender = over_http("azure-email", server)
    await asyncio.gather(*(sender.send() for _ in range(5)), return_exceptions=True)
    assert server.most == LIMITS.concurrency
    [seen] = await shown(sender)
    assert seen["refused"]["bulkhead_full"] >= 5 - LIMITS.concurrency - LIMITS.queue


@pytest.mark.parametrize(
    ("behaviour", "attempts", "asked"),
    [
        ("garbage", MAX_ATTEMPTS, LIMITS.circuit_failures),
        ("reset after data", MAX_ATTEMPTS, LIMITS.circuit_failures),
        ("refuse", 1, 1),
    ],
)
async def test_another_channel_stands_in_for_one_whose_provider_misbehaves(
    behaviour: Smtp, attempts: int, asked: int, server: HttpServer, mail_server: SmtpServer
) -> None:
    """The circuit's time does not go on here, so what is tried after it opened is not sent."""
    mail_server.behaviour = behaviour
    by_mail, by_sms = over_smtp(mail_server), over_http("azure-sms", server)
    channels: dict[ChannelName, Channel] = {"email": by_mail.channel, "sms": by_sms.channel}
    clock = FakeClock()
    documents, bus = FakeDocuments(clock), FakeBus(clock)
    to = notifier(documents, bus, clock, channels)
    await with_profile(documents, ADA)
    await tell(to, NOTICE)
    await drain(to, bus, clock)
    assert statuses(documents) == {"email": ["failed"] * attempts, "sms": ["sent"]}
    assert (by_mail.asked(), by_sms.asked()) == (asked, 1)
    assert [seen["circuit"] for seen in await shown(by_mail, by_sms)] == [
        "closed" if behaviour == "refuse" else "open",
        "closed",
    ]
