"""The order saga: reserve stock, charge, ship; or undo, in reverse, what was done or may have been done.

Versions: `defaultVersion` in host.json is this code's. A change after which the histories in
tests/saga/histories no longer replay needs a new one, and a branch on `context.version` that keeps the old
way for the old instances.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df

from core.json import JsonObject
from orchestrators.steps import (
    AWAIT_PAYMENT,
    BY_NAME,
    CANCEL,
    COMPLETE,
    ORDER_SAGA,
    REPORT_ATTENTION,
    Call,
    Step,
)
from orchestrators.waiting import Conversation, Outcome, Reply, TimedOut, Waiting, Woken, persist
from services.orders import saga
from services.orders.policy import (
    CANCEL_EVENT,
    CUSTOMER_REQUEST,
    LONGEST_PAUSE_S,
    OPERATOR_EVENT,
    Policy,
    start_input,
    wait_s,
)


@dataclass(frozen=True, slots=True)
class Cancellation:
    """`undo` are the steps left, in order; `cause` is the message or event that led to it.

    reply: the undo that was answered last and is not recorded yet.
    attention_s: how long to wait after the next attempt, once the order needs attention; 0 before that.
    attempts: of the first of `undo`, while the order needs attention.
    """

    reason: str
    undo: tuple[str, ...]
    cause: str
    reply: Reply | None = None
    attention_s: float = 0.0
    attempts: int = 0


def order_saga(context: df.DurableOrchestrationContext) -> Waiting[JsonObject | None]:
    """The instance id is the order's. Input: `start_input`, or that with a "cancellation" to go on with.

    Output: {"status"}, for people; the truth is the order's stream.
    """
    given: dict[str, Any] = context.get_input()
    run = Run(context, given["traceparent"], Policy(**given["policy"]))
    if "cancellation" in given:
        return (yield from run.compensate(_read_cancellation(given["cancellation"])))
    outcome = yield from run.forward()
    if isinstance(outcome, Cancellation):
        return (yield from run.compensate(outcome))
    return {"status": outcome}


def _read_cancellation(given: dict[str, Any]) -> Cancellation:
    reply = None if given["reply"] is None else Reply(**given["reply"])
    return Cancellation(**{**given, "undo": tuple(given["undo"]), "reply": reply})


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the orchestrator, replayed from the top at each episode."""

    context: df.DurableOrchestrationContext
    traceparent: str
    policy: Policy

    def forward(self) -> Waiting[str | Cancellation]:
        """Through the table; ends with the order's status, or with what is to be undone."""
        done: list[str] = []
        last: Reply | None = None
        cause = f"{self.context.instance_id}:orders:1"
        for step in ORDER_SAGA:
            outcome = yield from self._do(step, self._work(cause, last))
            match outcome:
                case Reply(type=type_) if type_ == step.do.success:
                    done.append(step.name)
                    last, cause = outcome, outcome.id
                case Reply(type=type_) if type_ == step.do.refusal:
                    reason = f"{step.name}_failed:{outcome.data['reason']}"
                    return Cancellation(reason, _undo_order(done), outcome.id)
                case Reply(type=saga.CANCEL_REQUESTED) | Woken():
                    # Of a step that the customer cannot cancel, it is certain that it was not sent.
                    undo = _undo_order([*done, step.name] if step.cancellable else done)
                    return Cancellation(CUSTOMER_REQUEST, undo, cause)
                case Reply(type=saga.CANCELLING, data={"reason": reason, "undo": list(left)}):
                    return Cancellation(str(reason), _undo_order([*map(str, left), *done]), cause)
                case Reply(type=saga.ENDED, data={"status": status}):
                    return str(status)
                case TimedOut():
                    command_id = self._command_id(step.do)
                    return Cancellation(f"{step.name}_timed_out", _undo_order([*done, step.name]), command_id)
                case Reply():
                    raise ValueError(f"{outcome.type} is no answer to {step.do.command_type}")
        work = self._work(cause, last)
        return str((yield from persist(self.context, COMPLETE, work, self.policy.step_timeout_s)))

    def compensate(self, cancellation: Cancellation) -> Waiting[JsonObject | None]:
        """Never gives up; None when it continues as new."""
        while True:
            while cancellation.undo:
                step = BY_NAME[cancellation.undo[0]]
                if cancellation.attention_s:
                    outcome = yield from self._undo_with_attention(step, cancellation)
                else:
                    outcome = yield from self._undo(step, cancellation)
                match outcome:
                    case Reply(type=saga.ENDED, data={"status": status}):
                        return {"status": status}
                    case Reply(type=type_) if type_ == step.undo.success:
                        left = cancellation.undo[1:]
                        cancellation = Cancellation(cancellation.reason, left, outcome.id, outcome)
                    case Reply():
                        raise ValueError(f"{outcome.type} is no answer to {step.undo.command_type}")
                    case TimedOut() | Woken():
                        self._continue_with_attention(cancellation, woken=isinstance(outcome, Woken))
                        return None
            work = self._cancellation_work(cancellation)
            left = yield from persist(self.context, CANCEL, work, self.policy.step_timeout_s)
            if not left:
                return {"status": "cancelled"}
            # An earlier run recorded more to undo than this one knew of.
            cancellation = replace(cancellation, undo=_undo_order(left), reply=None)

    def _do(self, step: Step, work: JsonObject) -> Waiting[Outcome]:
        woken_by = CANCEL_EVENT if step.cancellable else None
        conversation = Conversation(
            self.context, self._command_id(step.do), woken_by, pending=step.do.pending is not None
        )
        outcome = yield from self._repeat(conversation, step.do, work, self.policy.step_attempts)
        if isinstance(outcome, TimedOut) and conversation.pending is not None:
            return (yield from self._await_pending(conversation, step.do, work, conversation.pending))
        return outcome

    def _await_pending(
        self, conversation: Conversation, call: Call, work: JsonObject, told: Reply
    ) -> Waiting[Outcome]:
        """Until the time for it is over. Each wait ends with a look, because the news may have been lost."""
        until = datetime.fromisoformat(str(told.data["since"])) + timedelta(
            seconds=self.policy.payment_action_s
        )
        waiting = {**work, "cause": told.id, "reply": _recorded(told), "until": until.isoformat()}
        attempt = self.policy.step_attempts
        while (left_s := (until - self.context.current_utc_datetime).total_seconds()) > 0:
            attempt += 1
            for activity, given, seconds in (
                (AWAIT_PAYMENT, waiting, min(left_s, LONGEST_PAUSE_S)),
                (call.activity, work, wait_s(self.policy, 1)),
            ):
                outcome = yield from conversation.attempt(activity, {**given, "attempt": attempt}, seconds)
                if not isinstance(outcome, TimedOut):
                    return outcome
        return TimedOut()

    def _undo(self, step: Step, cancellation: Cancellation) -> Waiting[Outcome]:
        conversation = Conversation(self.context, self._command_id(step.undo))
        work = self._cancellation_work(cancellation)
        outcome = yield from self._repeat(conversation, step.undo, work, self.policy.undo_attempts)
        if not isinstance(outcome, TimedOut):
            return outcome
        report = {**work, "attempt": self.policy.undo_attempts, "step": step.name}
        yield from persist(self.context, REPORT_ATTENTION, report, self.policy.step_timeout_s)
        return conversation.outcome()

    def _undo_with_attention(self, step: Step, cancellation: Cancellation) -> Waiting[Outcome]:
        """One attempt a run, so that the history of an undo that takes days stays short."""
        conversation = Conversation(self.context, self._command_id(step.undo), OPERATOR_EVENT)
        work = {**self._cancellation_work(cancellation), "attempt": cancellation.attempts + 1}
        return (yield from conversation.attempt(step.undo.activity, work, cancellation.attention_s))

    def _continue_with_attention(self, cancellation: Cancellation, *, woken: bool) -> None:
        """An operator's wake-up starts the growing waits anew."""
        first = self.policy.attention_interval_s
        waited = 0.0 if woken else cancellation.attention_s
        next_ = replace(
            cancellation,
            attention_s=min(waited * 2, LONGEST_PAUSE_S) if waited else first,
            attempts=cancellation.attempts + 1 if cancellation.attempts else self.policy.undo_attempts,
        )
        self.context.continue_as_new(
            {**start_input(self.policy, self.traceparent), "cancellation": asdict(next_)}
        )

    def _repeat(
        self, conversation: Conversation, call: Call, work: JsonObject, attempts: int
    ) -> Waiting[Outcome]:
        for attempt in range(1, attempts + 1):
            seconds = wait_s(self.policy, attempt)
            outcome = yield from conversation.attempt(call.activity, {**work, "attempt": attempt}, seconds)
            if not isinstance(outcome, TimedOut) or conversation.pending is not None:
                return outcome
        return TimedOut()

    def _command_id(self, call: Call) -> str:
        return f"{self.context.instance_id}:{call.command_type}"

    def _work(self, cause: str, reply: Reply | None) -> JsonObject:
        """The input of an activity (`services.orders.saga.Work`)."""
        return {
            "order_id": self.context.instance_id,
            "attempt": 1,
            "cause": cause,
            "traceparent": self.traceparent,
            "reply": None if reply is None else _recorded(reply),
        }

    def _cancellation_work(self, cancellation: Cancellation) -> JsonObject:
        return {
            **self._work(cancellation.cause, cancellation.reply),
            "reason": cancellation.reason,
            "undo": list(cancellation.undo),
        }


def _recorded(reply: Reply) -> JsonObject:
    return {"type": reply.type, "data": reply.data}


def _undo_order(steps: Iterable[str]) -> tuple[str, ...]:
    """Last step of the table first."""
    wanted = set(steps)
    return tuple(step.name for step in reversed(ORDER_SAGA) if step.name in wanted)
