"""The rules of a payment, without any I/O."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decider import fold, read_event
from core.json import JsonObject
from core.outside_call import Intent
from services.payments.decider import (
    PAYMENTS,
    ChargeNotFound,
    PartNotFound,
    PaymentCommand,
    RecordCancellation,
    RecordCharge,
    RecordPart,
    RecordRefund,
    RefundNotFound,
    StartCharge,
    StartPart,
    StartRefund,
)
from services.payments.events import (
    ChargePending,
    ChargeStarted,
    PartRefundStarted,
    PartRefundWanted,
    PaymentEvent,
    RefundStarted,
    RefundWanted,
)
from services.payments.gateway import Pending
from services.payments.handlers import answers
from services.payments.messages import (
    Charge,
    Charged,
    Declined,
    PartRefunded,
    PartRefundRefused,
    PartRefusal,
    Refund,
    Refunded,
    RefundPart,
)
from services.payments.state import Payment
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
PENDING = ChargePending(ORDER, "pay-1", "https://bank/3ds", "needs_action", START)


def part(return_id: str, amount: int, currency: str = "GBP") -> StartPart:
    return StartPart(RefundPart(ORDER, return_id, amount, currency), LATER)


def part_started(return_id: str, amount: int, attempt: int = 1) -> PartRefundStarted:
    return PartRefundStarted(ORDER, return_id, amount, "GBP", attempt, LATER)


def part_refunded(return_id: str, amount: int) -> PartRefunded:
    return PartRefunded(ORDER, return_id, amount, "GBP")


def refused(return_id: str, reason: PartRefusal) -> PartRefundRefused:
    return PartRefundRefused(ORDER, return_id, reason)


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


def test_a_part_is_refunded_once_for_each_return():
    paid = [STARTED, CHARGED]
    assert decided(after(*paid), part("r1", 1000)) == [part_started("r1", 1000)]
    paid.append(part_started("r1", 1000))
    assert decided(after(*paid), part("r1", 1000)) == []
    assert decided(after(*paid), RecordPart(part_refunded("r1", 1000), LATER)) == [part_refunded("r1", 1000)]
    paid.append(part_refunded("r1", 1000))
    assert decided(after(*paid), part("r1", 1000)) == []
    assert decided(after(*paid), RecordPart(part_refunded("r1", 1000), LATER)) == []
    assert (after(*paid).status, after(*paid).refunded, after(*paid).left) == ("charged", 1000, 3200)


def test_a_part_that_meets_another_waits_and_counts_against_what_is_left():
    busy = [STARTED, CHARGED, part_started("r1", 2000)]
    assert decided(after(*busy), part("r2", 2200)) == [PartRefundWanted(ORDER, "r2", 2200)]
    busy.append(PartRefundWanted(ORDER, "r2", 2200))
    assert decided(after(*busy), part("r3", 1)) == [refused("r3", "more_than_charged")]
    assert decided(after(*busy), RecordPart(part_refunded("r1", 2000), LATER)) == [
        part_refunded("r1", 2000),
        part_started("r2", 2200),
    ]
    declined = refused("r1", "refused_by_gateway")
    assert decided(after(*busy), RecordPart(declined, LATER)) == [declined, part_started("r2", 2200)]


def test_what_the_gateway_refused_to_give_back_is_left_for_others():
    state = after(STARTED, CHARGED, part_started("r1", 4200), refused("r1", "refused_by_gateway"))
    assert decided(state, part("r2", 4200)) == [part_started("r2", 4200)]


def test_a_part_is_refused_with_the_rule_that_forbids_it():
    assert decided(after(), part("r1", 1)) == [refused("r1", "not_charged")]
    assert decided(after(STARTED), part("r1", 1)) == [refused("r1", "not_charged")]
    assert decided(after(STARTED, DECLINED), part("r1", 1)) == [refused("r1", "not_charged")]
    assert decided(after(STARTED, CHARGED), part("r1", 4201)) == [refused("r1", "more_than_charged")]
    assert decided(after(STARTED, CHARGED), part("r1", 1, "EUR")) == [refused("r1", "wrong_currency")]
    undone = [STARTED, CHARGED, RefundStarted(ORDER, 4200, "GBP", 1, LATER)]
    assert decided(after(*undone), part("r1", 1)) == [refused("r1", "refunded")]
    assert decided(after(*undone, REFUNDED), part("r1", 1)) == [refused("r1", "refunded")]


def test_the_refusal_of_a_part_does_not_keep_an_order_from_being_charged():
    assert decided(after(refused("r1", "not_charged")), CHARGE) == [STARTED]


def test_the_undo_waits_for_the_part_under_way_gives_back_the_rest_and_refuses_the_parts_that_wait():
    busy = [STARTED, CHARGED, part_started("r1", 2000), PartRefundWanted(ORDER, "r2", 500)]
    assert decided(after(*busy), REFUND) == [RefundWanted(ORDER)]
    busy.append(RefundWanted(ORDER))
    assert decided(after(*busy), REFUND) == []
    assert decided(after(*busy), part("r3", 1)) == [refused("r3", "refunded")]
    done = part_refunded("r1", 2000)
    assert decided(after(*busy), RecordPart(done, LATER)) == [
        done,
        refused("r2", "refunded"),
        RefundStarted(ORDER, 2200, "GBP", 1, LATER),
    ]


def test_the_undo_of_what_the_parts_have_given_back_is_of_nothing():
    state = after(STARTED, CHARGED, part_started("r1", 4200), part_refunded("r1", 4200))
    assert decided(state, REFUND) == [NOTHING]


def test_a_part_that_was_not_found_is_tried_again_in_its_own_attempt_only():
    state = after(STARTED, CHARGED, part_started("r1", 10), part_started("r1", 10, 2))
    assert decided(state, PartNotFound("r1", 1, LATER)) == []
    assert decided(state, PartNotFound("r2", 2, LATER)) == []
    assert decided(state, PartNotFound("r1", 2, LATER)) == [part_started("r1", 10, 3)]


def test_a_pending_charge_is_answered_by_what_it_becomes():
    pending = Pending(ORDER, "pay-1", "needs_action", "https://bank/3ds")
    assert decided(after(STARTED), RecordCharge(pending, LATER)) == [PENDING]
    for result in (CHARGED, DECLINED):
        assert decided(after(STARTED, PENDING), RecordCharge(result, LATER)) == [result]
    assert decided(after(STARTED, PENDING), RecordCharge(pending, LATER)) == []
    assert decided(after(STARTED, CHARGED), RecordCharge(pending, LATER)) == []


def test_that_a_pending_charge_waits_for_something_else_now_is_recorded_and_it_is_pending_since_the_first():
    processing = Pending(ORDER, "pay-1", "processing")
    later = PAYMENTS.decide(
        after(STARTED, PENDING), RecordCharge(processing, LATER), START + timedelta(hours=1)
    )
    assert list(later) == [ChargePending(ORDER, "pay-1", "", "processing", START)]
    assert decided(after(STARTED, PENDING, *later), RecordCharge(processing, LATER)) == []


@pytest.mark.parametrize(("action_url", "reason"), [("https://bank/3ds", "needs_action"), ("", "processing")])
def test_a_pending_charge_that_was_stored_without_its_reason_is_read_with_it(action_url: str, reason: str):
    data: JsonObject = {"order_id": ORDER, "payment_id": "pay-1", "action_url": action_url}
    item: JsonObject = {
        "type": "payments.charge_pending",
        "schema": 1,
        "stream": ORDER,
        "version": 2,
        "time": START.isoformat(),
        "event_id": "e",
        "correlation_id": ORDER,
        "causation_id": "c",
        "traceparent": "",
        "actor": "payments",
        "data": data,
    }
    assert read_event(item).data == ChargePending(ORDER, "pay-1", action_url, reason, None)  # type: ignore[arg-type]


def test_an_undo_that_meets_a_pending_charge_has_it_ended():
    assert decided(after(STARTED, PENDING), REFUND) == [RefundWanted(ORDER)]
    wanted = after(STARTED, PENDING, RefundWanted(ORDER))
    closed = [Declined(ORDER, "refunded"), NOTHING]
    for result in (Declined(ORDER, "cancelled"), Pending(ORDER, "pay-1", "processing")):
        assert decided(wanted, RecordCancellation(result, LATER)) == closed
    assert decided(wanted, RecordCancellation(CHARGED, LATER)) == [
        CHARGED,
        RefundStarted(ORDER, 4200, "GBP", 1, LATER),
    ]
    assert decided(after(STARTED, PENDING, RefundWanted(ORDER), *closed), RecordCharge(CHARGED, LATER)) == [
        CHARGED,
        RefundStarted(ORDER, 4200, "GBP", 1, LATER),
    ]


commands = st.sampled_from(
    [
        CHARGE,
        REFUND,
        RecordCharge(CHARGED, LATER),
        RecordCharge(DECLINED, LATER),
        RecordRefund(REFUNDED),
        *(ChargeNotFound(attempt, LATER) for attempt in (1, 2)),
        *(RefundNotFound(attempt, LATER) for attempt in (1, 2)),
        RecordCharge(Pending(ORDER, "pay-1", "processing"), LATER),
        RecordCancellation(Pending(ORDER, "pay-1", "processing"), LATER),
        RecordCancellation(Declined(ORDER, "cancelled"), LATER),
        RecordCancellation(CHARGED, LATER),
        *(part(f"r{n}", 1500) for n in (1, 2, 3)),
        *(RecordPart(part_refunded(f"r{n}", 1500), LATER) for n in (1, 2, 3)),
        RecordPart(refused("r1", "refused_by_gateway"), LATER),
        PartNotFound("r1", 1, LATER),
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
        if isinstance(command, RecordRefund):  # the gateway gives back what it is asked to: what is left
            command = RecordRefund(Refunded(ORDER, state.charged - state.refunded, "GBP"))  # noqa: PLW2901
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
    refunded = sum(event.amount for event in events if isinstance(event, Refunded | PartRefunded))
    assert sum(isinstance(event, Charged) for event in events) <= 1
    assert charged in (0, 4200)
    assert 0 <= refunded <= charged
    assert (state.charged, state.refunded) == (charged, refunded)
    if state.status == "refunded":
        assert charged == refunded
    assert (state.intent is not None) == (
        state.status in ("charging", "refunding") or state.part_under_way is not None
    )
