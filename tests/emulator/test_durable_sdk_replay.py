"""With the shortcuts an orchestrator sees and answers in each episode what it does without them."""

import json
from datetime import timedelta
from enum import Enum, StrEnum

import azure.durable_functions as df
import pytest
from azure.durable_functions import DurableOrchestrationContext, Orchestrator, RetryOptions
from azure.durable_functions.models.history import HistoryEvent
from azure.durable_functions.models.ReplaySchema import ReplaySchema

from emulator.durable import history
from emulator.durable.sdk_replay import install_fast_replay

AT = [history.timestamp(1_800_000_000 + 10 * n) for n in range(6)]
FIRE_AT = history.timestamp(1_800_000_000 + 100)

STARTED = [
    history.orchestrator_started(AT[0]),
    history.execution_started(AT[0], "o", "1.0", '{"n": 1}', "i", "e"),
]
EPISODES = [
    STARTED,
    [
        history.task_scheduled(AT[0], 0, "charge"),
        history.timer_created(AT[0], 1, FIRE_AT),
        history.orchestrator_completed(AT[0]),
        history.orchestrator_started(AT[1]),
        history.task_completed(AT[1], 0, '{"paid": 5}'),
    ],
    [
        history.orchestrator_completed(AT[1]),
        history.orchestrator_started(AT[2]),
        history.event_raised(AT[2], "reply", '"{\\"ok\\": true}"'),
    ],
    [
        history.task_scheduled(AT[2], 2, "ship"),
        history.orchestrator_completed(AT[2]),
        history.orchestrator_started(AT[3]),
        history.execution_suspended(AT[3], "for a while"),
        history.execution_resumed(AT[3], "again"),
        history.task_failed(AT[3], 2, "no van", "Traceback"),
    ],
    [
        history.sub_orchestration_created(AT[3], 3, "other", "i:3"),
        history.orchestrator_completed(AT[3]),
        history.orchestrator_started(AT[4]),
        history.sub_orchestration_completed(AT[4], 3, '"done"'),
    ],
    [
        history.timer_created(AT[4], 4, FIRE_AT),
        history.orchestrator_completed(AT[4]),
        history.orchestrator_started(AT[5]),
        history.timer_fired(AT[5], 4, FIRE_AT),
    ],
]


def context_of(episodes):
    past = [history.played(event) for episode in EPISODES[: episodes - 1] for event in episode]
    events = ",".join([*past, *EPISODES[episodes - 1]])
    return (
        f'{{"history":[{events}],"input":"{{\\"n\\": 1}}","instanceId":"i","parentInstanceId":null,'
        '"upperSchemaVersion":1,"upperSchemaVersionNew":2,"longRunningTimerIntervalDuration":null,'
        f'"maximumShortTimerDuration":null,"isReplaying":{"true" if past else "false"}}}'
    )


def everything(context: df.DurableOrchestrationContext):
    seen = [context.get_input(), context.version, context.is_replaying, str(context.new_guid())]
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=100))
    race = context.task_any([context.wait_for_external_event("reply"), timer])
    paid, first = yield context.task_all([context.call_activity("charge", {"a": [1, None, "é"]}), race])
    seen += [paid, first.result]
    timer.cancel()
    seen += [context.is_replaying, str(context.current_utc_datetime)]
    context.set_custom_status({"seen": len(seen)} if context.get_input()["n"] > 1 else None)
    try:
        yield context.call_activity("ship", None)
    except Exception as error:
        seen.append(str(error))
    seen.append((yield context.call_sub_orchestrator("other", {"b": 2}, "i:3")))
    yield context.create_timer(context.current_utc_datetime + timedelta(microseconds=1))
    return seen


class Name(Enum):
    CHARGE = "charge"


class NameOfText(StrEnum):
    CHARGE = "charge"


def calls_by(name):
    def calls(context):
        yield context.call_activity(name, 1)

    return calls


def waits_for(name):
    def waits(context):
        yield context.wait_for_external_event(name)

    return waits


def with_status(context):
    context.set_custom_status({"halfway": float("inf"), "big": 2**70})
    yield context.wait_for_external_event("reply")


def with_retry(context):
    yield context.call_activity_with_retry("charge", RetryOptions(1000, 3), {"a": 1})


def as_new(context):
    yield context.call_activity("charge", 1)
    context.continue_as_new({"n": 2})


def fails(context):
    yield context.call_activity("charge", 1)
    raise ValueError("no")


def without_a_wait(context):
    return {"version": context.version}


def early_timer(context):
    yield context.create_timer(context.current_utc_datetime.replace(year=987, tzinfo=None))


def answer(orchestrator, episodes):
    """The state, also out of the message of an error, as values."""
    try:
        text = Orchestrator.create(orchestrator)(context_of(episodes))
    except Exception as error:
        message, label, text = str(error).partition("$OutOfProcData$:")
        return (type(error), message, json.loads(text) if label else None)
    return json.loads(text)


ORCHESTRATORS = [
    everything,
    calls_by("charge"),
    calls_by(NameOfText.CHARGE),
    calls_by(Name.CHARGE),
    waits_for("\ud800"),
    waits_for(Name.CHARGE),
    waits_for(5),
    with_status,
    with_retry,
    as_new,
    fails,
    without_a_wait,
    early_timer,
]


@pytest.fixture
def fast():
    """A function that runs another with the shortcuts."""

    def run(work, *arguments):
        undo = install_fast_replay()
        try:
            return work(*arguments)
        finally:
            undo()

    return run


@pytest.mark.filterwarnings("ignore:Potential duplicate Task completion")
@pytest.mark.parametrize("episodes", range(1, len(EPISODES) + 1))
@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_an_orchestrator_answers_in_each_episode_as_without_the_shortcuts(orchestrator, episodes, fast):
    assert fast(answer, orchestrator, episodes) == answer(orchestrator, episodes)


def test_the_orchestration_of_these_tests_comes_to_its_end():
    assert answer(everything, len(EPISODES))["isDone"]
    assert [answer(everything, episodes)["isDone"] for episodes in range(1, len(EPISODES))] == [False] * 5


def described(event):
    names = ("Name", "InstanceId", "TaskScheduledId", "Reason", "Details", "Input", "Version", "Result")
    names += ("FireAt", "TimerId", "OrchestrationInstance", "_event_type", "event_type", "_event_id")
    names += ("event_id", "_is_played", "is_played", "_timestamp", "timestamp", "_is_processed")
    return [getattr(event, name, "absent") for name in names]


def test_the_events_of_a_context_are_the_same(fast):
    text = context_of(len(EPISODES))
    slow = DurableOrchestrationContext.from_json(text)
    quick = fast(DurableOrchestrationContext.from_json, text)
    assert [described(event) for event in quick.histories] == [described(event) for event in slow.histories]
    assert all(isinstance(event, HistoryEvent) for event in quick.histories)
    assert {name: str(value) for name, value in vars(quick).items() if name not in OBJECTS} == {
        name: str(value) for name, value in vars(slow).items() if name not in OBJECTS
    }
    event = quick.histories[3]
    event.is_processed = True
    assert event.is_processed
    assert not quick.histories[4].is_processed


OBJECTS = ("_histories", "_function_context", "decision_started_event")


def test_a_history_of_another_form_is_read_as_without_the_shortcut(fast):
    given = json.loads(context_of(2))
    given["history"].insert(0, given["history"][2])
    text = json.dumps(given)
    slow = DurableOrchestrationContext.from_json(text)
    quick = fast(DurableOrchestrationContext.from_json, text)
    assert [described(event) for event in quick.histories] == [described(event) for event in slow.histories]


def test_all_shortcuts_are_taken_out_again():
    before = (DurableOrchestrationContext.__dict__["from_json"], Orchestrator.create(everything))
    undo = install_fast_replay()
    assert DurableOrchestrationContext.__dict__["from_json"] is not before[0]
    assert "value" in ReplaySchema.__dict__
    undo()
    assert DurableOrchestrationContext.__dict__["from_json"] is before[0]
    assert "value" not in ReplaySchema.__dict__
    assert ReplaySchema.V2.value == 1
