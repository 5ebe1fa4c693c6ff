"""Documents of a change feed that can never be handled."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import orjson

from core.bus import MAX_MESSAGE_BYTES, Bus, OutgoingMessage
from core.card_numbers import redacted
from core.decider import BrokenStream
from core.documents import BadDocumentRequest, DocumentTooLarge
from core.json import Json
from core.resilience import retry_transient
from core.telemetry import log
from triggers.service_bus.receiving import PARKED, REASON_CHARACTERS

POISON = (BrokenStream, BadDocumentRequest, DocumentTooLarge)
"""Errors that a document causes, and will cause again."""

MAX_BODY_BYTES = MAX_MESSAGE_BYTES - 16 * 1024

logger = logging.getLogger("orderflow.change_feed")


@dataclass(frozen=True, slots=True)
class Poison:
    document: Mapping[str, Json]
    reason: str


async def park(bus: Bus, function: str, container: str, poison: Sequence[Poison]) -> None:
    """Send each to the queue `parked`, with reason, source and id. Raises what the bus raises.

    A document that no message can carry is named only; it is still in its container.
    """
    for one in poison:
        document_id = str(one.document.get("id"))
        log(
            logger,
            logging.ERROR,
            "document parked",
            function=function,
            container=container,
            document_id=document_id,
            reason=one.reason,
        )
        message = _message(function, container, document_id, one)
        await retry_transient(partial(bus.send, PARKED, [message]))


def _message(function: str, container: str, document_id: str, poison: Poison) -> OutgoingMessage:
    body = orjson.dumps(redacted(dict(poison.document), gtin=True))
    if len(body) > MAX_BODY_BYTES:
        body = orjson.dumps({"id": document_id, "stream": poison.document.get("stream")})
    stream = poison.document.get("stream", poison.document.get("sku", ""))
    return OutgoingMessage(
        body=body,
        message_id=f"{function}:{stream}:{document_id}",
        subject=str(poison.document.get("type", "")),
        properties={
            "reason": poison.reason[:REASON_CHARACTERS],
            "source": f"{container}, change feed of {function}",
            "original_message_id": document_id,
        },
    )
