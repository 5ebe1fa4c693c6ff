"""Dead letters that infrastructure faults made get another chance.

A message is dead-lettered when its delivery failed too often or when it lay too long: mostly because
something was down. (What cannot be understood is parked, not dead-lettered.) Other reasons are left for an
operator.

- A queue's dead letter is sent again to the queue, later each time; after MAX_REDRIVES it stays where it is.
- A subscription's is handed to the subscription's own handler, here. Sent to the topic, it would come to
every
  subscription, which may dead-letter it too and re-drive it in turn: copies of copies. It stays in the
  dead-letter queue until the handler has succeeded, so it needs no count.

Either may happen twice when a crash comes between the work and the settlement; all consumers are idempotent.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.bus import Bus, DeadLetter, MessageLockLost, OutgoingMessage
from core.contracts import InvalidContract
from core.envelope import Envelope, from_json
from core.resilience import TRANSIENT
from core.telemetry import bind, log

RECOVERABLE = frozenset({"MaxDeliveryCountExceeded", "TTLExpiredException"})
"""The reasons that Service Bus itself gives."""

MAX_REDRIVES = 12
FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=1)
"""12 redrives at 1, 2, 4 ... 60 minutes: about seven hours."""

REDRIVE = "redrive"
"""The application property that counts."""

PAGE = 50
PAGES_PER_RUN = 20

logger = logging.getLogger("orderflow.redrive")


@dataclass(frozen=True, slots=True)
class Redriven:
    """How many dead letters of one entity went back, and how many stay."""

    redriven: int
    left: int


async def redrive_queue(bus: Bus, queue: str, now: datetime) -> Redriven:
    """Send the dead letters of a queue again. Raises what the bus raises; then the rest stays."""

    async def send_again(letter: DeadLetter) -> bool:
        count = _count(letter)
        if count >= MAX_REDRIVES:
            return False
        await bus.send(queue, [_again(letter, count + 1, now)])
        return True

    return await _each(bus, queue, send_again)


async def redrive_subscription(
    bus: Bus, subscription: str, handle: Callable[[Envelope], Awaitable[None]]
) -> Redriven:
    """Hand the dead letters of `topic/Subscriptions/name` to its handler.

    Raises the first transient error: what it comes from would fail the others too.
    """

    async def handle_again(letter: DeadLetter) -> bool:
        try:
            event = from_json(letter.body)
            with bind(
                order_id=event.subject, correlation_id=event.correlation_id, traceparent=event.traceparent
            ):
                await handle(event)
        except TRANSIENT:
            raise
        except Exception as error:
            # The message stays, and so does what is wrong with it; the others must still get their turn.
            level = logging.WARNING if isinstance(error, InvalidContract) else logging.ERROR
            logger.log(
                level,
                "dead letter still fails",
                exc_info=error,
                extra={"fields": {"message_id": letter.message_id, "entity": subscription}},
            )
            return False
        return True

    return await _each(bus, subscription, handle_again)


async def _each(bus: Bus, entity: str, redrive: Callable[[DeadLetter], Awaitable[bool]]) -> Redriven:
    """Those that stay are held until the end: given back at once they would come again before the others."""
    redriven = 0
    staying: list[DeadLetter] = []
    open_letters: list[DeadLetter] = []
    try:
        for _ in range(PAGES_PER_RUN):
            open_letters = list(await bus.receive_dead_letters(entity, PAGE))
            if not open_letters:
                break
            while open_letters:
                letter = open_letters[0]
                if letter.reason in RECOVERABLE and await redrive(letter):
                    await _settle(bus.complete_dead_letter, entity, letter)
                    redriven += 1
                else:
                    staying.append(letter)
                open_letters.pop(0)
    finally:
        for letter in [*open_letters, *staying]:
            await _settle(bus.abandon_dead_letter, entity, letter)
    if redriven or staying:
        level = logging.ERROR if staying else logging.WARNING
        log(logger, level, "dead letters", entity=entity, redriven=redriven, left=len(staying))
    return Redriven(redriven, len(staying))


async def _settle(settle: Callable[[str, str], Awaitable[None]], entity: str, letter: DeadLetter) -> None:
    try:
        await settle(entity, letter.lock)
    except MessageLockLost:
        log(logger, logging.WARNING, "dead letter comes again", entity=entity, message_id=letter.message_id)


def _count(letter: DeadLetter) -> int:
    text = letter.properties.get(REDRIVE, "0")
    return int(text) if text.isascii() and text.isdecimal() else 0


def _again(letter: DeadLetter, count: int, now: datetime) -> OutgoingMessage:
    delay = min(FIRST_DELAY * 2 ** (count - 1), LONGEST_DELAY)
    original = letter.message_id.partition(f"/{REDRIVE}-")[0]
    # Service Bus tells the reason in properties of the dead letter.
    properties = {name: text for name, text in letter.properties.items() if not name.startswith("DeadLetter")}
    return OutgoingMessage(
        body=letter.body,
        message_id=f"{original}/{REDRIVE}-{count}",
        subject=letter.subject,
        correlation_id=letter.correlation_id,
        content_type=letter.content_type,
        properties={**properties, REDRIVE: str(count)},
        scheduled_for=now + delay,
    )
