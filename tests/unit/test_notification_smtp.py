"""E-mail, to a real SMTP server that answers as the test says."""

import asyncio
from contextlib import asynccontextmanager
from email import message_from_bytes, policy

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from adapters.notifications.smtp import SmtpEmail, SmtpServer
from services.notifications.channels import Message, SendRefused, SendUnavailable
from tests.fakes import START, FakeClock

MESSAGE = Message(
    "ord-1:orders:5:email",
    ("ada@example.com",),
    "Ihre Bestellung für Ada",
    "Grüße, ord-1\n",
    "<p>Grüße</p>",
    "de",
    "https://shop.example/api/unsubscribe/token",
)


class Handler:
    """Notes the mails; `rcpt` and `data` are its answers, `hang_up` ends the connection at DATA."""

    def __init__(self):
        self.mails = []
        self.rcpt = {}
        self.data = "250 taken"
        self.hang_up = False

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = self.rcpt.get(address, "250 ok")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):
        if self.hang_up:
            server.transport.abort()
            return "250 never read"
        if self.data.startswith("250"):
            self.mails.append(envelope)
        return self.data


@asynccontextmanager
async def serving(handler, **options):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="test", loop=loop, enable_SMTPUTF8=True, **options), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def channel(port, tls="none", timeout_s=5.0, **credentials):
    server = SmtpServer("127.0.0.1", port, tls, **credentials)
    return SmtpEmail(server, "shop@shop.example", FakeClock(), timeout_s)


@pytest.fixture
def handler():
    return Handler()


async def test_a_mail_arrives_with_both_bodies_and_the_one_click_headers(handler):
    async with serving(handler) as port:
        sent = await channel(port).send(MESSAGE)

    [envelope] = handler.mails
    assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@shop.example", ["ada@example.com"])
    mail = message_from_bytes(envelope.content, policy=policy.default)
    assert mail["Subject"] == "Ihre Bestellung für Ada"
    assert mail["Date"].datetime == START
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["List-Unsubscribe"] == "<https://shop.example/api/unsubscribe/token>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.get_body(("plain",)).get_content().strip() == "Grüße, ord-1"
    assert mail.get_body(("html",)).get_content().strip() == "<p>Grüße</p>"
    assert (sent.provider, sent.provider_id) == ("smtp", mail["Message-ID"])


async def test_a_repeat_has_the_same_message_id_and_a_transactional_mail_no_unsubscribe_header(handler):
    plain = Message("key", ("ada@example.com",), "Hi", "x")
    async with serving(handler) as port:
        ids = [(await channel(port).send(plain)).provider_id for _ in range(2)]

    assert len(set(ids)) == 1
    mail = message_from_bytes(handler.mails[0].content, policy=policy.default)
    assert mail["Message-ID"] == ids[0]
    assert mail["List-Unsubscribe"] is None
    assert not mail.is_multipart()


@pytest.mark.parametrize(
    ("rcpt", "data", "error", "reason"),
    [
        ("450 4.2.0 greylisted", "250 ok", SendUnavailable, "450 4.2.0 greylisted"),
        ("550 5.1.1 no such user", "250 ok", SendRefused, "550 5.1.1 no such user"),
        ("250 ok", "451 4.3.0 later", SendUnavailable, "451 4.3.0 later"),
        ("250 ok", "554 5.7.1 spam", SendRefused, "554 5.7.1 spam"),
    ],
)
async def test_an_answer_of_4xx_may_be_taken_later_and_5xx_never(handler, rcpt, data, error, reason):
    handler.rcpt["ada@example.com"], handler.data = rcpt, data
    async with serving(handler) as port:
        with pytest.raises(error) as raised:
            await channel(port).send(MESSAGE)
    assert raised.value.reason == reason


async def test_of_several_recipients_one_that_takes_it_is_enough(handler):
    handler.rcpt["gone@example.com"] = "550 no such user"
    both = Message("key", ("gone@example.com", "ada@example.com"), "Hi", "x")
    async with serving(handler) as port:
        await channel(port).send(both)
        handler.rcpt["ada@example.com"] = "450 later"
        with pytest.raises(SendUnavailable):
            await channel(port).send(both)
    assert [envelope.rcpt_tos for envelope in handler.mails] == [["ada@example.com"]]


async def test_a_connection_that_breaks_or_is_refused_may_be_tried_later(handler):
    handler.hang_up = True
    async with serving(handler) as port:
        with pytest.raises(SendUnavailable):
            await channel(port).send(MESSAGE)
    with pytest.raises(SendUnavailable):
        await channel(port).send(MESSAGE)


async def test_a_server_that_does_not_answer_may_be_tried_later():
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    try:
        with pytest.raises(SendUnavailable, match="Timeout"):
            await channel(server.sockets[0].getsockname()[1], timeout_s=0.05).send(MESSAGE)
    finally:
        server.close()


async def test_without_tls_where_tls_is_asked_for_nothing_is_sent(handler):
    async with serving(handler) as port:
        with pytest.raises(SendUnavailable):
            await channel(port, tls="starttls").send(MESSAGE)
    assert handler.mails == []


async def test_a_wrong_password_is_for_an_operator_to_mend_and_not_the_end_of_the_message(handler):
    def nobody(server, session, envelope, mechanism, data):
        return AuthResult(success=False, handled=False)

    credentials = {"username": "shop", "password": "secret"}
    async with serving(handler, authenticator=nobody, auth_require_tls=False) as port:
        with pytest.raises(SendUnavailable, match="535"):
            await channel(port, **credentials).send(MESSAGE)
