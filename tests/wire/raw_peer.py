"""An AMQP peer that says what a test wants, in whatever order: the SDKs would not."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

from emulator.wire.amqp.decoding import decode
from emulator.wire.amqp.encoding import encode, encode_described
from emulator.wire.amqp.frames import AMQP_HEADER, SASL_FRAME, SASL_HEADER, frame
from emulator.wire.amqp.performatives import (
    ACCEPTED,
    ATTACH,
    BEGIN,
    CLOSE,
    DETACH,
    DISPOSITION,
    END,
    FLOW,
    OPEN,
    SASL_INIT,
    SASL_MECHANISMS,
    SASL_OUTCOME,
    TRANSFER,
)
from emulator.wire.amqp.sections import APPLICATION_PROPERTIES, DATA, PROPERTIES, VALUE
from emulator.wire.amqp.tokens import sign
from emulator.wire.amqp.values import Described, Symbol, Timestamp, Ubyte, Uint, Ulong, Ushort

PATIENCE_S = 10.0
SENDER, RECEIVER = False, True
SESSION = {"next_incoming": 0, "window": 2**31 - 1, "next_outgoing": 0, "outgoing_window": 2**31 - 1}


class Closed(Exception):
    """The server has closed the socket."""


class Frame:
    """`code` is None for an empty frame."""

    def __init__(self, channel: int, body: bytes) -> None:
        self.channel = channel
        self.code: int | None = None
        self.fields: list[Any] = []
        self.payload = b""
        if body:
            performative, end = decode(body)
            assert isinstance(performative, Described)
            self.code, self.fields = performative.descriptor, performative.value
            self.payload = body[end:]

    def field(self, place: int) -> Any:
        return self.fields[place] if place < len(self.fields) else None

    @property
    def condition(self) -> str | None:
        """Of the error of a detach, end or close, or of a disposition's rejected."""
        place = {DETACH: 2, END: 0, CLOSE: 0, DISPOSITION: 4}[self.code]
        error = self.field(place)
        if self.code == DISPOSITION:
            error = error.value[0] if error.value else None
        return None if error is None else str(error.value[0])

    def __repr__(self) -> str:
        return f"<{self.channel}: {self.code} {self.fields} {len(self.payload)} bytes>"


class RawPeer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._deliveries = 0

    # Bytes and frames.

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def say(self, code: int, *fields: Any, channel: int = 0, payload: bytes = b"") -> None:
        await self.write(performative(code, *fields, channel=channel, payload=payload))

    async def read_exactly(self, size: int) -> bytes:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Closed from error

    async def hear(self) -> Frame:
        head = await self.read_exactly(8)
        size, channel = int.from_bytes(head[:4]), int.from_bytes(head[6:])
        return Frame(channel, await self.read_exactly(size - 8))

    async def hear_until(self, *codes: int) -> Frame:
        """The next frame of one of these kinds; the others are passed over."""
        while True:
            heard = await self.hear()
            if heard.code in codes:
                return heard

    async def until_closed(self) -> list[Frame]:
        """All frames until the server closes the socket."""
        heard = []
        try:
            while True:
                heard.append(await self.hear())
        except Closed:
            return heard

    async def until_closed_or_gone(self) -> None:
        """As `until_closed`, whatever the bytes are."""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass

    # Handshakes.

    async def sasl(self) -> None:
        await self.write(SASL_HEADER)
        assert await self.read_exactly(8) == SASL_HEADER
        assert (await self.hear()).code == SASL_MECHANISMS
        await self.write(performative(SASL_INIT, Symbol("ANONYMOUS"), kind=SASL_FRAME))
        outcome = await self.hear()
        assert (outcome.code, outcome.field(0)) == (SASL_OUTCOME, 0)

    async def open(self, max_frame_size: int = 65536, idle_timeout_ms: int | None = None) -> Frame:
        await self.sasl()
        await self.write(AMQP_HEADER)
        assert await self.read_exactly(8) == AMQP_HEADER
        idle = None if idle_timeout_ms is None else Uint(idle_timeout_ms)
        await self.say(OPEN, "raw", None, Uint(max_frame_size), Ushort(100), idle)
        opened = await self.hear()
        assert opened.code == OPEN
        return opened

    async def begin(self, channel: int = 0, window: int = 2**31 - 1) -> None:
        await self.say(BEGIN, None, Uint(0), Uint(window), Uint(2**31 - 1), channel=channel)
        assert (await self.hear_until(BEGIN)).field(0) == channel

    async def attach(
        self,
        handle: int,
        role: bool,
        address: str,
        *,
        channel: int = 0,
        snd: int = 0,
        rcv: int = 0,
        filters: dict[Any, Any] | None = None,
        name: str | None = None,
    ) -> None:
        """Says so, and does not wait for the answer."""
        other = "mine"
        source = [address if role == RECEIVER else other, *[None] * 6, filters]
        target = [other if role == RECEIVER else address]
        await self.say(
            ATTACH,
            name or str(uuid4()),
            Uint(handle),
            role,
            Ubyte(snd),
            Ubyte(rcv),
            Described(Ulong(0x28), source),
            Described(Ulong(0x29), target),
            None,
            None,
            None if role == RECEIVER else Uint(0),
            channel=channel,
        )

    async def attached(self, handle: int, role: bool, address: str, **options: Any) -> Frame:
        await self.attach(handle, role, address, **options)
        answer = await self.hear_until(ATTACH)
        assert answer.field(5) is not None
        assert answer.field(6) is not None
        return answer

    async def refused(self, handle: int, role: bool, address: str, **options: Any) -> str | None:
        """The condition with which the link is."""
        await self.attach(handle, role, address, **options)
        answer = await self.hear_until(ATTACH)
        assert answer.field(5 if role == RECEIVER else 6) is None
        detached = await self.hear_until(DETACH)
        assert (detached.field(0), detached.field(1)) == (handle, True)
        return detached.condition

    async def put_token(
        self, audience: str, key: str, *, channel: int = 0, expires_in: float = 3600, name: str | None = None
    ) -> int:
        """On handles 200 and 201, which are attached by the first call. Returns the status."""
        if not hasattr(self, "_cbs"):
            self._cbs = True
            await self.attached(200, SENDER, "$cbs", channel=channel)
            await self.attached(201, RECEIVER, "$cbs", channel=channel)
            await self.credit(201, 100, channel=channel)
        token = sign(audience, int(time.time() + expires_in), key)
        properties = {"operation": "put-token", "type": "servicebus.windows.net:sastoken"}
        answer = await self.ask(200, token, {**properties, "name": name or audience}, channel=channel)
        return int(answer["status-code"])

    async def ask(self, handle: int, body: Any, properties: dict[str, Any], *, channel: int = 0) -> Any:
        """Sends a request and returns the properties of the answer."""
        request = (
            section(PROPERTIES, [uuid4()])
            + section(APPLICATION_PROPERTIES, properties)
            + section(VALUE, body)
        )
        await self.transfer(handle, request, channel=channel)
        answer = await self.hear_until(TRANSFER)
        found = sections_of(answer.payload)
        return found[APPLICATION_PROPERTIES]

    # Links.

    async def credit(
        self,
        handle: int,
        credit: int,
        *,
        channel: int = 0,
        count: int = 0,
        drain: bool = False,
        echo: bool = False,
        window: int = 2**31 - 1,
        seen: int = 0,
    ) -> None:
        """`count` is the delivery count, `seen` the next incoming id."""
        await self.say(
            FLOW,
            *(Uint(seen), Uint(window), Uint(0), Uint(2**31 - 1)),
            *(Uint(handle), Uint(count), Uint(credit), None, drain, echo),
            channel=channel,
        )

    async def transfer(self, handle: int, payload: bytes, *, channel: int = 0, **options: Any) -> int:
        """Returns the delivery id."""
        delivery = self._deliveries
        await self.write(self.transfer_frame(handle, payload, channel=channel, **options))
        return delivery

    def transfer_frame(
        self,
        handle: int,
        payload: bytes,
        *,
        channel: int = 0,
        settled: bool = False,
        more: bool = False,
        format: int = 0,
    ) -> bytes:
        delivery = self._deliveries
        self._deliveries += 1
        return performative(
            TRANSFER,
            *(Uint(handle), Uint(delivery), delivery.to_bytes(4), Uint(format), settled, more),
            channel=channel,
            payload=payload,
        )

    async def settle(
        self, first: int, last: int | None = None, state: int = ACCEPTED, fields: Any = (), **options: Any
    ) -> None:
        await self.write(settlement(first, last, state, fields, **options))


def settlement(
    first: int,
    last: int | None = None,
    state: int = ACCEPTED,
    fields: Any = (),
    *,
    settled: bool = False,
    channel: int = 0,
) -> bytes:
    outcome = Described(Ulong(state), list(fields))
    last = first if last is None else last
    return performative(DISPOSITION, RECEIVER, Uint(first), Uint(last), settled, outcome, channel=channel)


def performative(code: int, *fields: Any, channel: int = 0, payload: bytes = b"", kind: int = 0) -> bytes:
    return frame(channel, encode(Described(Ulong(code), list(fields))) + payload, kind)


def section(code: int, value: Any) -> bytes:
    return encode_described(code, encode(value))


def message(body: bytes = b"body", message_id: str | None = "1", **annotations: Any) -> bytes:
    """A message with a data section."""
    head = b""
    if annotations:
        named = {Symbol("x-opt-" + key.replace("_", "-")): value for key, value in annotations.items()}
        head = section(0x72, named)
    return head + section(PROPERTIES, [message_id]) + section(DATA, body)


def timestamp(epoch_s: float) -> Timestamp:
    return Timestamp(round(epoch_s * 1000))


def sections_of(payload: bytes) -> dict[int, Any]:
    """By descriptor; of several of one kind the last."""
    found, at = {}, 0
    while at < len(payload):
        value, at = decode(payload, at)
        assert isinstance(value, Described)
        found[value.descriptor] = value.value
    return found


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[RawPeer]:
    """A peer that has said nothing yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield RawPeer(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def ready(port: int, key: str, *audiences: str, **options: Any) -> AsyncIterator[RawPeer]:
    """A peer with a session on channel 0 and the rights to `audiences`, by default to everything."""
    async with connected(port) as peer:
        await peer.open(**options)
        await peer.begin()
        for audience in audiences or ("sb://127.0.0.1/",):
            assert await peer.put_token(audience, key) == 202
        yield peer


async def receive(peer: RawPeer, count: int) -> list[Frame]:
    return [await peer.hear_until(TRANSFER) for _ in range(count)]


async def silent(peer: RawPeer) -> bool:
    """Nothing comes for a moment."""
    try:
        async with asyncio.timeout(0.1):
            heard = await peer.hear()
    except TimeoutError:
        return True
    raise AssertionError(heard)
