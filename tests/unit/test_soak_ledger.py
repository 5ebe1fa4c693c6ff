"""The verdict of the soak: each kind of mismatch is found, and nothing else."""

from collections import Counter

import pytest

from emulator.servicebus.accounting import Account
from tools.soak_ledger import Ledger, Left, Sums, mismatches, sums


def ledger() -> Ledger:
    """Of a run in which all went well."""
    return Ledger(
        acknowledged=[["a"], ["b", "c"], ["d"], ["e"]],
        unanswered=[["f"], ["g", "h"], ["i", "j"]],
        delivered=Counter({"a": 1, "b": 3, "d": 1, "g": 1}),
        completed=Counter({"a": 1}),
        dead_lettered=Counter({"b": 1}),
        maybe={"a", "b", "d"},
    )


LEFT = Left(["c", "e", "h", "g"], ["b"], {"first": Account(accepted=5, completed=3, held=2)})


def test_a_run_in_which_all_went_well_adds_up() -> None:
    assert mismatches(ledger(), LEFT) == []
    found = sums(ledger(), LEFT)
    assert found == Sums(sent=5, completed=1, dead_lettered=1, queued=2, unsure=1)
    assert found.missing == 0


def test_a_lost_message_is_missing() -> None:
    left = Left(["c", "h", "g"], ["b"], {})
    assert mismatches(ledger(), left) == ["e: lost"]
    assert sums(ledger(), left).missing == 1


@pytest.mark.parametrize(
    ("queued", "dead", "expected"),
    [
        (["c", "e", "h", "g", "x"], ["b"], ["x: never sent"]),
        (["c", "e", "h", "g", "e"], ["b"], ["e: there 2 times"]),
        (["c", "e", "h", "g"], ["b", "e"], ["e: there 2 times"]),
        (["c", "e", "h", "g", "a"], ["b"], ["a: completed, and yet queued or dead-lettered"]),
        (["c", "e", "h", "g"], ["b", "a"], ["a: completed, and yet queued or dead-lettered"]),
        (["c", "e", "h", "g", "b"], [], ["b: dead-lettered, and not there"]),
        (["c", "e", "h", "g", "i"], ["b"], ["i: 1 of a batch of 2 were taken"]),
    ],
)
def test_what_is_in_the_wrong_place_is_named(queued: list[str], dead: list[str], expected: list[str]) -> None:
    assert mismatches(ledger(), Left(queued, dead, {})) == expected


def test_what_was_settled_twice_is_named() -> None:
    doubled = ledger()
    doubled.completed["a"] += 1
    doubled.dead_lettered["b"] += 1
    assert mismatches(doubled, LEFT) == ["a: completed 2 times", "b: dead-lettered 2 times"]


def test_an_account_that_does_not_add_up_is_named() -> None:
    left = Left(LEFT.queued, LEFT.dead, {"first": Account(accepted=5, completed=3, held=1)})
    assert mismatches(ledger(), left) == ["first: 1 messages are missing in its account"]
