"""The rules of an order: examples of each rule, and a machine that tries every command at every moment."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.decider import Rejection, read_event
from core.json import JsonObject
from services.orders import commands as c
from services.orders import events as e
from services.orders.decider import (
    LATE_REPLIES_KEPT,
    CannotCancel,
    CannotChange,
    IdempotencyKeyReused,
    IsReplaced,
    OrderNotFound,
    WrongTransition,
    decide,
)
from services.orders.state import CANCELLABLE, TERMINAL, UNDOING, OrderState, evolve

NOW = datetime(2027, 1, 15, tzinfo=UTC)
ADDRESS = e.ShippingAddress("Ann", "1 Road", "Leeds", "LS1", "GB")
PLACE = c.Place(
    "ord-1",
    "c-1",
    "GBP",
    (e.OrderLine("a", 3, 70), e.OrderLine("b", 1, 5)),
    ADDRESS,
    "tok_ok",
    "standard",
    "d1",
)
PAID = c.RecordPayment("pay-1", 215, "GBP")
SHIPPED = c.RecordShipment("shp-1", "T1")


def after(*commands: c.OrderCommand) -> OrderState:
    return reduce(lambda state, command: carry_out(state, command)[0], commands, OrderState())


def carry_out(state: OrderState, command: c.OrderCommand) -> tuple[OrderState, list[e.OrderEvent]]:
    events = list(decide(state, command, NOW))
    return reduce(evolve, events, state), events


def test_placing_adds_up_the_lines() -> None:
    (created,) = decide(OrderState(), PLACE, NOW)
    assert isinstance(created, e.OrderCreated)
    assert (created.total, created.placed_at) == (215, NOW)


def test_placing_again_with_the_same_request_changes_nothing() -> None:
    assert decide(after(PLACE), PLACE, NOW) == ()


def test_the_same_key_with_another_request_is_refused() -> None:
    other = c.Place("ord-1", "c-1", "GBP", PLACE.lines, ADDRESS, "tok_ok", "standard", "d2")
    with pytest.raises(IdempotencyKeyReused):
        decide(after(PLACE), other, NOW)


@pytest.mark.parametrize("command", [c.RequestCancel(""), c.RecordReservation(), PAID, SHIPPED])
def test_an_order_that_is_not_there_is_not_found(command: c.OrderCommand) -> None:
    with pytest.raises(OrderNotFound):
        decide(OrderState(), command, NOW)


def test_a_payment_requests_shipping_in_the_same_moment() -> None:
    state, events = carry_out(after(PLACE, c.RecordReservation()), PAID)
    assert [type(event) for event in events] == [e.PaymentProcessed, e.ShippingRequested]
    assert state.status == "shipping_requested"


def test_a_payment_of_a_cancelled_order_does_not_request_shipping() -> None:
    state, events = carry_out(after(PLACE, c.RecordReservation(), c.RequestCancel("")), PAID)
    assert [type(event) for event in events] == [e.PaymentProcessed]
    assert state.status == "payment_processed"
    assert carry_out(state, PAID)[1] == []


UNTIL = NOW + timedelta(minutes=15)
PENDING = c.RecordPendingPayment("needs_action", UNTIL)


def test_that_a_payment_is_pending_is_recorded_once_and_ends_with_the_payment_or_the_cancellation() -> None:
    state, events = carry_out(after(PLACE, c.RecordReservation()), PENDING)
    assert events == [e.PaymentPending("ord-1", "needs_action", UNTIL)]
    assert (state.payment_pending, state.payment_due) == ("needs_action", UNTIL)
    assert carry_out(state, PENDING)[1] == []
    assert len(carry_out(state, c.RecordPendingPayment("processing", UNTIL))[1]) == 1
    for end in (PAID, c.RecordCancellation("x", ("payment", "inventory"))):
        ended = carry_out(state, end)[0]
        assert (ended.payment_pending, ended.payment_due) == ("", None)
        assert carry_out(ended, PENDING)[1] == []


@pytest.mark.parametrize("reason", ["changed my mind", ""])
def test_a_cancellation_is_asked_for_once(reason: str) -> None:
    state = after(PLACE, c.RequestCancel(reason))
    assert state.cancel_requested
    assert decide(state, c.RequestCancel("again"), NOW) == ()


@pytest.mark.parametrize("rest", [(), (SHIPPED,)])
def test_from_the_request_of_shipping_on_nothing_can_be_cancelled(rest: tuple[c.OrderCommand, ...]) -> None:
    state = after(PLACE, c.RecordReservation(), PAID, *rest)
    with pytest.raises(CannotCancel, match=state.status):
        decide(state, c.RequestCancel("too late"), NOW)


def test_cancelling_what_is_being_cancelled_changes_nothing() -> None:
    state = after(PLACE, c.RecordCancellation("x", ("inventory",)))
    assert decide(state, c.RequestCancel("me too"), NOW) == ()


@pytest.mark.parametrize(
    ("state", "command"),
    [
        (after(PLACE), PAID),
        (after(PLACE), SHIPPED),
        (after(PLACE, c.RecordReservation()), SHIPPED),
    ],
)
def test_a_step_cannot_be_skipped(state: OrderState, command: c.OrderCommand) -> None:
    with pytest.raises(WrongTransition):
        decide(state, command, NOW)


def test_an_order_is_not_cancelled_while_something_is_left_to_undo() -> None:
    start = c.RecordCancellation("x", ("payment", "inventory"), finish=True)
    state, events = carry_out(after(PLACE), start)
    assert [type(event) for event in events] == [e.CancellationStarted]
    assert state.undo_left == ("payment", "inventory")


def test_the_last_undo_and_the_end_are_one_moment() -> None:
    state = after(PLACE, c.RecordCancellation("x", ("inventory",)))
    finish = c.RecordCancellation("other", ("payment",), c.Undone("inventory"), finish=True)
    state, events = carry_out(state, finish)
    assert [type(event) for event in events] == [e.InventoryReleased, e.OrderCancelled]
    assert state.reason == "x"


def test_an_undo_beyond_the_recorded_ones_is_recorded_too() -> None:
    state = after(PLACE, c.RecordCancellation("x", ("inventory",)))
    state = carry_out(state, c.RecordCancellation("x", (), c.Undone("payment", 10, "GBP")))[0]
    assert state.undone == ("payment",)
    assert state.undo_left == ("inventory",)


def test_attention_is_asked_for_once_a_step_and_ends_with_its_undo() -> None:
    attention = c.Attention("payment", 5)
    command = c.RecordCancellation("x", ("payment", "inventory"), attention=attention)
    state = after(PLACE, command)
    assert state.status == "needs_attention"
    assert decide(state, command, NOW) == []
    state = carry_out(state, c.RecordCancellation("x", (), c.Undone("payment", 0, "GBP")))[0]
    assert state.status == "cancelling"
    assert decide(state, command, NOW) == []


def test_an_unknown_step_names_the_rule() -> None:
    with pytest.raises(ValueError, match="step: must be one of"):
        decide(after(PLACE), c.RecordCancellation("x", (), c.Undone("gift wrap")), NOW)


def test_late_replies_are_noted_once_each_and_not_for_ever() -> None:
    state = after(PLACE)
    for n in range(LATE_REPLIES_KEPT + 5):
        for _ in range(2):
            state = carry_out(state, c.NoteLateReply("payments.charged", f"r-{n}"))[0]
    assert len(state.late_replies) == LATE_REPLIES_KEPT


ELSEWHERE = c.ChangeAddress(e.ShippingAddress("Ann", "2 Lane", "York", "YO1", "GB"))
REPLACEMENT = c.RequestReplacement("ord-2", (e.OrderLine("c", 1, 9),), "d2")


def test_the_address_can_be_changed_until_shipping_is_requested() -> None:
    for way in ((), (c.RecordReservation(),), (ELSEWHERE, c.ChangeAddress(ADDRESS))):
        state = after(PLACE, *way, ELSEWHERE)
        assert state.shipping_address == ELSEWHERE.shipping_address
        assert decide(state, ELSEWHERE, NOW) == ()


@pytest.mark.parametrize(
    "way",
    [
        (c.RecordReservation(), PAID),
        (c.RecordReservation(), PAID, SHIPPED),
        (c.RequestCancel(""),),
        (c.RecordCancellation("x", ()),),
        (c.RecordCancellation("x", (), finish=True),),
    ],
)
def test_an_order_that_is_shipped_or_cancelled_is_not_changed_any_more(
    way: tuple[c.OrderCommand, ...],
) -> None:
    state = after(PLACE, *way)
    for command in (ELSEWHERE, REPLACEMENT):
        with pytest.raises(CannotChange):
            decide(state, command, NOW)


def test_a_replacement_is_asked_for_once() -> None:
    state = after(PLACE, REPLACEMENT)
    assert (state.replaced_by, state.cancel_requested) == ("ord-2", True)
    assert decide(state, REPLACEMENT, NOW) == ()
    with pytest.raises(IdempotencyKeyReused):
        decide(state, replace(REPLACEMENT, request_digest="d3"), NOW)
    for command in (replace(REPLACEMENT, replacement_id="ord-3"), ELSEWHERE, c.RequestCancel("")):
        with pytest.raises(IsReplaced, match="ord-2"):
            decide(state, command, NOW)


def test_a_wish_for_other_lines_that_was_stored_before_it_could_name_a_payment_method_names_none() -> None:
    data: JsonObject = {"order_id": "ord-1", "replacement_id": "ord-2", "lines": [], "request_digest": "d2"}
    told: JsonObject = {
        **dict.fromkeys(("event_id", "correlation_id", "causation_id", "traceparent", "actor"), ""),
        "type": "orders.replacement_requested",
        "schema": 1,
        "stream": "ord-1",
        "version": 2,
        "time": NOW.isoformat(),
        "data": data,
    }
    assert read_event(told).data == e.ReplacementRequested("ord-1", "ord-2", (), "d2", "")


def test_an_order_that_is_to_be_replaced_is_cancelled_once_the_other_is_placed() -> None:
    cancel = c.RecordCancellation("customer_request", ("inventory",), c.Undone("inventory"), finish=True)
    state = after(PLACE, REPLACEMENT, c.RecordReservation(), cancel)
    assert (state.status, state.reason, state.undo_left) == ("cancelling", "replaced", ())
    state = carry_out(state, replace(cancel, replacement_placed=True))[0]
    assert (state.status, state.reason) == ("cancelled", "replaced")


def test_an_order_that_fails_while_it_is_to_be_replaced_says_why() -> None:
    state = after(PLACE, REPLACEMENT, c.RecordCancellation("payment_failed:declined", ()))
    assert (state.reason, state.replaced_by) == ("payment_failed:declined", "ord-2")


COMMANDS = st.one_of(
    st.just(PLACE),
    st.just(REPLACEMENT),
    st.builds(c.ChangeAddress, st.sampled_from([ADDRESS, ELSEWHERE.shipping_address])),
    st.builds(c.RequestCancel, st.sampled_from(["", "why not"])),
    st.just(c.RecordReservation()),
    st.just(PAID),
    st.just(SHIPPED),
    st.builds(c.NoteLateReply, st.just("payments.charged"), st.sampled_from(["r-1", "r-2"])),
    st.builds(
        c.RecordCancellation,
        st.sampled_from(["customer_request", "payment_failed:declined"]),
        st.sampled_from([(), ("inventory",), ("payment", "inventory"), ("shipping", "payment", "inventory")]),
        st.none() | st.builds(c.Undone, st.sampled_from(["inventory", "payment", "shipping"])),
        st.none() | st.builds(c.Attention, st.sampled_from(["inventory", "payment"]), st.just(5)),
        st.booleans(),
        st.booleans(),
    ),
)


class OrderMachine(RuleBasedStateMachine):
    """Any command at any moment. Rejections are fine; what they let through must keep the rules."""

    def __init__(self) -> None:
        super().__init__()
        self.state = OrderState()
        self.events: list[e.OrderEvent] = []

    @rule(command=COMMANDS)
    def carry_out(self, command: c.OrderCommand) -> None:
        before = self.state
        try:
            self.state, events = carry_out(before, command)
        except Rejection:
            return
        self.events += events
        if isinstance(command, c.RequestCancel | c.ChangeAddress | c.RequestReplacement) and events:
            assert before.status in CANCELLABLE
        if before.status in TERMINAL:
            assert all(isinstance(event, e.LateReply) for event in events)

    @precondition(lambda self: self.state.status != "none")
    @rule(command=COMMANDS)
    def repeating_a_command_changes_nothing_more(self, command: c.OrderCommand) -> None:
        try:
            state, events = carry_out(self.state, command)
        except Rejection:
            return
        self.state, self.events = state, self.events + events
        assert not decide(state, command, NOW)

    @invariant()
    def the_events_add_up_to_the_state(self) -> None:
        assert reduce(evolve, self.events, OrderState()) == self.state

    @invariant()
    def an_order_ends_once(self) -> None:
        ends = [event for event in self.events if isinstance(event, e.OrderCompleted | e.OrderCancelled)]
        assert len(ends) == (self.state.status in TERMINAL)

    @invariant()
    def shipping_and_a_request_to_cancel_exclude_each_other(self) -> None:
        kinds = [type(event) for event in self.events]
        asked = kinds.count(e.CancelRequested) + kinds.count(e.ReplacementRequested)
        assert asked + kinds.count(e.ShippingRequested) <= 1

    @invariant()
    def nothing_is_undone_twice_or_outside_a_cancellation(self) -> None:
        assert len(set(self.state.undone)) == len(self.state.undone)
        if self.state.undone:
            assert self.state.status in UNDOING | {"cancelled"}

    @invariant()
    def a_cancelled_order_has_nothing_left_to_undo(self) -> None:
        if self.state.status == "cancelled":
            assert self.state.undo_left == ()


OrderMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
TestOrderMachine = OrderMachine.TestCase
