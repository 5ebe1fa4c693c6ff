"""Instances that began with this version of the saga, or one before, go on with the code as it is now.

At each episode of a recorded history the code must ask for what was scheduled then, in the same order.
"""

import json
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import pytest

from emulator.durable import history
from emulator.durable.replay import Decision, replay
from emulator.durable.sdk_state import parse_state
from orchestrators.order_saga import order_saga
from orchestrators.return_saga import return_saga
from services.orders.policy import RETURN_SAGA, SAGA
from tests.saga.record_histories import FOLDER, SCENARIOS, VERSION

SCHEDULES = {history.TASK_SCHEDULED, history.TIMER_CREATED}

ORCHESTRATORS = {
    SAGA: df.Orchestrator.create(order_saga),
    RETURN_SAGA: df.Orchestrator.create(return_saga),
}


def episodes(events: list[dict[str, Any]]) -> list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """For each episode: the history with which the SDK is called, and what was scheduled then."""
    found = []
    for index, event in enumerate(events):
        last = index + 1 == len(events)
        if not (event["EventType"] == history.ORCHESTRATOR_COMPLETED or last):
            continue
        end = index
        while events[end]["EventType"] in SCHEDULES | {history.ORCHESTRATOR_COMPLETED}:
            end -= 1
        scheduled = [each for each in events[end + 1 : index + 1] if each["EventType"] in SCHEDULES]
        found.append((events[: end + 1], scheduled))
    return found


def described(decision: Decision) -> tuple[int, str, str]:
    return decision.task_id, decision.name, decision.fire_at[:23]


def recorded(event: dict[str, Any]) -> tuple[int, str, str]:
    return event["EventId"], event.get("Name") or "", event.get("FireAt", "")[:23]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_recorded_history_replays(path: Path) -> None:
    record = json.loads(path.read_text())
    known = episodes(record["history"])
    assert known
    (started,) = (each for each in record["history"] if each["EventType"] == history.EXECUTION_STARTED)
    orchestrate = ORCHESTRATORS[started["Name"]]
    for events, scheduled in known:
        context = {
            "history": events,
            "input": record["input"],
            "instanceId": started["OrchestrationInstance"]["InstanceId"],
            "parentInstanceId": None,
            "isReplaying": True,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
        }
        state = parse_state(orchestrate(json.dumps(context)))
        host = replay(state.actions, [history.read(event) for event in events])
        assert [described(decision) for decision in host.new] == [recorded(event) for event in scheduled]
    assert state.is_done == (host.continued is not None or host.ended)


def test_every_path_of_this_version_is_recorded() -> None:
    names = {path.stem for path in FOLDER.glob(f"{VERSION}-*.json")}
    assert all(any(name.startswith(f"{VERSION}-{scenario}") for name in names) for scenario in SCENARIOS)


def test_this_version_is_that_of_host_json() -> None:
    host = json.loads((Path(__file__).parents[2] / "host.json").read_text())
    assert host["extensions"]["durableTask"]["defaultVersion"] == VERSION
