"""What a peer may attach to: queues, topics, subscriptions, their management nodes, and `$cbs`."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass
from typing import Final, Protocol

from emulator.clock import Clock
from emulator.servicebus.engine import ServiceBusEngine
from emulator.servicebus.errors import EntityNotFound
from emulator.servicebus.rows import MAX_MESSAGE_BYTES
from emulator.store import StoreStopped
from emulator.wire.amqp import management
from emulator.wire.amqp.errors import (
    INVALID_FIELD,
    NOT_ALLOWED,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    UNAUTHORIZED,
    LinkRefused,
    error_of,
)
from emulator.wire.amqp.incoming import IncomingLink
from emulator.wire.amqp.mailboxes import Mailboxes
from emulator.wire.amqp.outgoing import OutgoingLink
from emulator.wire.amqp.performatives import COORDINATOR, Attach
from emulator.wire.amqp.replies import write_attach
from emulator.wire.amqp.requests import Answer, AnswerLink, Answers, Request, RequestLink
from emulator.wire.amqp.session import Link, Session
from emulator.wire.amqp.tokens import Rights, TokenRefused, check, path_of
from emulator.wire.amqp.values import Described, Symbol, Value

CBS: Final = "$cbs"
_MANAGEMENT: Final = "/$management"
_SESSION_FILTER: Final = "com.microsoft:session-filter"
_SETTLED: Final = 1

_log = logging.getLogger("emulator.wire.amqp")


@dataclass(frozen=True, slots=True)
class Namespace:
    """What all connections share."""

    engine: ServiceBusEngine
    mailboxes: Mailboxes
    clock: Clock
    key: str


class _AnyLink(Link, Protocol):
    def begin(self) -> None: ...


class Nodes:
    """Of one connection: its rights, and the links that they allow."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._rights = Rights()
        self._answers = Answers()

    def until(self, node: str) -> float:
        """Epoch seconds until which there is a right to the node."""
        return float("inf") if node == CBS else self._rights.until(node)

    def attach(self, session: Session, attach: Attach) -> Link:
        """The link, once its attach is answered. Raises LinkRefused."""
        node = _node(attach.source if attach.peer_receives else attach.target)
        if self.until(node) <= self._namespace.clock.time():
            raise LinkRefused(
                UNAUTHORIZED, f"Unauthorized access. 'Listen' or 'Send' claim(s) are required for {node!r}."
            )
        link = self._link(session, attach, node)
        session.write(
            write_attach(
                attach,
                source=attach.source_bytes,
                target=attach.target_bytes,
                handle=attach.handle,
                max_message_size=MAX_MESSAGE_BYTES,
                properties={},
            )
        )
        link.begin()
        return link

    def _link(self, session: Session, attach: Attach, node: str) -> _AnyLink:
        if node == CBS or node.lower().endswith(_MANAGEMENT):
            return self._request_link(session, attach, node)
        _refuse_sessions(attach)
        entities = self._namespace.engine.entities
        try:
            if not attach.peer_receives:
                path = entities.target(node).path
                return IncomingLink(session, attach.handle, path, self._namespace.engine)
            path = entities.mailbox(node).path
        except EntityNotFound as error:
            text = f"The messaging entity '{node}' could not be found. {error}"
            raise LinkRefused(NOT_FOUND, text) from None
        mailbox = self._namespace.mailboxes.find(path, deletes=attach.settled_by_sender == _SETTLED)
        return OutgoingLink(session, attach.handle, path, mailbox)

    def _request_link(self, session: Session, attach: Attach, node: str) -> _AnyLink:
        handler = self._put_token
        if node != CBS:
            entity = node[: -len(_MANAGEMENT)]
            self._refuse_unknown(entity)

            async def handler(request: Request) -> Answer:
                return await self._manage(entity, request)

        node = node.lower()
        if not attach.peer_receives:
            return RequestLink(session, attach.handle, node, self._answers, handler)
        reply_to = _address(attach.target) or attach.name
        settled = attach.settled_by_sender != 0
        return AnswerLink(session, attach.handle, node, self._answers, reply_to, settled=settled)

    def _refuse_unknown(self, entity: str) -> None:
        entities = self._namespace.engine.entities
        for find in (entities.target, entities.mailbox):
            try:
                find(entity)
            except EntityNotFound as error:
                unknown = error
            else:
                return
        raise LinkRefused(NOT_FOUND, f"The messaging entity '{entity}' could not be found. {unknown}")

    async def _put_token(self, request: Request) -> Answer:
        status, description = self._accept_token(request)
        return Answer({"status-code": status, "status-description": description}, None)

    def _accept_token(self, request: Request) -> tuple[int, str]:
        """`type` is not looked at: the Python SDK says jwt of a shared access signature."""
        operation, name = request.properties.get("operation"), request.properties.get("name")
        if operation != "put-token":
            return 400, f"the operation {operation!r} is not served, only put-token"
        if not isinstance(request.body, str) or not isinstance(name, str):
            return 400, "put-token needs a token as its body and the property name"
        try:
            path, until = check(request.body, self._namespace.key, self._namespace.clock.time())
        except TokenRefused as refusal:
            return 401, str(refusal)
        wanted = path_of(name).lower()
        if path and wanted != path and not wanted.startswith(f"{path}/"):
            return 401, f"InvalidAudience: the token is for {path!r}, not for {wanted!r}"
        self._rights.grant(path, until)
        return 202, "Accepted"

    async def _manage(self, entity: str, request: Request) -> Answer:
        operation = request.properties.get("operation")
        if not isinstance(operation, str):
            return _answer(400, "the property operation must be a string", INVALID_FIELD, None)
        try:
            given = await management.handle(
                self._namespace.engine, entity, operation, request.body, request.properties
            )
        except StoreStopped:
            return _answer(503, "the emulator stops", "com.microsoft:server-busy", None)
        except sqlite3.Error as error:
            _log.warning("%s: %s failed: %s", entity, operation, error)
            told = error_of(error)
            return _answer(500, told.description, told.condition, None)
        return _answer(given.status, given.description, given.condition, given.body)


def _answer(status: int, description: str, condition: str | None, body: Value) -> Answer:
    properties: dict[str, Value] = {"statusCode": status, "statusDescription": description}
    if condition is not None:
        properties["errorCondition"] = Symbol(condition)
    return Answer(properties, body)


def _node(terminus: Value) -> str:
    """The node a source or target names. Raises LinkRefused for what is no node here."""
    if isinstance(terminus, Described) and terminus.descriptor == COORDINATOR:
        raise LinkRefused(NOT_IMPLEMENTED, "transactions are not served")
    if isinstance(terminus, Described) and isinstance(terminus.value, list):
        fields = terminus.value
        if len(fields) > 4 and fields[4] is True:
            raise LinkRefused(NOT_IMPLEMENTED, "dynamic nodes are not served")
    node = path_of(_address(terminus) or "")
    if not node:
        raise LinkRefused(INVALID_FIELD, "the link names no entity")
    if "/$transfer" in node.lower():
        raise LinkRefused(NOT_IMPLEMENTED, "transfer queues are not served: there is no forwarding")
    return node


def _address(terminus: Value) -> str | None:
    fields = terminus.value if isinstance(terminus, Described) else None
    address = fields[0] if isinstance(fields, list) and fields else None
    return address if isinstance(address, str) else None


def _refuse_sessions(attach: Attach) -> None:
    fields = attach.source.value if isinstance(attach.source, Described) else None
    filters = fields[7] if isinstance(fields, list) and len(fields) > 7 else None
    if not isinstance(filters, dict):
        return
    if _SESSION_FILTER in filters:
        raise LinkRefused(
            NOT_ALLOWED,
            "It is not possible for an entity that does not require sessions to create a session receiver.",
        )
    for name in filters:
        raise LinkRefused(NOT_IMPLEMENTED, f"the filter {name!r} is not served")
