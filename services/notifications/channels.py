"""The port of what sends: one channel each for e-mail, SMS and push."""

from dataclasses import dataclass
from typing import Literal, Protocol

from core.resilience import TransientError

type ChannelName = Literal["email", "sms", "push"]

CHANNELS: tuple[ChannelName, ...] = ("email", "sms", "push")
"""In the order in which one stands in for another."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent.

    key: the notification's id, the same at each attempt. Where a provider takes an idempotency key, or a
    message its own id, it is made of this, so that a repeat can be known as one.
    to: an e-mail address, a telephone number (E.164), or push subscriptions as JSON; one or several.
    title: the subject of an e-mail, the title of a push message; empty for an SMS.
    html: beside `text`, in an e-mail only.
    unsubscribe_url: empty where the customer cannot switch this kind off.
    """

    key: str
    to: tuple[str, ...]
    title: str
    text: str
    html: str = ""
    locale: str = "en"
    unsubscribe_url: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider has taken the message. `gone` are addresses that it says will never be right again."""

    provider: str
    provider_id: str
    gone: tuple[str, ...] = ()


class SendRefused(Exception):
    """The provider will not send this message, now or later. The reason is kept; it must name no address."""

    def __init__(self, reason: str, gone: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.gone = gone


class SendUnavailable(TransientError):
    """The provider may take the message later, not before `retry_after_s`. It may have taken it already, if
    the connection broke before its answer."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class PutOff(SendUnavailable):
    """The provider is well and does not take this message now, for its recipient's sake."""


class Channel(Protocol):
    async def send(self, message: Message) -> Sent:
        """Raises SendRefused, SendUnavailable."""
        ...
