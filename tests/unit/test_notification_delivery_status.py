"""What mail servers report of mails, in the words of RFC 3464, and what nobody reports of them."""

from email import message_from_bytes, policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.notifications.connect import channels_of
from adapters.notifications.delivery_status import MAX_PARTS, read_delivery_status
from adapters.notifications.mail_ids import mail_id
from adapters.notifications.settings import NotificationSettings
from services.notifications.channels import Message
from services.notifications.reports import Posted
from services.notifications.telling import tell
from tests.fakes import START, FakeClock, FakeDocuments
from tests.misbehaving import smtp_server
from tests.notification_support import ADA, NOTICE, drain, statuses, with_profile
from tests.unit.http_support import broken_rules, content
from tests.unit.notification_http import REPORT_KEY, SENDER, NotificationApi

MAIL = "ord-1:orders:5:email"
ID = mail_id(MAIL)
MESSAGE_ID = f"<{ID}@shop.example>"
NO_SUCH_USER = "smtp; 550 5.1.1 <ada@example.com>:\r\n Recipient address rejected: User unknown"
RETURNED = "message/rfc822"
HEADERS_ONLY = "text/rfc822-headers"


def recipient(action="failed", status="5.1.1", diagnostic=NO_SUCH_USER):
    return (
        f"Final-Recipient: rfc822; ada@example.com\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: {diagnostic}\r\n"
    )


def dsn(*recipients, envelope="", returned=RETURNED, message_id=MESSAGE_ID):
    """As Postfix sends one."""
    about = "Reporting-MTA: dns; mx.example.com\r\n"
    if envelope:
        about += f"Original-Envelope-Id: {envelope}\r\n"
    parts = [
        "Content-Type: text/plain; charset=us-ascii\r\n\r\nI'm sorry to have to inform you\r\n",
        "\r\n".join(["Content-Type: message/delivery-status\r\n", about, *(recipients or [recipient()])]),
    ]
    if returned:
        parts.append(
            f"Content-Type: {returned}\r\n\r\nMessage-ID: {message_id}\r\nSubject: Hi\r\n\r\ntext\r\n"
        )
    return (
        "From: MAILER-DAEMON@mx.example.com\r\nTo: shop@shop.example\r\nSubject: Undelivered Mail\r\n"
        "Message-ID: <20270115.4XyZ@mx.example.com>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b=_1"\r\n\r\n'
        + "".join(f"--b=_1\r\n{part}\r\n" for part in parts)
        + "--b=_1--\r\n"
    ).encode()


def read(raw):
    return read_delivery_status(SENDER, FakeClock(), raw)


def shown(posted):
    return [(report.provider_id, report.outcome, report.reason) for report in posted.reports]


@pytest.mark.parametrize(
    "raw",
    [
        dsn(),
        dsn(returned=HEADERS_ONLY),
        dsn(envelope=ID, returned=""),
        dsn(envelope=ID, message_id="<other@example.com>"),
        dsn().replace(b"\r\n", b"\n"),
        dsn(recipient("Failed")),
        dsn(recipient("delivered"), recipient()),
    ],
)
def test_a_bounce_is_found_by_its_envelope_or_what_is_returned_with_its_code_and_diagnostic(raw):
    reason = "5.1.1 550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown"
    assert shown(read(raw)) == [(MESSAGE_ID, "bounced", reason)]
    [report] = read(raw).reports
    assert report.reported_at == START
    assert report == read(raw).reports[0]


def test_a_mail_that_was_delivered_is_known_to_be():
    assert shown(read(dsn(recipient("delivered", "2.0.0", "smtp; 250 ok")))) == [
        (MESSAGE_ID, "delivered", "")
    ]


@pytest.mark.parametrize("action", ["delayed", "relayed", "expanded"])
def test_what_ends_nothing_is_no_report(action):
    assert read(dsn(recipient(action, "4.4.1", "smtp; 451 later"))) == Posted()


@pytest.mark.parametrize(
    "raw",
    [
        dsn(message_id="<20270115.1@elsewhere.example>"),
        dsn(message_id=f"<{ID}@elsewhere.example>"),
        dsn(message_id="<short@shop.example>"),
        dsn(returned=""),
        dsn(envelope="QQ314159", returned=""),
    ],
)
def test_a_report_of_a_mail_that_is_not_ours_is_none(raw):
    assert read(raw) == Posted()


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b"", "delivery status notification"),
        (b"From: ada@example.com\r\nSubject: Out of office\r\n\r\nI am away.\r\n", "delivery status"),
        (b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n", "delivery status"),
        (dsn("Final-Recipient: rfc822; ada@example.com\r\n"), "Action: must be given"),
        (b"Content-Type: message/rfc822\r\n\r\n" * 2000, "nested"),
        (b"boundary" * (MAX_PARTS + 1), f"at most {MAX_PARTS} parts"),
    ],
)
def test_what_is_no_report_is_refused_with_the_rule(raw, rule):
    with pytest.raises(ValueError, match=rule):
        read(raw)


def test_a_diagnostic_in_an_unknown_charset_is_kept_as_far_as_it_can_be_read():
    raw = dsn(recipient(diagnostic="smtp; 550 nicht gefunden: MARK")).replace(b"MARK", b"\xfc\xff")
    [(_, _, reason)] = shown(read(raw))
    assert reason.startswith("5.1.1 550 nicht gefunden: ")


PIECES = [
    *dsn().split(b"\r\n"),
    *(part + b"\r\n" for part in dsn().split(b"\r\n")),
    b"\r\n",
    b"\xff",
    b"=?x?",
]


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=40).map(b"".join))
def test_whatever_comes_is_read_or_refused(raw):
    try:
        posted = read(raw)
    except ValueError:
        return
    assert len(posted.reports) <= 1


async def sent(report_key):
    message = Message(MAIL, ("ada@example.com",), "Hi", "text")
    async with smtp_server() as server:
        settings = NotificationSettings(
            ("smtp",),
            email_sender=SENDER,
            smtp_host="127.0.0.1",
            smtp_port=server.port,
            smtp_tls="none",
            report_key=report_key,
        )
        channels = channels_of(settings, FakeDocuments(), FakeClock(), 5.0)
        await channels["email"].send(message)
    [mail] = server.mails
    assert message_from_bytes(mail, policy=policy.default)["Message-ID"] == MESSAGE_ID
    return [command for command in server.commands if command[:4] in (b"MAIL", b"RCPT")]


async def test_where_reports_are_read_servers_are_asked_for_them_under_the_mail_s_id():
    assert await sent(REPORT_KEY) == [
        f"MAIL FROM:<{SENDER}> RET=HDRS ENVID={ID}".encode(),
        b"RCPT TO:<ada@example.com> NOTIFY=SUCCESS,FAILURE",
    ]
    assert await sent("") == [f"MAIL FROM:<{SENDER}>".encode(), b"RCPT TO:<ada@example.com>"]


@pytest.fixture
async def api():
    """A mail was sent, as if by SMTP."""
    found = NotificationApi()
    await with_profile(found.documents, ADA.__replace__(push=()))
    await tell(found.to, NOTICE)
    await drain(found.to, found.bus, found.clock)
    [item] = [each for each in found.documents.items("notifications") if each["id"] == MAIL]
    item["provider_id"] = item["attempts"][-1]["provider_id"] = MESSAGE_ID
    await found.documents.upsert("notifications", "ord-1", item)
    return found


async def post(api, raw, key=REPORT_KEY):
    return await api.call("take_delivery_status", raw, query={"key": key})


async def test_a_bounce_that_a_mail_server_posts_is_recorded_once_and_another_channel_stands_in(api):
    for _ in range(2):
        answered = await post(api, dsn())
        assert (answered.status_code, content(answered)) == (200, {"taken": 1})
        await drain(api.to, api.bus, api.clock)
    assert statuses(api.documents) == {"email": ["bounced"], "sms": ["sent"]}
    listed = content(await api.call("get_notification", id=MAIL))
    reason = "5.1.1 550 5.1.1 <a***@example.com>: Recipient address rejected: User unknown"
    assert listed["attempts"][-1]["reason"] == reason


async def test_a_mail_that_arrived_and_came_back_later_has_bounced_and_not_the_other_way_round(api):
    delivered = dsn(recipient("delivered", "2.0.0", "smtp; 250 ok"))
    for raw, status in ((delivered, "delivered"), (dsn(), "bounced"), (delivered, "bounced")):
        await post(api, raw)
        await drain(api.to, api.bus, api.clock)
        assert statuses(api.documents)["email"] == [status]


async def test_a_report_of_another_s_mail_is_taken_and_leads_to_nothing(api):
    answered = await post(api, dsn(message_id="<x@elsewhere.example>"))
    assert (answered.status_code, content(answered)) == (200, {"taken": 0})
    assert api.bus.sent["notifications"] == []


async def test_a_report_without_the_key_or_too_large_or_of_nothing_is_refused(api):
    assert (await post(api, dsn(), key="x" * 32)).status_code == 403
    assert (await post(api, dsn() + b"x" * 256 * 1024)).status_code == 413
    refused = await post(api, b"Subject: Out of office\r\n\r\nI am away.\r\n")
    assert refused.status_code == 400
    assert "RFC 3464" in broken_rules(refused)["body"]
    assert api.bus.sent["notifications"] == []


async def test_a_card_number_in_a_diagnostic_goes_no_further(api):
    await post(api, dsn(recipient(diagnostic="smtp; 550 who is 4242 4242 4242 4242?")))
    [command] = api.bus.sent["notifications"]
    assert b"4242 4242" not in command.body
    await drain(api.to, api.bus, api.clock)
    [item] = [each for each in api.documents.items("notifications") if each["id"] == MAIL]
    assert item["attempts"][-1]["reason"] == "5.1.1 550 who is [card number]?"
