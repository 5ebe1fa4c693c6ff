"""Requests over a pair of links (`$cbs` and `$management`): one brings requests, one takes the answers back.

The service has one node for both directions; an answer goes to the link that its request named in `reply-to`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from emulator.wire.amqp.decoding import decode
from emulator.wire.amqp.encoding import encode, encode_described, encode_list
from emulator.wire.amqp.errors import DECODE_ERROR, MESSAGE_SIZE_EXCEEDED, RESOURCE_LIMIT
from emulator.wire.amqp.incoming import Assembly, Delivery
from emulator.wire.amqp.outgoing import Credit
from emulator.wire.amqp.performatives import Flow, Transfer
from emulator.wire.amqp.replies import STATE_ACCEPTED, Error, write_disposition, write_rejected
from emulator.wire.amqp.sections import APPLICATION_PROPERTIES, PROPERTIES, VALUE, split_sections
from emulator.wire.amqp.session import Session, Unsettled
from emulator.wire.amqp.values import DecodeError, Ulong, Value

_CREDIT: Final = 100
_MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
_ANSWER_ONLY: Final = Unsettled("", "")


@dataclass(frozen=True, slots=True)
class Request:
    message_id: Value
    reply_to: Value
    properties: dict[str, Value]
    body: Value


@dataclass(frozen=True, slots=True)
class Answer:
    properties: dict[str, Value]
    body: Value


type Handler = Callable[[Request], Awaitable[Answer]]


def parse_request(payload: bytes) -> Request:
    """Raises DecodeError."""
    fields: list[Value] = []
    properties: dict[str, Value] = {}
    body: Value = None
    for code, _, at, _ in split_sections(payload):
        value, _ = decode(payload, at)
        if code == PROPERTIES and isinstance(value, list):
            fields = value
        elif code == APPLICATION_PROPERTIES and isinstance(value, dict):
            properties = {key: each for key, each in value.items() if isinstance(key, str)}
        elif code == VALUE:
            body = value
    message_id, _, _, _, reply_to = (*fields, *[None] * 5)[:5]
    if isinstance(message_id, int):
        message_id = Ulong(message_id)
    return Request(message_id, reply_to, properties, body)


def write_answer(request: Request, answer: Answer) -> bytes:
    """The correlation id has the type of the request's message id: the Python SDK compares both."""
    fields = encode_list([b"\x40"] * 5 + [encode(request.message_id)])
    return (
        encode_described(PROPERTIES, fields)
        + encode_described(APPLICATION_PROPERTIES, encode(dict(answer.properties.items())))
        + encode_described(VALUE, encode(answer.body))
    )


class Answers:
    """The links of one connection that take answers back, by node."""

    def __init__(self) -> None:
        self._links: dict[str, list[AnswerLink]] = {}

    def add(self, node: str, link: AnswerLink) -> None:
        self._links.setdefault(node, []).append(link)

    def remove(self, node: str, link: AnswerLink) -> None:
        links = self._links.get(node, [])
        if link in links:
            links.remove(link)
        if not links:
            self._links.pop(node, None)

    def find(self, node: str, session: Session, reply_to: Value) -> AnswerLink | None:
        links = self._links.get(node, [])
        for link in links:
            if link.reply_to == reply_to:
                return link
        for link in links:
            if link.session is session:
                return link
        return links[0] if links else None


class RequestLink:
    """On which a peer sends requests to a node."""

    def __init__(self, session: Session, handle: int, node: str, answers: Answers, handler: Handler) -> None:
        self._session = session
        self._handle = handle
        self.node = node
        self._answers = answers
        self._handler = handler
        self._assembly = Assembly(session.owner)
        self._delivery_count = 0
        self._attached = True

    def begin(self) -> None:
        self._grant()

    def on_flow(self, flow: Flow) -> None:
        if flow.echo:
            self._grant()

    def on_room(self) -> None:
        pass

    def on_detached(self) -> None:
        self._attached = False

    def on_transfer(self, transfer: Transfer) -> None:
        delivery = self._assembly.add(transfer)
        if delivery is not None:
            self._delivery_count = (self._delivery_count + 1) % 2**32
            self._session.owner.pipe.hold(len(delivery.payload))
            self._session.owner.start(self._answer(delivery))

    async def _answer(self, delivery: Delivery) -> None:
        request = None
        try:
            if delivery.too_large:
                state = write_rejected(Error(MESSAGE_SIZE_EXCEEDED, "the request is too large"))
            else:
                request = parse_request(delivery.payload)
                state = STATE_ACCEPTED
        except DecodeError as error:
            state = write_rejected(Error(DECODE_ERROR, str(error)))
        if not delivery.settled and self._attached:
            self._session.write(write_disposition(delivery.id, state, as_receiver=True))
        if request is not None:
            answer = await self._handler(request)
            link = self._answers.find(self.node, self._session, request.reply_to)
            if link is not None:
                link.send(write_answer(request, answer))
        self._session.owner.pipe.let_go(len(delivery.payload))
        if self._attached:
            self._grant()

    def _grant(self) -> None:
        self._session.write_flow(self._handle, self._delivery_count, _CREDIT)


class AnswerLink:
    """On which a peer receives the answers of a node. They wait until it gives credit."""

    def __init__(
        self, session: Session, handle: int, node: str, answers: Answers, reply_to: str, *, settled: bool
    ) -> None:
        self.session = session
        self.reply_to = reply_to
        self._handle = handle
        self.node = node
        self._answers = answers
        self._settled = settled
        self._credit = Credit()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0

    def begin(self) -> None:
        self._answers.add(self.node, self)

    def on_flow(self, flow: Flow) -> None:
        self._credit.update(flow)
        self.on_room()
        if self._credit.drain:
            self._credit.give_up()
            self.session.write_flow(self._handle, self._credit.delivery_count, 0, drain=True)
        elif flow.echo:
            self.session.write_flow(self._handle, self._credit.delivery_count, self._credit.left)

    def on_room(self) -> None:
        while self._waiting and self._credit.left and self.session.open:
            self._credit.use()
            payload = self._waiting.popleft()
            self._waiting_bytes -= len(payload)
            unsettled = None if self._settled else _ANSWER_ONLY
            self.session.deliver(self._handle, os.urandom(16), payload, unsettled)

    def on_transfer(self, transfer: Transfer) -> None:
        raise DecodeError("a transfer on a link whose receiver the peer is")

    def on_detached(self) -> None:
        self._waiting.clear()
        self._answers.remove(self.node, self)

    def send(self, payload: bytes) -> None:
        if self._waiting and self._waiting_bytes + len(payload) > _MAX_WAITING_BYTES:
            self.session.detach(self._handle, Error(RESOURCE_LIMIT, "too many answers wait for credit"))
            return
        self._waiting.append(payload)
        self._waiting_bytes += len(payload)
        self.on_room()
