"""Makes one attempt to send a notification, and queues what follows from it.

A `send` command is handled only when what it leads to is queued: after a crash it comes again and finds on
the notification how far it got. Attempt n is made by the command of that number: a second delivery waits for
the deadline of the first, and then counts the attempt as failed without an outcome.
"""

import asyncio
import logging
import random as randomness
from collections.abc import Callable
from datetime import datetime, timedelta

from core.contracts import InvalidContract
from core.documents import DocumentNotFound, PreconditionFailed
from core.resilience import TransientError, retry_transient
from core.telemetry import log
from services.notifications import masking, notification, profile, unsubscribing
from services.notifications.channels import Message, SendRefused, SendUnavailable
from services.notifications.kinds import KINDS
from services.notifications.messages import Send
from services.notifications.notification import NO_OUTCOME, SWITCHED_OFF, Notification
from services.notifications.profile import Profile, due, wanted, without_push
from services.notifications.rendering import CannotRender, render
from services.notifications.telling import QUEUE, Notifier, let_stand_in, recipient, send_again
from services.notifications.templates import choose
from services.notifications.unsubscribing import Link

MAX_ATTEMPTS = 6
FIRST_RETRY_S = 30.0
RETRY_FACTOR = 4
LONGEST_RETRY_S = 7200.0
"""30 s, 2 min, 8 min, 32 min and 2 h between six attempts: an outage or a greylisting of a morning."""

SPREAD = 0.2
"""So that what failed together does not come back together."""

RECORDING_S = 20.0
"""For how long recording a known outcome is repeated; until then the attempt is its maker's."""

logger = logging.getLogger("orderflow.notifications")
_chance = randomness.Random()

type Move = Callable[[Notification], Notification | None]


class InFlight(TransientError):
    """Another delivery makes this attempt. Repeating the command later resolves it."""


class Withheld(Exception):
    """The notification is not to be sent, now that its turn has come."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def send(notifier: Notifier, command: Send, random: randomness.Random = _chance) -> None:
    """Raises InvalidContract, InFlight, and the transient errors of documents and bus; repeating is safe."""
    while True:
        try:
            it, etag = await notification.read(notifier.documents, command.subject, command.notification_id)
        except DocumentNotFound as error:
            raise InvalidContract("notification_id: there is no such notification") from error
        if it.last.number != command.attempt or it.status not in {"queued", "sending"}:
            return await follow_up(notifier, it)
        try:
            if it.status == "queued":
                it = await _attempt(notifier, it, etag, random)
            else:
                it = await _give_up(notifier, it, etag, random)
        except PreconditionFailed:
            continue
        return await follow_up(notifier, it)


async def follow_up(notifier: Notifier, it: Notification) -> None:
    """Queue what is next, whether or not it was queued before."""
    if it.status == "queued":
        await notifier.bus.send(QUEUE, [send_again(it, notifier.clock.now())])
    elif it.status in notification.FAILED and it.last.reason != SWITCHED_OFF:
        await let_stand_in(notifier, it)


async def _attempt(
    notifier: Notifier, it: Notification, etag: str, random: randomness.Random
) -> Notification:
    """Answers what the notification is then. Raises PreconditionFailed: somebody else has moved it."""
    now = notifier.clock.now()
    to = await recipient(notifier, it.kind, it.customer_id)
    due_at = it.last.due_at if to is None else max(it.last.due_at, due(to, it.kind, it.channel, now))
    if due_at > now:
        if due_at != it.last.due_at:
            it = _moved(notification.postponed(it, due_at))
            await notification.move(notifier.documents, it, etag)
        return it
    try:
        message, template = await _message(notifier, it, to, now)
    except Withheld as withheld:
        it = _moved(notification.withheld(it, withheld.reason, now))
        await notification.move(notifier.documents, it, etag)
        log(logger, logging.INFO, "notification withheld", notification_id=it.id, reason=withheld.reason)
        return it
    deadline = now + timedelta(seconds=notifier.timeout_s + RECORDING_S)
    it = _moved(notification.begun(it, now, deadline, template))
    etag = await notification.move(notifier.documents, it, etag)
    outcome, gone = await _call(notifier, it, message, random)
    after = await retry_transient(lambda: _record(notifier, it, etag, outcome), budget_s=RECORDING_S)
    if gone:
        await profile.change(
            notifier.documents, it.customer_id, lambda before: without_push(before, frozenset(gone))
        )
    return after


async def _message(
    notifier: Notifier, it: Notification, to: Profile | None, now: datetime
) -> tuple[Message, str]:
    """What is to be sent, and the name of its template. Raises Withheld."""
    addresses = () if to is None else to.addresses(it.channel)
    if to is None or not addresses:
        raise Withheld("no_address")
    if not wanted(to, it.kind, it.channel):
        raise Withheld(SWITCHED_OFF)
    if it.channel not in notifier.channels:
        raise Withheld("channel_not_configured")
    chosen = await choose(notifier.documents, it.kind, it.channel, to.locale)
    unsubscribe_url = ""
    if not KINDS[it.kind].transactional:
        link = Link(to.customer_id, it.channel, it.kind)
        token = unsubscribing.token(link, notifier.unsubscribe_key, now)
        unsubscribe_url = f"{notifier.unsubscribe_url}/{token}"
    try:
        rendered = render(
            it.channel, chosen.template, it.parameters, locale=to.locale, unsubscribe_url=unsubscribe_url
        )
    except CannotRender as error:
        log(logger, logging.ERROR, "template fails", notification_id=it.id, template=chosen.name)
        raise Withheld(masking.reason(f"template {chosen.name}: {error}")) from error
    message = Message(
        key=it.id,
        to=addresses,
        title=rendered.title,
        text=rendered.text,
        html=rendered.html,
        locale=to.locale,
        unsubscribe_url=unsubscribe_url,
    )
    return message, chosen.name


async def _call(
    notifier: Notifier, it: Notification, message: Message, random: randomness.Random
) -> tuple[Move, tuple[str, ...]]:
    """Have it sent. Answers the move that says what came of it, and the addresses that are gone."""
    number = it.last.number
    gone: tuple[str, ...] = ()
    try:
        async with asyncio.timeout(notifier.timeout_s):
            sent = await notifier.channels[it.channel].send(message)
    except SendRefused as error:
        gone, reason = error.gone, masking.reason(error.reason)

        def move(it: Notification) -> Notification | None:
            return notification.refused(it, number, reason, notifier.clock.now())
    except (SendUnavailable, TimeoutError) as error:
        unavailable = error if isinstance(error, SendUnavailable) else SendUnavailable("timeout")
        reason = masking.reason(unavailable.reason)

        def move(it: Notification) -> Notification | None:
            return _failed(it, reason, notifier.clock.now(), random, unavailable.retry_after_s)
    else:
        gone, reason = sent.gone, ""

        def move(it: Notification) -> Notification | None:
            return notification.taken(it, number, sent.provider, sent.provider_id, notifier.clock.now())

    fields = {"notification_id": it.id, "attempt": number, "reason": reason}
    log(logger, logging.WARNING if reason else logging.INFO, "notification sent or not", **fields)
    return move, gone


async def _record(notifier: Notifier, it: Notification, etag: str, outcome: Move) -> Notification:
    """Store the outcome, unless the provider's report, or who gave the attempt up, came first."""
    while True:
        after = outcome(it)
        if after is None:
            return it
        try:
            await notification.move(notifier.documents, after, etag)
        except PreconditionFailed:
            it, etag = await notification.read(notifier.documents, it.subject, it.id)
            continue
        return after


async def _give_up(
    notifier: Notifier, it: Notification, etag: str, random: randomness.Random
) -> Notification:
    """End an attempt of which nobody knows the outcome. Raises InFlight before its deadline."""
    now = notifier.clock.now()
    assert it.last.deadline is not None  # noqa: S101  (`begun` sets it)
    left = (it.last.deadline - now).total_seconds()
    if left > 0:
        raise InFlight(f"another delivery may be making this attempt for another {left:.1f} s")
    after = _moved(_failed(it, NO_OUTCOME, now, random))
    await notification.move(notifier.documents, after, etag)
    return after


def _failed(
    it: Notification, reason: str, now: datetime, random: randomness.Random, retry_after_s: float = 0.0
) -> Notification | None:
    number = it.last.number
    if number >= MAX_ATTEMPTS:
        return notification.refused(it, number, reason, now)
    return notification.retried(it, number, reason, now, now + retry_in(number, random, retry_after_s))


def retry_in(number: int, random: randomness.Random, retry_after_s: float = 0.0) -> timedelta:
    """From the end of attempt `number` to the next; not before the provider asks for it, within a day."""
    back_off = min(FIRST_RETRY_S * RETRY_FACTOR ** (number - 1), LONGEST_RETRY_S)
    spread = random.uniform(1 - SPREAD, 1 + SPREAD)
    return timedelta(seconds=max(back_off * spread, min(retry_after_s, 86400.0)))


def _moved(after: Notification | None) -> Notification:
    assert after is not None  # noqa: S101  (the caller has seen that the state allows it)
    return after
