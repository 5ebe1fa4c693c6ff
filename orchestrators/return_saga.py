"""The return saga: approve, send a label, await the parcel, inspect, restock, refund.

Until the parcel is here everything can be undone: a return that is not approved, not sent or cancelled ends
with its label cancelled. Once it is here the saga only goes forward: goods and money move, and what does not
succeed needs attention until it does. The stream decides which was first, the parcel or the cancellation.

Versions: as in order_saga.py.
"""

import math
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from core.contracts import contract_name
from core.json import Json, JsonObject
from orchestrators.steps import Call
from orchestrators.waiting import Conversation, Outcome, Reply, TimedOut, Waiting, Woken, persist
from services.inventory.messages import Restock, Restocked, RestockRefused
from services.orders import return_saga as r
from services.orders.policy import (
    CANCEL_EVENT,
    LONGEST_PAUSE_S,
    OPERATOR_EVENT,
    Policy,
    ReturnPolicy,
    return_event,
    return_input,
    wait_s,
)
from services.payments.messages import PartRefunded, PartRefundRefused, RefundPart
from services.shipping.messages import (
    CancelReturn,
    CreateReturn,
    ReturnCancelled,
    ReturnCreated,
    ReturnRefused,
)

LABEL = Call("request_label", CreateReturn, ReturnCreated, ReturnRefused)
CANCEL_LABEL = Call("cancel_label", CancelReturn, ReturnCancelled)
RESTOCK = Call("request_restock", Restock, Restocked, RestockRefused)
REFUND = Call("request_refund", RefundPart, PartRefunded, PartRefundRefused)

COMPLETE = "complete_return"
CANCEL = "cancel_return"
REPORT_ATTENTION = "report_return_attention"
NO_ANSWER = "no_answer"

CALLS = {call.activity: call for call in (RESTOCK, REFUND, CANCEL_LABEL)}
"""The steps that are gone on with until they succeed."""

CUSTOMER_REQUEST = "customer_request"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A step on its way, or to be gone on with.

    reply: what was answered before it, to be recorded with it. reason: of the cancellation.
    """

    activity: str
    cause: str
    reply: Reply | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    status: str


@dataclass(frozen=True, slots=True)
class Undo:
    """The return is to be cancelled. `label`: there may be one."""

    reason: str
    cause: str
    label: bool = True


def return_saga(context: df.DurableOrchestrationContext) -> Waiting[JsonObject | None]:
    """The instance id is the return's. Input: `return_input`, or that with "attention" to go on with.

    Output: {"status"}, for people, None when it continues as new; the truth is the order's stream.
    """
    given: dict[str, Any] = context.get_input()
    run = Run(
        context,
        given["order_id"],
        given["traceparent"],
        Policy(**given["policy"]),
        ReturnPolicy(**given["returns"]),
    )
    if "attention" in given:
        attention = given["attention"]
        outcome = yield from run.go_on(
            _read_attempt(attention["step"]), attention["wait_s"], attention["attempts"]
        )
    else:
        outcome = yield from run.from_the_top()
    return None if outcome is None else {"status": outcome.status}


def _read_attempt(given: dict[str, Any]) -> Attempt:
    reply = None if given["reply"] is None else Reply(**given["reply"])
    return Attempt(**{**given, "reply": reply})


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the orchestrator, replayed from the top at each episode."""

    context: df.DurableOrchestrationContext
    order_id: str
    traceparent: str
    policy: Policy
    returns: ReturnPolicy

    def from_the_top(self) -> Waiting[Done | None]:
        outcome = yield from self._until_received()
        match outcome:
            case Done():
                return outcome
            case Undo():
                return (yield from self._cancel(outcome))
            case Reply():
                return (yield from self._carry_through(outcome.id))

    def go_on(self, step: Attempt, wait_s: float, attempts: int) -> Waiting[Done | None]:
        """With what needs attention, one attempt a run, so that a history of days stays short."""
        call = CALLS[step.activity]
        conversation = Conversation(self.context, self._command_id(call), OPERATOR_EVENT)
        work = {**self._work(step), "attempt": attempts + 1}
        outcome = yield from conversation.attempt(call.activity, work, wait_s)
        if isinstance(outcome, Reply) and outcome.type != call.refusal:
            return (yield from self._after(call, outcome))
        if isinstance(outcome, Reply):  # the same again at once: only an operator can settle it
            yield self.context.create_timer(self.context.current_utc_datetime + timedelta(seconds=wait_s))
        longer_s = min(wait_s * 2, LONGEST_PAUSE_S)
        self._continue(
            step, self.policy.attention_interval_s if isinstance(outcome, Woken) else longer_s, attempts + 1
        )
        return None

    def _until_received(self) -> Waiting[Reply | Undo | Done]:
        """All that can be undone. A Reply is the parcel's arrival."""
        cause = self.context.instance_id
        outcome = yield from self._await("approval", "await_approval", self.returns.approval_s, cause)
        if not (isinstance(outcome, Reply) and outcome.type == r.APPROVED):
            return self._before_pivot(outcome, "approval_timed_out", cause, label=False)
        label = yield from self._ask(LABEL, self._work(Attempt(LABEL.activity, cause)), CANCEL_EVENT)
        if not (isinstance(label, Reply) and label.type == LABEL.success):
            return self._before_pivot(label, "label_timed_out", cause)
        parcel = yield from self._await("parcel", "await_parcel", self.returns.parcel_s, label.id, label)
        if not (isinstance(parcel, Reply) and parcel.type == r.RECEIVED):
            return self._before_pivot(parcel, "parcel_not_received", label.id)
        return parcel

    def _before_pivot(
        self, outcome: Outcome, timed_out: str, cause: str, *, label: bool = True
    ) -> Undo | Done | Reply:
        match outcome:
            case Reply(type=r.RETURN_ENDED, data={"status": status}):
                return Done(str(status))
            case Reply(type=r.REJECTED):
                return Done("rejected")
            case Reply(type=r.RETURN_CANCELLING, data={"reason": reason}):
                return Undo(str(reason), cause)
            case Reply(type=type_) if type_ == LABEL.refusal:
                return Undo(f"label_failed:{outcome.data['reason']}", outcome.id, label=False)
            case Reply(type=r.RETURN_CANCEL_REQUESTED) | Woken():
                return Undo(CUSTOMER_REQUEST, cause, label=label)
            case TimedOut():
                return Undo(timed_out, cause, label=label)
        raise ValueError(f"{outcome.type} is not what the saga waits for")

    def _cancel(self, undo: Undo) -> Waiting[Done | None]:
        if undo.label:
            return (
                yield from self._insist(
                    CANCEL_LABEL, Attempt(CANCEL_LABEL.activity, undo.cause, reason=undo.reason)
                )
            )
        work = self._work(Attempt(CANCEL, undo.cause, reason=undo.reason))
        return Done(str((yield from persist(self.context, CANCEL, work, self.policy.step_timeout_s))))

    def _carry_through(self, cause: str) -> Waiting[Done | None]:
        """Goods and money: nothing of it is undone."""
        outcome = yield from self._await("inspection", "await_inspection", self.returns.parcel_s, cause)
        match outcome:
            case Reply(type=r.RETURN_ENDED, data={"status": status}):
                return Done(str(status))
            case Reply():
                return (yield from self._insist(RESTOCK, Attempt(RESTOCK.activity, outcome.id)))
            case _:
                yield from self._report(Attempt("await_inspection", cause), NO_ANSWER)
                self.context.continue_as_new(self._input())
                return None

    def _insist(self, call: Call, step: Attempt) -> Waiting[Done | None]:
        """A step that nothing replaces: while it does not succeed, the return needs attention."""
        outcome = yield from self._ask(call, self._work(step))
        if isinstance(outcome, Reply) and outcome.type != call.refusal:
            return (yield from self._after(call, outcome))
        yield from self._report(
            step, str(outcome.data["reason"]) if isinstance(outcome, Reply) else NO_ANSWER
        )
        self._continue(step, self.policy.attention_interval_s, self.policy.undo_attempts)
        return None

    def _after(self, call: Call, outcome: Reply) -> Waiting[Done | None]:
        """What follows the step of `call`, however long it took."""
        if outcome.type == r.RETURN_ENDED:
            return Done(str(outcome.data["status"]))
        if outcome.type == r.RECEIVED:  # the parcel was faster than the cancellation
            return (yield from self._carry_through(outcome.id))
        if call is RESTOCK:
            return (yield from self._insist(REFUND, Attempt(REFUND.activity, outcome.id, outcome)))
        last = COMPLETE if call is REFUND else CANCEL
        work = self._work(Attempt(last, outcome.id, outcome))
        return Done(str((yield from persist(self.context, last, work, self.policy.step_timeout_s))))

    def _report(self, step: Attempt, reason: str) -> Waiting[None]:
        report = {
            **self._work(step),
            "attempt": self.policy.undo_attempts,
            "step": step.activity,
            "reason": reason,
        }
        yield from persist(self.context, REPORT_ATTENTION, report, self.policy.step_timeout_s)

    def _continue(self, step: Attempt, wait_s: float, attempts: int) -> None:
        attention = {"step": asdict(step), "wait_s": wait_s, "attempts": attempts}
        self.context.continue_as_new({**self._input(), "attention": attention})

    def _input(self) -> JsonObject:
        return return_input(self.policy, self.returns, self.order_id, self.traceparent)

    def _await(
        self, stage: str, activity: str, seconds: float, cause: str, reply: Reply | None = None
    ) -> Waiting[Outcome]:
        """What people decide or see. It is on the stream first, so a wait that nobody ends looks there again
        from time to time.
        """
        event = return_event(self.context.instance_id, stage)
        conversation = Conversation(self.context, event, CANCEL_EVENT)
        work = self._work(Attempt(activity, cause, reply))
        for attempt in range(1, math.ceil(seconds / self.returns.look_s) + 1):
            outcome = yield from conversation.attempt(
                activity, {**work, "attempt": attempt}, self.returns.look_s
            )
            if not isinstance(outcome, TimedOut):
                return outcome
        return TimedOut()

    def _ask(self, call: Call, work: JsonObject, woken_by: str | None = None) -> Waiting[Outcome]:
        conversation = Conversation(self.context, self._command_id(call), woken_by)
        attempts = self.policy.step_attempts if call is LABEL else self.policy.undo_attempts
        for attempt in range(1, attempts + 1):
            seconds = wait_s(self.policy, attempt)
            outcome = yield from conversation.attempt(call.activity, {**work, "attempt": attempt}, seconds)
            if not isinstance(outcome, TimedOut):
                return outcome
        return TimedOut()

    def _command_id(self, call: Call) -> str:
        return f"{self.order_id}:{contract_name(call.command)}:{self.context.instance_id}"

    def _work(self, step: Attempt) -> JsonObject:
        """The input of an activity (`services.orders.return_saga.ReturnWork`)."""
        recorded: Json = None if step.reply is None else {"type": step.reply.type, "data": step.reply.data}
        return {
            "order_id": self.order_id,
            "return_id": self.context.instance_id,
            "attempt": 1,
            "cause": step.cause,
            "traceparent": self.traceparent,
            "reply": recorded,
            "reason": step.reason,
        }
