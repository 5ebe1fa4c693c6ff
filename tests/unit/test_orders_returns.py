"""The rules of a return: examples of each rule, and a machine that tries every command at every moment."""

from datetime import timedelta
from functools import reduce

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.decider import Rejection
from services.orders import commands as c
from services.orders import return_commands as r
from services.orders.decider import OrderNotFound, decide
from services.orders.return_events import InspectedLine, ReturnLine, ReturnParcelUnexpected
from services.orders.returns import (
    ENDED,
    MAX_RETURNS,
    CannotReturn,
    Return,
    ReturnNotFound,
    WrongReturnStatus,
)
from services.orders.state import OrderState, evolve
from tests.unit.test_orders_decider import NOW, PAID, PLACE, SHIPPED

DAY_S = 86400.0
SOLD = (PLACE, c.RecordReservation(), PAID, SHIPPED)
"""Three pieces of `a` at 70 and one of `b` at 5."""
ID = "ord-1-r1"


def ask(*lines: tuple[int, int], key: str = "k1", digest: str = "d1") -> r.RequestReturn:
    """Line and quantity of each."""
    return r.RequestReturn(
        tuple(ReturnLine(line, quantity, "broken") for line, quantity in lines), key, digest, 30 * DAY_S
    )


def inspect(*lines: tuple[int, int, int, int], id: str = ID) -> r.InspectReturn:
    return r.InspectReturn(id, tuple(InspectedLine(*line) for line in lines))


LABEL = r.RecordLabel(ID, "shp-2", "T2")
RECEIVED = (ask((1, 2), (2, 1)), LABEL, r.ReceiveReturn(ID))
INSPECTED = (*RECEIVED, inspect((1, 1, 1, 2), (2, 0, 0, 0)))


def after(*commands: c.OrderCommand, days: float = 0.0) -> OrderState:
    def carry_out(state: OrderState, command: c.OrderCommand) -> OrderState:
        return reduce(evolve, decide(state, command, NOW + timedelta(days=days)), state)

    return reduce(carry_out, commands, OrderState())


def types(state: OrderState, command: c.OrderCommand) -> list[str]:
    return [type(event).__name__ for event in decide(state, command, NOW)]


def the_return(state: OrderState) -> Return:
    (found,) = state.returns
    return found


def test_a_return_that_is_asked_for_in_time_is_approved_by_the_rule() -> None:
    state = after(*SOLD, c.RecordDelivery("shp-1", NOW), ask((1, 2)), days=29)
    assert (the_return(state).return_id, the_return(state).status) == (ID, "approved")
    assert state.open_returns == 1
    assert state.status == "completed"


def test_a_late_return_waits_for_an_operator() -> None:
    sold = (*SOLD, c.RecordDelivery("shp-1", NOW))
    assert the_return(after(*sold, ask((1, 2)), days=31)).status == "requested"
    approved = after(*sold, ask((1, 2)), r.ApproveReturn(ID, "operator"), days=31)
    assert the_return(approved).status == "approved"
    rejected = after(*sold, ask((1, 2)), r.RejectReturn(ID, "too late"), days=31)
    assert (the_return(rejected).status, the_return(rejected).reason) == ("rejected", "too late")
    assert rejected.open_returns == 0


def test_what_is_not_delivered_yet_is_in_time() -> None:
    assert the_return(after(*SOLD, ask((1, 1)), days=300)).status == "approved"


def test_only_what_was_shipped_comes_back() -> None:
    with pytest.raises(CannotReturn, match="completed"):
        decide(after(PLACE, c.RecordReservation(), PAID), ask((1, 1)), NOW)
    with pytest.raises(OrderNotFound):
        decide(OrderState(), ask((1, 1)), NOW)


def test_no_more_comes_back_than_was_bought_over_all_returns() -> None:
    with pytest.raises(CannotReturn, match="of line 1 3 can be returned, not 4"):
        decide(after(*SOLD), ask((1, 4)), NOW)
    with pytest.raises(CannotReturn, match="no line 3"):
        decide(after(*SOLD), ask((3, 1)), NOW)
    state = after(*SOLD, ask((1, 2)))
    with pytest.raises(CannotReturn, match="of line 1 1 can be returned, not 2"):
        decide(state, ask((1, 2), key="k2"), NOW)
    assert types(state, ask((1, 1), key="k2")) == ["ReturnRequested", "ReturnApproved"]


def test_what_a_return_did_not_take_may_be_returned_again() -> None:
    cancelled = (ask((1, 3)), r.StartReturnCancellation(ID, "customer_request"))
    state = after(*SOLD, *cancelled, r.FinishReturnCancellation(ID, label_cancelled=True))
    assert types(state, ask((1, 3), key="k2"))[0] == "ReturnRequested"
    state = after(*SOLD, *INSPECTED)
    with pytest.raises(CannotReturn, match="of line 1 1 can be returned"):
        decide(state, ask((1, 2), key="k2"), NOW)
    assert types(state, ask((1, 1), (2, 1), key="k2"))[0] == "ReturnRequested"


def test_the_same_request_again_is_the_same_return() -> None:
    state = after(*SOLD, ask((1, 3)))
    assert decide(state, ask((1, 3)), NOW) == ()
    with pytest.raises(CannotReturn, match="Idempotency-Key"):
        decide(state, ask((1, 1), digest="d2"), NOW)


def test_the_returns_of_an_order_are_limited() -> None:
    state = after(*SOLD)
    for number in range(1, MAX_RETURNS + 1):
        id = f"ord-1-r{number}"
        commands = (
            ask((1, 1), key=f"k{number}"),
            r.StartReturnCancellation(id, "customer_request"),
            r.FinishReturnCancellation(id, label_cancelled=False),
        )
        for command in commands:
            state = reduce(evolve, decide(state, command, NOW), state)
    with pytest.raises(CannotReturn, match=f"{MAX_RETURNS} returns"):
        decide(state, ask((1, 1), key="another"), NOW)


def test_the_refund_is_by_line_at_the_price_that_was_paid() -> None:
    assert the_return(after(*SOLD, *INSPECTED)).refund == 140
    assert the_return(after(*SOLD, *RECEIVED, inspect((1, 2, 0, 1), (2, 0, 1, 1)))).refund == 75


def test_an_inspection_is_of_the_lines_and_pieces_that_were_announced() -> None:
    state = after(*SOLD, *RECEIVED)
    for lines in (((1, 2, 0, 0),), ((1, 2, 0, 0), (3, 1, 0, 0)), ((1, 1, 0, 0), (1, 1, 0, 0), (2, 1, 0, 0))):
        with pytest.raises(CannotReturn, match="must be those of the return"):
            decide(state, inspect(*lines), NOW)
    for line in ((1, 2, 1, 0), (1, 0, 0, 3)):
        with pytest.raises(CannotReturn, match="line 1 is about 2 pieces"):
            decide(state, inspect(line, (2, 0, 0, 0)), NOW)


def test_an_inspection_stands() -> None:
    state = after(*SOLD, *INSPECTED)
    assert decide(state, INSPECTED[-1], NOW) == ()
    with pytest.raises(WrongReturnStatus, match="another result"):
        decide(state, inspect((1, 2, 0, 2), (2, 0, 0, 0)), NOW)


def test_the_money_ends_the_return() -> None:
    state = after(*SOLD, *INSPECTED, r.RecordRestock(ID))
    assert types(state, r.RecordReturnRefund(ID, 140, "GBP")) == ["ReturnRefunded", "ReturnCompleted"]
    nothing = after(*SOLD, *RECEIVED, inspect((1, 2, 0, 0), (2, 1, 0, 0)), r.RecordRestock(ID))
    assert types(nothing, r.RecordReturnRefund(ID, 0, "GBP")) == ["ReturnCompleted"]


def test_the_parcel_that_was_faster_than_the_cancellation_counts() -> None:
    state = after(*SOLD, ask((1, 1)), LABEL, r.CancelReturn(ID), r.ReceiveReturn(ID))
    assert decide(state, r.StartReturnCancellation(ID, "customer_request"), NOW) == ()
    assert the_return(state).status == "received"


CANCELLING = (ask((1, 1)), LABEL, r.StartReturnCancellation(ID, "customer_request"))
CANCELLED = (*CANCELLING, r.FinishReturnCancellation(ID, True))


def test_a_parcel_that_is_taken_in_while_its_return_is_cancelled_has_to_wait_for_the_end_of_that() -> None:
    with pytest.raises(WrongReturnStatus, match="cancelling cannot be received"):
        decide(after(*SOLD, *CANCELLING), r.ReceiveReturn(ID), NOW)


REJECTED = (
    c.RecordDelivery("shp-1", NOW - timedelta(days=60)),
    ask((1, 1)),
    r.RejectReturn(ID, "too late"),
)


@pytest.mark.parametrize(
    "past", [CANCELLING, CANCELLED, REJECTED], ids=["cancelling", "cancelled", "rejected"]
)
def test_a_parcel_that_the_carrier_brings_of_a_return_that_came_to_nothing_is_noted_once(past) -> None:
    state = after(*SOLD, *past)
    was = the_return(state).status
    brought = r.ReceiveReturn(ID, by_carrier=True)
    assert decide(state, brought, NOW) == (ReturnParcelUnexpected("ord-1", ID, was),)
    noted = after(*SOLD, *past, brought)
    assert (the_return(noted).status, the_return(noted).unexpected_parcel) == (was, True)
    assert decide(noted, brought, NOW) == ()


@pytest.mark.parametrize("past", [CANCELLED, REJECTED], ids=["cancelled", "rejected"])
def test_who_finds_the_parcel_of_a_return_that_came_to_nothing_may_take_it_in(past) -> None:
    brought = r.ReceiveReturn(ID, by_carrier=True)
    state = after(*SOLD, *past, brought, r.ReceiveReturn(ID))
    found = the_return(state)
    assert (found.status, found.unexpected_parcel, state.open_returns) == ("received", False, 1)
    assert decide(state, brought, NOW) == ()
    assert types(state, inspect((1, 1, 0, 1))) == ["ReturnInspected"]


def test_goods_that_another_return_has_taken_meanwhile_are_not_taken_in_twice() -> None:
    past = (*CANCELLED, r.ReceiveReturn(ID, by_carrier=True))
    with pytest.raises(CannotReturn, match="of line 1 0 can be returned, not 1"):
        decide(after(*SOLD, *past, ask((1, 3), key="b")), r.ReceiveReturn(ID), NOW)


def test_a_return_that_was_received_cannot_be_cancelled() -> None:
    with pytest.raises(WrongReturnStatus, match="received cannot be cancelled"):
        decide(after(*SOLD, *RECEIVED), r.CancelReturn(ID), NOW)


def test_only_what_needs_attention_is_settled_by_hand() -> None:
    state = after(*SOLD, *INSPECTED)
    with pytest.raises(WrongReturnStatus, match="needs attention"):
        decide(state, r.SettleReturn(ID, "paid in cash"), NOW)
    attention = r.RecordReturnAttention(ID, "request_refund", "no_answer", 5)
    state = after(*SOLD, *INSPECTED, attention, r.SettleReturn(ID, "paid in cash"))
    assert (the_return(state).status, the_return(state).reason) == ("settled", "paid in cash")
    assert decide(state, r.RecordRestock(ID), NOW) == ()


def test_attention_is_noted_once_a_step() -> None:
    attention = r.RecordReturnAttention(ID, "request_restock", "no_answer", 5)
    state = after(*SOLD, *INSPECTED, attention)
    assert decide(state, attention, NOW) == ()
    assert the_return(after(*SOLD, *INSPECTED, attention, r.RecordRestock(ID))).attention_step == ""


def test_a_return_that_does_not_exist_is_said() -> None:
    with pytest.raises(ReturnNotFound):
        decide(after(*SOLD), r.ReceiveReturn("ord-1-r2"), NOW)


def test_the_delivery_of_another_parcel_or_a_second_one_changes_nothing() -> None:
    assert types(after(*SOLD), c.RecordDelivery("shp-1", NOW)) == ["OrderDelivered"]
    assert decide(after(*SOLD), c.RecordDelivery("shp-9", NOW), NOW) == ()
    delivered = after(*SOLD, c.RecordDelivery("shp-1", NOW))
    assert decide(delivered, c.RecordDelivery("shp-1", NOW + timedelta(days=1)), NOW) == ()


IDS = tuple(f"ord-1-r{number}" for number in (1, 2, 3))
QUANTITIES = st.integers(0, 3)


class Returns(RuleBasedStateMachine):
    """Commands in any order, on several returns. What is refused changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.state = after(*SOLD)

    def carry_out(self, command: c.OrderCommand) -> None:
        before = {each.return_id: each.status for each in self.state.returns}
        try:
            events = decide(self.state, command, NOW)
        except Rejection:
            return
        self.state = reduce(evolve, events, self.state)
        assert decide(self.state, command, NOW) == (), "a command that was carried out decides nothing"
        for each in self.state.returns:
            was = before.get(each.return_id)
            taken_in = was in ("cancelled", "rejected") and command == r.ReceiveReturn(each.return_id)
            assert was not in ENDED or each.status == was or taken_in, "a return that has ended stays so"

    @rule(line=st.integers(1, 3), quantity=st.integers(1, 3), key=st.sampled_from("abc"))
    def request(self, line: int, quantity: int, key: str) -> None:
        self.carry_out(ask((line, quantity), key=key, digest=f"{line}:{quantity}"))

    @rule(id=st.sampled_from(IDS), pieces=st.tuples(QUANTITIES, QUANTITIES, QUANTITIES))
    def inspection(self, id: str, pieces: tuple[int, int, int]) -> None:
        lines = [each.lines[0].line for each in self.state.returns if each.return_id == id]
        self.carry_out(inspect((lines[0] if lines else 1, *pieces), id=id))

    @rule(
        id=st.sampled_from(IDS),
        make=st.sampled_from(
            (
                lambda id: r.ApproveReturn(id, "operator"),
                lambda id: r.RejectReturn(id, "no"),
                r.CancelReturn,
                r.ReceiveReturn,
                lambda id: r.ReceiveReturn(id, by_carrier=True),
                lambda id: r.RecordLabel(id, "shp", "T"),
                r.RecordRestock,
                lambda id: r.RecordReturnRefund(id, 1, "GBP"),
                lambda id: r.StartReturnCancellation(id, "customer_request"),
                lambda id: r.FinishReturnCancellation(id, True),
                lambda id: r.RecordReturnAttention(id, "request_refund", "no_answer", 5),
                lambda id: r.SettleReturn(id, "by hand"),
            )
        ),
    )
    def others(self, id: str, make: type) -> None:
        self.carry_out(make(id))

    @invariant()
    def no_more_came_back_than_was_bought(self) -> None:
        for number, line in enumerate(self.state.lines, start=1):
            taken = [done for each in self.state.returns for done in each.inspected if done.line == number]
            assert sum(done.restocked + done.written_off for done in taken) <= line.quantity
            assert sum(done.refunded for done in taken) <= line.quantity

    @invariant()
    def the_open_ones_are_counted(self) -> None:
        assert self.state.open_returns == sum(each.status not in ENDED for each in self.state.returns)


TestReturns = Returns.TestCase
TestReturns.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
