"""The real SDK at the endpoint of real processes: connections break, processes are killed."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tools.emulator_process import PROJECT
from tools.soak import ACTIONS

pytestmark = pytest.mark.slow

SECONDS = 15


@pytest.fixture(scope="module")
def outcome() -> Any:
    """The object that the tool prints. In a process of its own: the SDK never closes a socket that broke."""
    command = [sys.executable, "-m", "tools.soak", "--seconds", str(SECONDS), "--json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=180, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_what_was_sent_is_completed_dead_lettered_or_queued_and_nothing_twice(outcome: Any) -> None:
    assert outcome["mismatches"] == []
    sums = outcome["sums"]
    kept = ("completed", "dead_lettered", "queued", "unsure")
    assert sums["sent"] == sum(sums[name] for name in kept)


def test_all_that_may_happen_did(outcome: Any) -> None:
    """Else the run was too short, or stood still, and its verdict says little."""
    events = outcome["events"]
    for action in ACTIONS:
        assert events[action] >= 5, events
    assert events["connections cut"] >= 3
    assert events.get("kills of all", 0) + events.get("kills of one", 0) >= 2
    assert outcome["sums"]["sent"] >= 100
    assert outcome["recovered_s"]
