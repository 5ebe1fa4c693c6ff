"""Web Push, against a push service that decrypts as a browser would."""

import base64
from contextlib import asynccontextmanager

import http_ece
import orjson
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid

from adapters.notifications.web_push import WebPush, read_vapid_key
from services.notifications.addresses import push_endpoint
from services.notifications.channels import Message, SendRefused, SendUnavailable

RAW_KEY = base64.urlsafe_b64encode(bytes(range(1, 33))).decode().rstrip("=")


def b64(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Browser:
    def __init__(self, endpoint):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.auth = b"0123456789abcdef"
        public = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.address = orjson.dumps(
            {"endpoint": endpoint, "p256dh": b64(public), "auth": b64(self.auth)}
        ).decode()

    def read(self, body):
        return orjson.loads(http_ece.decrypt(body, private_key=self.key, auth_secret=self.auth))


class Service:
    """`answers` are the statuses by the path of the subscription."""

    def __init__(self):
        self.answers = {}
        self.headers = {}
        self.taken = []

    async def push(self, request):
        status = self.answers.get(request.path, 201)
        if status == 201:
            self.taken.append((request.headers, await request.read()))
            return web.Response(status=201, headers={"Location": f"{request.url.origin()}/m/1"})
        return web.Response(status=status, headers=self.headers, text="no")


@asynccontextmanager
async def serving(service):
    app = web.Application()
    app.router.add_post("/{name}", service.push)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def channel(allowed=lambda endpoint: endpoint):
    return WebPush(read_vapid_key(RAW_KEY), "mailto:ops@shop.example", 5.0, allowed)


def message(*browsers, text="text"):
    return Message("ord-1:orders:5:push", tuple(browser.address for browser in browsers), "Hi", text)


@pytest.fixture
def service():
    return Service()


async def test_a_message_arrives_encrypted_and_signed(service):
    async with serving(service) as url:
        browser = Browser(f"{url}/one")
        sent = await channel().send(message(browser))

    [(headers, body)] = service.taken
    assert b"text" not in body
    assert browser.read(body) == {"title": "Hi", "body": "text"}
    assert headers["TTL"] == "86400"
    assert len(headers["Topic"]) == 32
    assert headers["Authorization"].startswith("vapid t=")
    assert Vapid.verify(headers["Authorization"])
    assert sent.provider_id.endswith("/m/1")


async def test_every_browser_gets_it_and_those_that_are_gone_are_named(service):
    service.answers = {"/two": 410, "/three": 404}
    async with serving(service) as url:
        browsers = [Browser(f"{url}/{name}") for name in ("one", "two", "three", "four")]
        sent = await channel().send(message(*browsers))

    assert len(service.taken) == 2
    assert sent.gone == (browsers[1].address, browsers[2].address)


async def test_when_all_are_gone_it_is_refused(service):
    service.answers = {"/one": 410}
    async with serving(service) as url:
        browser = Browser(f"{url}/one")
        with pytest.raises(SendRefused) as raised:
            await channel().send(message(browser))
    assert raised.value.gone == (browser.address,)


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, SendRefused), (413, SendRefused), (429, SendUnavailable), (503, SendUnavailable)],
)
async def test_what_is_over_at_some_time_is_tried_later(service, status, error):
    service.answers, service.headers = {"/one": status}, {"Retry-After": "9"}
    async with serving(service) as url:
        with pytest.raises(error) as raised:
            await channel().send(message(Browser(f"{url}/one")))
    assert getattr(raised.value, "retry_after_s", 9.0) == 9.0
    assert getattr(raised.value, "gone", ()) == ()


async def test_without_a_connection_it_is_tried_later(service):
    async with serving(service) as url:
        pass
    with pytest.raises(SendUnavailable):
        await channel().send(message(Browser(f"{url}/one")))


async def test_an_endpoint_that_is_no_push_service_is_not_called(service):
    async with serving(service) as url:
        browser = Browser(f"{url}/one")
        with pytest.raises(SendRefused, match="not of a push service") as raised:
            await channel(push_endpoint).send(message(browser))
    assert service.taken == []
    assert raised.value.gone == (browser.address,)


async def test_keys_that_are_none_are_gone(service):
    async with serving(service) as url:
        address = orjson.dumps({"endpoint": f"{url}/one", "p256dh": "B" * 87, "auth": "A" * 22}).decode()
        with pytest.raises(SendRefused, match="not valid") as raised:
            await channel().send(Message("key", (address,), "Hi", "x"))
    assert raised.value.gone == (address,)


async def test_a_long_text_is_cut_to_what_a_push_service_must_take(service):
    async with serving(service) as url:
        browser = Browser(f"{url}/one")
        await channel().send(message(browser, text="ü" * 9000))
    [(_, body)] = service.taken
    assert len(body) <= 4096
    assert browser.read(body)["body"].startswith("üüü")
