"""The rules of a payment, without any I/O."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from core.decider import fold
from core.outside_call import Intent
from services.payments.decider import (
    PAYMENTS,
    ChargeNotFound,
    Payment,
    PaymentCommand,
    RecordCharge,
    RecordRefund,
    RefundNotFound,
    StartCharge,
    StartRefund,
)
from services.payments.events import ChargeStarted, PaymentEvent, RefundStarted, RefundWanted
from services.payments.handlers import answers
from services.payments.messages import Charge, Charged, Declined, Refund, Refunded
from tests.fakes import START

ORDER = "ord-1"
LATER = START + timedelta(seconds=11)
CHARGE = StartCharge(Charge(ORDER, "cust-1", 4200, "GBP", "tok_ok"), LATER)
REFUND = StartRefund(Refund(ORDER), LATER)
CHARGED = Charged(ORDER, "pay-1", 4200, "GBP")
DECLINED = Declined(ORDER, "card_declined")
REFUNDED = Refunded(ORDER, 4200, "GBP")
STARTED = ChargeStarted(ORDER, 4200, "GBP", 1, LATER)
NOTHING = Refunded(ORDER, 0, "")


def after(*events: PaymentEvent) -> Payment:
    return fold(PAYMENTS, PAYMENTS.initial, events)


def decided(state: Payment, command: PaymentCommand) -> list[PaymentEvent]:
    return list(PAYMENTS.decide(state, command, START))


def test_a_charge_records_its_intent_before_the_call():
    assert decided(after(), CHARGE) == [STARTED]
    assert after(STARTED).intent == Intent(1, LATER)


def test_the_answer_of_the_gateway_is_recorded():
    assert decided(after(STARTED), RecordCharge(CHARGED, LATER)) == [CHARGED]
    assert decided(after(STARTED), RecordCharge(DECLINED, LATER)) == [DECLINED]


def test_a_charge_is_not_started_again_while_it_is_under_way_or_over():
    for events in ([STARTED], [STARTED, CHARGED], [STARTED, DECLINED], [STARTED, DECLINED, NOTHING]):
        assert decided(after(*events), CHARGE) == []


def test_a_refund_of_nothing_is_recorded_and_the_charge_that_comes_later_is_declined():
    assert decided(after(), REFUND) == [NOTHING]
    assert decided(after(NOTHING), CHARGE) == [Declined(ORDER, "refunded")]
    assert after(NOTHING, Declined(ORDER, "refunded")).status == "refunded"


def test_a_refund_of_a_declined_charge_is_of_nothing():
    assert decided(after(STARTED, DECLINED), REFUND) == [NOTHING]


def test_a_refund_that_meets_a_charge_in_doubt_is_wanted_once_and_not_answered():
    assert decided(after(STARTED), REFUND) == [RefundWanted(ORDER)]
    assert decided(after(STARTED, RefundWanted(ORDER)), REFUND) == []
    assert answers(after(STARTED), after(STARTED, RefundWanted(ORDER))) == []


def test_a_wanted_refund_starts_when_the_charge_is_known_and_the_charge_is_answered_as_declined():
    doubt = after(STARTED, RefundWanted(ORDER))
    started = RefundStarted(ORDER, 4200, "GBP", 1, LATER)
    assert decided(doubt, RecordCharge(CHARGED, LATER)) == [CHARGED, started]
    assert answers(doubt, fold(PAYMENTS, doubt, [CHARGED, started])) == [
        ("payments.charge", Declined(ORDER, "refunded"))
    ]


def test_a_wanted_refund_of_a_charge_that_failed_is_answered_with_it():
    doubt = after(STARTED, RefundWanted(ORDER))
    assert decided(doubt, RecordCharge(DECLINED, LATER)) == [DECLINED, NOTHING]
    assert answers(doubt, fold(PAYMENTS, doubt, [DECLINED, NOTHING])) == [
        ("payments.charge", DECLINED),
        ("payments.refund", NOTHING),
    ]


def test_a_charge_that_was_not_found_is_tried_again_unless_it_is_no_longer_wanted():
    again = ChargeStarted(ORDER, 4200, "GBP", 2, LATER)
    assert decided(after(STARTED), ChargeNotFound(1, LATER)) == [again]
    assert decided(after(STARTED, RefundWanted(ORDER)), ChargeNotFound(1, LATER)) == [
        Declined(ORDER, "refunded"),
        NOTHING,
    ]


def test_that_an_earlier_attempt_was_not_found_says_nothing_of_a_later_one():
    again = ChargeStarted(ORDER, 4200, "GBP", 2, LATER)
    assert decided(after(STARTED, again), ChargeNotFound(1, LATER)) == []
    assert decided(after(STARTED, again, RefundWanted(ORDER)), ChargeNotFound(1, LATER)) == []
    refunding = [STARTED, CHARGED, *(RefundStarted(ORDER, 4200, "GBP", n, LATER) for n in (1, 2))]
    assert decided(after(*refunding), RefundNotFound(1, LATER)) == []


def test_a_charge_that_turns_up_after_all_is_given_back():
    assert decided(after(STARTED, RefundWanted(ORDER), DECLINED, NOTHING), RecordCharge(CHARGED, LATER)) == [
        CHARGED,
        RefundStarted(ORDER, 4200, "GBP", 1, LATER),
    ]


def test_a_refund_is_made_once():
    refunding = [STARTED, CHARGED, RefundStarted(ORDER, 4200, "GBP", 1, LATER)]
    assert decided(after(STARTED, CHARGED), REFUND) == refunding[2:]
    assert decided(after(*refunding), REFUND) == []
    assert decided(after(*refunding), RecordRefund(REFUNDED)) == [REFUNDED]
    assert decided(after(*refunding, REFUNDED), RecordRefund(REFUNDED)) == []
    assert decided(after(*refunding, REFUNDED), REFUND) == []


commands = st.sampled_from(
    [
        CHARGE,
        REFUND,
        RecordCharge(CHARGED, LATER),
        RecordCharge(DECLINED, LATER),
        RecordRefund(REFUNDED),
        *(ChargeNotFound(attempt, LATER) for attempt in (1, 2)),
        *(RefundNotFound(attempt, LATER) for attempt in (1, 2)),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(commands, min_size=8, max_size=25))
def test_whatever_happens_in_whatever_order_money_is_conserved_and_an_answer_stays(
    happening: list[PaymentCommand],
):
    state = PAYMENTS.initial
    events: list[PaymentEvent] = []
    known = dict[str, object]()
    for command in happening:
        new = decided(state, command)
        following = fold(PAYMENTS, state, new)
        if any(isinstance(event, ChargeStarted) for event in new):
            assert not state.refund_wanted
            assert state.status in ("none", "charging")
        given_now = dict(answers(state, following))
        assert not given_now.keys() & known.keys(), "a command was answered twice"
        known |= given_now
        assert dict(answers(PAYMENTS.initial, following)).keys() == known.keys()
        charge_answer = dict(answers(PAYMENTS.initial, following)).get("payments.charge")
        assert charge_answer == known.get("payments.charge")
        state = following
        events += new
    charged = sum(event.amount for event in events if isinstance(event, Charged))
    refunded = sum(event.amount for event in events if isinstance(event, Refunded))
    assert sum(isinstance(event, Charged) for event in events) <= 1
    assert charged in (0, 4200)
    assert refunded in (0, charged)
    assert (state.charged, state.refunded) == (charged, refunded)
    if state.status == "refunded":
        assert charged == refunded
    assert (state.intent is not None) == (state.status in ("charging", "refunding"))
