"""What a soak knows of each message that it sent, and what must be true of it in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from emulator.servicebus.accounting import Account


@dataclass(slots=True)
class Ledger:
    """Written as answers come in. Messages are named by their ids; each id is sent once, to one queue.

    acknowledged, unanswered: sends, each of one or more messages that are taken together or not at all.
    completed, dead_lettered: settlements that were acknowledged.
    maybe: messages of which a completion or dead-lettering was asked for and not acknowledged.
    """

    acknowledged: list[Sequence[str]] = field(default_factory=list)
    unanswered: list[Sequence[str]] = field(default_factory=list)
    delivered: Counter[str] = field(default_factory=Counter)
    completed: Counter[str] = field(default_factory=Counter)
    dead_lettered: Counter[str] = field(default_factory=Counter)
    maybe: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Left:
    """What was found in the end: the ids in the queues and in their dead-letter queues, and the accounts."""

    queued: Sequence[str]
    dead: Sequence[str]
    accounts: Mapping[str, Account]


@dataclass(frozen=True, slots=True)
class Sums:
    """Messages whose sends were acknowledged, by what became of them. `unsure`: gone, and asked to go."""

    sent: int
    completed: int
    dead_lettered: int
    queued: int
    unsure: int

    @property
    def missing(self) -> int:
        return self.sent - self.completed - self.dead_lettered - self.queued - self.unsure


def sums(ledger: Ledger, left: Left) -> Sums:
    sent = set(_each(ledger.acknowledged))
    completed, dead, queued = sent & ledger.completed.keys(), sent & set(left.dead), sent & set(left.queued)
    return Sums(
        sent=len(sent),
        completed=len(completed),
        dead_lettered=len(dead),
        queued=len(queued),
        unsure=len((sent & ledger.maybe) - completed - dead - queued),
    )


def mismatches(ledger: Ledger, left: Left) -> list[str]:
    """Every message that is lost, doubled, made up or back, by its id; empty when all is well."""
    sent = set(_each(ledger.acknowledged))
    known = sent | set(_each(ledger.unanswered))
    queued, dead = Counter(left.queued), Counter(left.dead)
    places = queued.keys() | dead.keys() | ledger.completed.keys()
    seen = places | ledger.delivered.keys()
    found = [f"{id}: lost" for id in sent - places - ledger.maybe]
    found += [f"{id}: never sent" for id in seen - known]
    found += [f"{id}: completed {times} times" for id, times in ledger.completed.items() if times > 1]
    found += [f"{id}: dead-lettered {times} times" for id, times in ledger.dead_lettered.items() if times > 1]
    found += [f"{id}: there {times} times" for id, times in (queued + dead).items() if times > 1]
    for id in ledger.completed.keys() & (queued.keys() | dead.keys() | ledger.dead_lettered.keys()):
        found.append(f"{id}: completed, and yet queued or dead-lettered")
    found += [f"{id}: dead-lettered, and not there" for id in ledger.dead_lettered.keys() - dead.keys()]
    for batch in ledger.unanswered:
        taken = seen & set(batch)
        if taken and len(taken) < len(batch):
            found.append(f"{batch[0]}: {len(taken)} of a batch of {len(batch)} were taken")
    found += [
        f"{path}: {account.missing} messages are missing in its account"
        for path, account in left.accounts.items()
        if account.missing
    ]
    return sorted(found)


def _each(sends: Iterable[Sequence[str]]) -> Iterable[str]:
    return (id for batch in sends for id in batch)
