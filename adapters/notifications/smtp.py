"""E-mail by SMTP (RFC 5321): one connection per message, to a relay that takes it from there.

That the relay has taken it is all that SMTP says. What becomes of the mail then is told by another mail, to
its sender (delivery_status.py), which names its `ENVID` or `Message-ID`.
"""

import logging
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal

import aiosmtplib

from adapters.notifications.mail_ids import mail_id
from core.clock import Clock
from core.telemetry import log
from services.notifications.channels import Channel, Message, PutOff, SendRefused, SendUnavailable, Sent

PROVIDER = "smtp"
QUIT_S = 1.0

logger = logging.getLogger("orderflow.notifications.smtp")

type Tls = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """`username` empty: no authentication."""

    host: str
    port: int
    tls: Tls
    username: str = ""
    password: str = ""


class SmtpEmail(Channel):
    """`timeout_s` is for each answer of the server; the caller bounds the whole. With `reports` the servers
    on the way are asked to report success too (RFC 3461), and to give back headers only."""

    def __init__(
        self, server: SmtpServer, sender: str, clock: Clock, timeout_s: float, *, reports: bool = False
    ) -> None:
        self._server = server
        self._sender = sender
        self._clock = clock
        self._timeout_s = timeout_s
        self._reports = reports

    async def send(self, message: Message) -> Sent:
        mail = self._mail(message)
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            username=server.username or None,
            password=server.password or None,
            timeout=self._timeout_s,
        )
        try:
            await client.connect()
            if self._reports and client.is_ehlo_or_helo_needed:
                await client.ehlo()
            dsn = self._reports and client.supports_extension("dsn")
            await client.send_message(
                mail,
                sender=self._sender,
                recipients=list(message.to),
                mail_options=["RET=HDRS", f"ENVID={mail_id(message.key)}"] if dsn else None,
                rcpt_options=["NOTIFY=SUCCESS,FAILURE"] if dsn else None,
            )
            await _take_leave(client)
        except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPDataError) as error:
            raise _answered(error) from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            # One that may be taken later keeps the message alive for all. 421 is the server's own state.
            first = min(error.recipients, key=lambda each: each.code)
            refused = _answered(first)
            raise PutOff(refused.reason) if 421 < first.code < 500 else refused from error
        except (aiosmtplib.SMTPException, OSError) as error:
            # No connection, no TLS, no login: nothing that this message could help, or that is there to stay.
            raise SendUnavailable(f"{type(error).__name__}: {error}") from error
        finally:
            client.close()  # at once: the library's own way out would wait for the server once more
        return Sent(PROVIDER, mail["Message-ID"])

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self._sender
        mail["To"] = ", ".join(message.to)
        mail["Subject"] = message.title
        mail["Date"] = format_datetime(self._clock.now())
        domain = self._sender.rpartition("@")[2]
        mail["Message-ID"] = f"<{mail_id(message.key)}@{domain}>"
        mail["Content-Language"] = message.locale
        for name, value in headers_of(message).items():
            mail[name] = value
        mail.set_content(message.text)
        if message.html:
            mail.add_alternative(message.html, subtype="html")
        return mail


async def _take_leave(client: aiosmtplib.SMTP) -> None:
    """As a client should. The mail is taken, whatever becomes of that."""
    try:
        await client.quit(timeout=QUIT_S)
    except (aiosmtplib.SMTPException, OSError) as error:
        log(logger, logging.DEBUG, "mail server did not take leave", reason=type(error).__name__)


def headers_of(message: Message) -> dict[str, str]:
    """Of any e-mail: written by a program (RFC 3834), and how to get no more of them (RFC 8058)."""
    headers = {"Auto-Submitted": "auto-generated"}
    if message.unsubscribe_url:
        headers["List-Unsubscribe"] = f"<{message.unsubscribe_url}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def _answered(error: aiosmtplib.SMTPResponseException) -> SendRefused | SendUnavailable:
    """4xx may be taken later, 5xx never (RFC 5321, 4.2.1)."""
    reason = f"{error.code} {error.message}"
    return SendUnavailable(reason) if error.code < 500 else SendRefused(reason)
