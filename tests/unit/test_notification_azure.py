"""Azure Communication Services, through its SDKs, against a server that speaks the documented API."""

import uuid
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from azure.core.credentials import AzureKeyCredential

from adapters.notifications.azure_communication import AzureEmail, AzureSms, Resource
from services.notifications.channels import Message, SendRefused, SendUnavailable

MAIL = Message(
    "ord-1:orders:5:email",
    ("ada@example.com",),
    "Hi",
    "text",
    "<p>html</p>",
    "en",
    "https://shop.example/u/token",
)
SMS = Message("ord-1:orders:5:sms", ("+447700900123",), "", "text")


class Service:
    """`status` and `result` are what it answers; `requests` what it was asked."""

    def __init__(self):
        self.requests = []
        self.status = 202
        self.headers = {}
        self.result = {}

    async def emails(self, request):
        self.requests.append((request.headers, request.query, await request.json()))
        if self.status != 202:
            error = {"error": {"code": "X", "message": "not for ada@example.com"}}
            return web.json_response(error, status=self.status, headers=self.headers)
        id = request.headers["Operation-Id"]
        where = f"{request.url.origin()}/emails/operations/{id}?api-version=2025-09-01"
        body = {"id": id, "status": "Running", "error": None} | self.result
        return web.json_response(body, status=202, headers={"Operation-Location": where})

    async def sms(self, request):
        body = await request.json()
        self.requests.append((request.headers, request.query, body))
        if self.status != 202:
            return web.json_response({}, status=self.status, headers=self.headers)
        to = body["smsRecipients"][0]["to"]
        result = {"to": to, "messageId": "sms-1", "httpStatusCode": 202, "successful": True} | self.result
        return web.json_response({"value": [result]}, status=202)


@asynccontextmanager
async def serving(service):
    app = web.Application()
    app.router.add_post("/emails:send", service.emails)
    app.router.add_post("/sms", service.sms)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield Resource(f"http://{host}:{port}", AzureKeyCredential("a2V5"))
    finally:
        await runner.cleanup()


@pytest.fixture
def service():
    return Service()


async def test_a_mail_is_sent_under_an_id_that_a_repeat_has_too(service):
    async with serving(service) as connection:
        channel = AzureEmail(connection, "shop@shop.example")
        first, second = await channel.send(MAIL), await channel.send(MAIL)

    assert first == second
    assert str(uuid.UUID(first.provider_id)) == first.provider_id
    (headers, query, body), _ = service.requests
    assert headers["Operation-Id"] == first.provider_id
    assert headers["Authorization"].startswith("HMAC-SHA256 ")
    assert query["api-version"]
    assert body == {
        "senderAddress": "shop@shop.example",
        "recipients": {"to": [{"address": "ada@example.com"}]},
        "content": {"subject": "Hi", "plainText": "text", "html": "<p>html</p>"},
        "headers": {
            "Auto-Submitted": "auto-generated",
            "List-Unsubscribe": "<https://shop.example/u/token>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
        "userEngagementTrackingDisabled": True,
    }


async def test_an_sms_is_sent_with_a_delivery_report_asked_for(service):
    async with serving(service) as connection:
        sent = await AzureSms(connection, "SHOP").send(SMS)

    assert (sent.provider, sent.provider_id) == ("azure-communication", "sms-1")
    [(_, _, body)] = service.requests
    assert (body["from"], body["message"]) == ("SHOP", "text")
    assert body["smsRecipients"][0]["to"] == "+447700900123"
    assert body["smsSendOptions"]["enableDeliveryReport"] is True


@pytest.mark.parametrize("channel", [AzureEmail, AzureSms])
@pytest.mark.parametrize(
    ("status", "error", "retry_after_s"),
    [
        (400, SendRefused, None),
        (404, SendRefused, None),
        (401, SendUnavailable, 0.0),
        (429, SendUnavailable, 17.0),
        (500, SendUnavailable, 17.0),
        (503, SendUnavailable, 17.0),
    ],
)
async def test_what_is_over_at_some_time_is_tried_later(service, channel, status, error, retry_after_s):
    service.status = status
    service.headers = {"Retry-After": "17"} if retry_after_s else {}
    async with serving(service) as connection:
        with pytest.raises(error) as raised:
            await channel(connection, "shop@shop.example").send(SMS)
    assert raised.value.reason.startswith(str(status))
    assert getattr(raised.value, "retry_after_s", None) == retry_after_s
    assert len(service.requests) == 1, "the SDK repeats by itself"


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, SendRefused), (404, SendRefused), (429, SendUnavailable), (500, SendUnavailable)],
)
async def test_an_sms_that_is_refused_within_an_answer_is_refused(service, status, error):
    service.result = {"successful": False, "httpStatusCode": status, "errorMessage": "no"}
    async with serving(service) as connection:
        with pytest.raises(error, match=f"{status} no"):
            await AzureSms(connection, "SHOP").send(SMS)


async def test_a_mail_that_failed_at_once_is_refused(service):
    service.result = {"status": "Failed", "error": {"code": "X", "message": "suppressed"}}
    async with serving(service) as connection:
        with pytest.raises(SendRefused, match="suppressed"):
            await AzureEmail(connection, "shop@shop.example").send(MAIL)


@pytest.mark.parametrize("channel", [AzureEmail, AzureSms])
async def test_without_a_connection_it_is_tried_later(service, channel):
    async with serving(service) as connection:
        pass
    with pytest.raises(SendUnavailable):
        await channel(connection, "SHOP").send(SMS)
