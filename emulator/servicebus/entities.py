"""The entities of a topology, in the form in which the engine uses them. Durations are milliseconds."""

from collections.abc import Callable
from dataclasses import dataclass

from emulator.servicebus.errors import EntityNotFound
from emulator.servicebus.filters import TRUE_FILTER, CorrelationFilter
from emulator.servicebus.schema import NEVER
from emulator.servicebus.topology import Settlement, Topology

DEAD_LETTER_SUFFIX = "/$DeadLetterQueue"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What can be received from: a queue, a subscription, or the dead-letter queue of one.

    `dead_letters` is None on a dead-letter queue: what is in it stays until it is completed.
    """

    id: int
    path: str
    wake: str
    lock_ms: int
    max_delivery_count: int
    time_to_live_ms: int
    dead_letter_expired: bool
    rules: tuple[CorrelationFilter, ...]
    dead_letters: "Mailbox | None"


@dataclass(frozen=True, slots=True)
class Target:
    """What can be sent to: a queue, which is its own only mailbox, or a topic.

    `duplicate_window_ms` is None when duplicate detection is off.
    """

    id: int
    path: str
    is_topic: bool
    time_to_live_ms: int
    duplicate_window_ms: int | None
    mailboxes: tuple[Mailbox, ...]


class Entities:
    """Found by path, in which case does not matter."""

    def __init__(self, targets: list[Target]) -> None:
        self._targets = {target.path.lower(): target for target in targets}
        self._mailboxes: dict[str, Mailbox] = {}
        self.targets_by_id = {target.id: target for target in targets}
        self.mailboxes_by_id: dict[int, Mailbox] = {}
        for target in targets:
            for mailbox in target.mailboxes:
                for each in (mailbox, mailbox.dead_letters):
                    if each is not None:
                        self._mailboxes[each.path] = self._mailboxes[each.path.lower()] = each
                        self.mailboxes_by_id[each.id] = each

    def target(self, path: str) -> Target:
        """Raises EntityNotFound."""
        target = self._targets.get(path) or self._targets.get(path.lower())
        if target is None:
            raise EntityNotFound(f"{path!r} is no queue or topic")
        return target

    def mailbox(self, path: str) -> Mailbox:
        """Raises EntityNotFound."""
        mailbox = self._mailboxes.get(path) or self._mailboxes.get(path.lower())
        if mailbox is None:
            raise EntityNotFound(f"{path!r} is no queue, subscription or dead-letter queue")
        return mailbox


def paths(topology: Topology) -> list[str]:
    """Every path in which a message may lie; a topic keeps its scheduled messages."""
    boxes = [queue.name for queue in topology.queues]
    boxes += [
        f"{topic.name}/Subscriptions/{sub.name}" for topic in topology.topics for sub in topic.subscriptions
    ]
    return [
        *(topic.name for topic in topology.topics),
        *(path for box in boxes for path in (box, box + DEAD_LETTER_SUFFIX)),
    ]


def build(topology: Topology, id_of: Callable[[str], int]) -> Entities:
    targets: list[Target] = []
    for queue in topology.queues:
        box = _mailbox(queue.name, queue.settlement, (TRUE_FILTER,), id_of)
        window = _milliseconds(queue.duplicate_window_s)
        targets.append(Target(box.id, queue.name, False, box.time_to_live_ms, window, (box,)))
    for topic in topology.topics:
        boxes = tuple(
            _mailbox(f"{topic.name}/Subscriptions/{sub.name}", sub.settlement, sub.rules, id_of)
            for sub in topic.subscriptions
        )
        time_to_live = _milliseconds(topic.time_to_live_s) or NEVER
        window = _milliseconds(topic.duplicate_window_s)
        targets.append(Target(id_of(topic.name), topic.name, True, time_to_live, window, boxes))
    return Entities(targets)


def _mailbox(
    path: str, settlement: Settlement, rules: tuple[CorrelationFilter, ...], id_of: Callable[[str], int]
) -> Mailbox:
    def make(path: str, dead_letters: Mailbox | None) -> Mailbox:
        return Mailbox(
            id=id_of(path),
            path=path,
            wake=f"queue:{path}",
            lock_ms=round(settlement.lock_s * 1000),
            max_delivery_count=settlement.max_delivery_count,
            time_to_live_ms=_milliseconds(settlement.time_to_live_s) or NEVER,
            dead_letter_expired=settlement.dead_letter_expired,
            rules=rules,
            dead_letters=dead_letters,
        )

    return make(path, make(path + DEAD_LETTER_SUFFIX, None))


def _milliseconds(duration_s: float | None) -> int | None:
    return None if duration_s is None else round(duration_s * 1000)
