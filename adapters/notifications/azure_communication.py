"""E-mail and SMS by Azure Communication Services, through its SDKs.

A client lives for one message: connections that nobody needs for hours are not worth keeping. The SDKs'
own retries are off: attempts are counted and spaced in `services.notifications.sending`.
"""

import base64
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from azure.communication.email.aio import EmailClient
from azure.communication.sms.aio import SmsClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import AzureError, HttpResponseError

from adapters.notifications.smtp import headers_of
from services.notifications.channels import Channel, Message, SendRefused, SendUnavailable, Sent

PROVIDER = "azure-communication"
NO_ANSWER = "the answer is none of the service's"
_NAMESPACE = uuid.UUID("6f0c1d6e-5a55-4d0e-9d5f-1f6f3f0b8a11")
"""Of the ids of operations; any that is only ours."""


@dataclass(frozen=True, slots=True)
class Resource:
    """Of Azure Communication Services: its URL and an access key."""

    endpoint: str
    key: AzureKeyCredential


def read_connection(text: str) -> Resource:
    """`endpoint=https://...;accesskey=...`. Raises ValueError."""
    parts = dict(part.partition("=")[::2] for part in text.split(";") if part)
    endpoint, key = parts.get("endpoint", "").rstrip("/"), parts.get("accesskey", "")
    try:
        base64.b64decode(key, validate=True)
    except ValueError:
        key = ""
    if not endpoint.startswith("https://") or not key:
        raise ValueError("must be endpoint=https://...;accesskey=...")
    return Resource(endpoint, AzureKeyCredential(key))


class AzureEmail(Channel):
    def __init__(self, resource: Resource, sender: str) -> None:
        self._resource = resource
        self._sender = sender

    async def send(self, message: Message) -> Sent:
        """The operation's id is made of the message's key. In delivery reports it is the `messageId`."""
        operation = str(uuid.uuid5(_NAMESPACE, message.key))
        content = {"subject": message.title, "plainText": message.text}
        if message.html:
            content["html"] = message.html
        mail = {
            "senderAddress": self._sender,
            "recipients": {"to": [{"address": address} for address in message.to]},
            "content": content,
            "headers": headers_of(message),
            "userEngagementTrackingDisabled": True,
        }
        try:
            async with EmailClient(self._resource.endpoint, self._resource.key, retry_total=0) as client:
                poller = await client.begin_send(mail, operation_id=operation, polling=False)
                answer = await poller.result()
        except HttpResponseError as error:
            raise _refused(error.status_code, _headers(error), str(error.message)) from error
        except AzureError as error:
            raise SendUnavailable(f"{type(error).__name__}: {error}") from error
        except ValueError as error:  # as the SDK has it from `json`
            raise SendUnavailable(NO_ANSWER) from error
        if answer.get("status") in {"Failed", "Canceled"}:
            raise SendRefused(str((answer.get("error") or {}).get("message", answer["status"])))
        return Sent(PROVIDER, str(answer.get("id", operation)))


class AzureSms(Channel):
    """A repeat cannot be known as one: the SDK draws the id of a request at random (1.1)."""

    def __init__(self, resource: Resource, sender: str) -> None:
        self._resource = resource
        self._sender = sender

    async def send(self, message: Message) -> Sent:
        try:
            async with SmsClient(self._resource.endpoint, self._resource.key, retry_total=0) as client:
                [result] = await client.send(
                    self._sender, message.to[0], message.text, enable_delivery_report=True
                )
        except HttpResponseError as error:
            raise _refused(error.status_code, _headers(error), str(error.message)) from error
        except AzureError as error:
            raise SendUnavailable(f"{type(error).__name__}: {error}") from error
        except (TypeError, ValueError) as error:  # of an answer without results, or with several
            raise SendUnavailable(NO_ANSWER) from error
        if not result.successful:
            raise _refused(result.http_status_code, {}, str(result.error_message or ""))
        return Sent(PROVIDER, str(result.message_id))


def _headers(error: HttpResponseError) -> Mapping[str, str]:
    headers: Mapping[str, str] = getattr(error.response, "headers", {})  # not in the SDK's type of a response
    return headers


def _refused(status: int | None, headers: Mapping[str, str], message: str) -> SendRefused | SendUnavailable:
    """What is over at some time, a wrong key included once an operator has seen it, or what is wrong with the
    message. What is neither answer nor error comes from something between, as a proxy."""
    reason = f"{status} {message}"
    if status is None or status < 400 or status in {401, 403, 408, 429} or status >= 500:
        after = headers.get("Retry-After", "")
        return SendUnavailable(reason, float(after) if after.isdecimal() else 0.0)
    return SendRefused(reason)
