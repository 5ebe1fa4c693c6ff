"""A bank account: the smallest of deciders."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import pytest

import core.contracts
import core.decider
from core.contracts import contract
from core.decider import (
    Cause,
    Decider,
    Rejection,
    upcaster,
)
from core.envelope import Envelope, wrap
from core.json import JsonObject
from tests.fakes import START

STREAM = "acc-1"


@dataclass(frozen=True, slots=True)
class Deposited:
    amount: int
    note: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    amount: int


@dataclass(frozen=True, slots=True)
class Answer:
    balance: int


def _amount_in_pounds(data: JsonObject) -> JsonObject:
    pounds = data["pounds"]
    assert isinstance(pounds, int)
    return {"amount": pounds * 100}


def no_note(data: JsonObject) -> JsonObject:
    return {**data, "note": ""}


@contextmanager
def open_bank() -> Iterator[None]:
    """Its types are registered meanwhile: other tests look at all that is registered."""
    with pytest.MonkeyPatch.context() as patch:
        for registry in ("_classes", "_names", "_adapters"):
            patch.setattr(core.contracts, registry, dict(getattr(core.contracts, registry)))
        patch.setattr(core.decider, "_upcasters", {})
        contract("bank.deposited", version=3)(Deposited)
        contract("bank.withdrawn")(Withdrawn)
        contract("bank.answer")(Answer)
        upcaster("bank.deposited", 1)(_amount_in_pounds)
        upcaster("bank.deposited", 2)(no_note)
        yield


@dataclass(frozen=True, slots=True)
class Account:
    balance: int = 0
    opened_at: datetime | None = None


class Overdrawn(Rejection):
    def __init__(self) -> None:
        super().__init__("overdrawn", "there is not enough money")


def decide(state: Account, command: int, now: datetime) -> Sequence[Deposited | Withdrawn]:
    if command < 0 and state.balance + command < 0:
        raise Overdrawn
    if command == 0:
        return []
    return [Deposited(command, "cash")] if command > 0 else [Withdrawn(-command)]


def evolve(state: Account, event: Deposited | Withdrawn) -> Account:
    sign = 1 if isinstance(event, Deposited) else -1
    return Account(state.balance + sign * event.amount, START)


ACCOUNTS: Decider[Account, int, Deposited | Withdrawn] = Decider(
    container="orders", state=Account, initial=Account(), decide=decide, evolve=evolve, schema=2
)


def cause(command_id: str = "acc-1:bank.pay") -> Cause:
    return Cause(command_id, STREAM, command_id, "00-" + "a" * 32 + "-" + "b" * 16 + "-01", actor="teller")


def replies(command_id: str = "acc-1:bank.pay"):
    def answer(before: Account, after: Account) -> list[Envelope]:
        return [
            wrap(
                Answer(after.balance),
                id=f"{command_id}:reply",
                source="bank",
                subject=STREAM,
                time=START,
                correlation_id=STREAM,
                causation_id=command_id,
            )
        ]

    return answer
