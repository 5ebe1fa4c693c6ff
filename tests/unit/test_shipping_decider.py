"""The rules of a shipment, without any I/O."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from core.decider import fold
from core.outside_call import Intent
from services.shipping.decider import (
    SHIPMENTS,
    CancellationNotFound,
    RecordCancel,
    RecordCreate,
    Shipment,
    ShipmentCommand,
    ShipmentNotFound,
    StartCancel,
    StartCreate,
)
from services.shipping.events import CancelStarted, CancelWanted, CreateStarted, ShipmentEvent
from services.shipping.handlers import answers
from services.shipping.messages import (
    Address,
    CancelShipment,
    CreateShipment,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
)
from tests.fakes import START

ORDER = "ord-1"
LATER = START + timedelta(seconds=11)
ADDRESS = Address("Ada", "1 Main Street", "London", "N1 1AA", "GB")
CREATE = StartCreate(CreateShipment(ORDER, ADDRESS, "standard", 2), LATER)
CANCEL = StartCancel(CancelShipment(ORDER), LATER)
CREATED = ShipmentCreated(ORDER, "shp-1", "TRK1")
REFUSED = ShipmentRefused(ORDER, "address_not_served")
CANCELLED = ShipmentCancelled(ORDER)
STARTED = CreateStarted(ORDER, 1, LATER)


def after(*events: ShipmentEvent) -> Shipment:
    return fold(SHIPMENTS, SHIPMENTS.initial, events)


def decided(state: Shipment, command: ShipmentCommand) -> list[ShipmentEvent]:
    return list(SHIPMENTS.decide(state, command, START))


def test_a_shipment_records_its_intent_before_the_call():
    assert decided(after(), CREATE) == [STARTED]
    assert after(STARTED).intent == Intent(1, LATER)


def test_the_answer_of_the_carrier_is_recorded():
    assert decided(after(STARTED), RecordCreate(CREATED, LATER)) == [CREATED]
    assert decided(after(STARTED), RecordCreate(REFUSED, LATER)) == [REFUSED]


def test_a_shipment_is_not_started_again_while_it_is_under_way_or_over():
    for events in ([STARTED], [STARTED, CREATED], [STARTED, REFUSED], [STARTED, REFUSED, CANCELLED]):
        assert decided(after(*events), CREATE) == []


def test_a_cancellation_of_nothing_is_recorded_and_the_shipment_that_comes_later_is_refused():
    assert decided(after(), CANCEL) == [CANCELLED]
    assert decided(after(CANCELLED), CREATE) == [ShipmentRefused(ORDER, "cancelled")]
    assert after(CANCELLED, ShipmentRefused(ORDER, "cancelled")).status == "cancelled"


def test_a_cancellation_that_meets_a_shipment_in_doubt_is_wanted_once_and_not_answered():
    assert decided(after(STARTED), CANCEL) == [CancelWanted(ORDER)]
    assert decided(after(STARTED, CancelWanted(ORDER)), CANCEL) == []
    assert answers(after(STARTED), after(STARTED, CancelWanted(ORDER))) == []


def test_a_wanted_cancellation_starts_when_the_shipment_is_known_which_is_answered_as_refused():
    doubt = after(STARTED, CancelWanted(ORDER))
    started = CancelStarted(ORDER, 1, LATER)
    assert decided(doubt, RecordCreate(CREATED, LATER)) == [CREATED, started]
    assert answers(doubt, fold(SHIPMENTS, doubt, [CREATED, started])) == [
        ("shipping.create", ShipmentRefused(ORDER, "cancelled"))
    ]


def test_a_wanted_cancellation_of_a_refused_shipment_is_answered_with_it():
    doubt = after(STARTED, CancelWanted(ORDER))
    assert decided(doubt, RecordCreate(REFUSED, LATER)) == [REFUSED, CANCELLED]
    assert answers(doubt, fold(SHIPMENTS, doubt, [REFUSED, CANCELLED])) == [
        ("shipping.create", REFUSED),
        ("shipping.cancel", CANCELLED),
    ]


def test_a_shipment_that_was_not_found_is_tried_again_unless_it_is_no_longer_wanted():
    assert decided(after(STARTED), ShipmentNotFound(1, LATER)) == [CreateStarted(ORDER, 2, LATER)]
    assert decided(after(STARTED, CancelWanted(ORDER)), ShipmentNotFound(1, LATER)) == [
        ShipmentRefused(ORDER, "cancelled"),
        CANCELLED,
    ]


def test_that_an_earlier_attempt_was_not_found_says_nothing_of_a_later_one():
    again = CreateStarted(ORDER, 2, LATER)
    assert decided(after(STARTED, again), ShipmentNotFound(1, LATER)) == []
    assert decided(after(STARTED, again, CancelWanted(ORDER)), ShipmentNotFound(1, LATER)) == []
    cancelling = [STARTED, CREATED, CancelStarted(ORDER, 1, LATER), CancelStarted(ORDER, 2, LATER)]
    assert decided(after(*cancelling), CancellationNotFound(1, LATER)) == []


def test_a_shipment_that_turns_up_after_all_is_cancelled():
    over = after(STARTED, CancelWanted(ORDER), REFUSED, CANCELLED)
    assert decided(over, RecordCreate(CREATED, LATER)) == [CREATED, CancelStarted(ORDER, 1, LATER)]


def test_a_cancellation_is_made_once():
    cancelling = [STARTED, CREATED, CancelStarted(ORDER, 1, LATER)]
    assert decided(after(STARTED, CREATED), CANCEL) == cancelling[2:]
    assert decided(after(*cancelling), CANCEL) == []
    assert decided(after(*cancelling), RecordCancel(CANCELLED)) == [CANCELLED]
    assert decided(after(*cancelling, CANCELLED), RecordCancel(CANCELLED)) == []
    assert decided(after(*cancelling, CANCELLED), CANCEL) == []


commands = st.sampled_from(
    [
        CREATE,
        CANCEL,
        RecordCreate(CREATED, LATER),
        RecordCreate(REFUSED, LATER),
        RecordCancel(CANCELLED),
        *(ShipmentNotFound(attempt, LATER) for attempt in (1, 2)),
        *(CancellationNotFound(attempt, LATER) for attempt in (1, 2)),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(commands, min_size=8, max_size=25))
def test_whatever_happens_in_whatever_order_there_is_one_shipment_at_most_and_an_answer_stays(
    happening: list[ShipmentCommand],
):
    state = SHIPMENTS.initial
    events: list[ShipmentEvent] = []
    known = dict[str, object]()
    for command in happening:
        new = decided(state, command)
        following = fold(SHIPMENTS, state, new)
        if any(isinstance(event, CreateStarted) for event in new):
            assert not state.cancel_wanted
            assert state.status in ("none", "creating")
        given_now = dict(answers(state, following))
        assert not given_now.keys() & known.keys(), "a command was answered twice"
        known |= given_now
        assert dict(answers(SHIPMENTS.initial, following)) == known
        state = following
        events += new
    assert sum(isinstance(event, ShipmentCreated) for event in events) <= 1
    created_last = [event for event in events if isinstance(event, ShipmentCreated | ShipmentCancelled)][-1:]
    assert (state.status in ("created", "cancelling")) == any(
        isinstance(event, ShipmentCreated) for event in created_last
    )
    assert (state.intent is not None) == (state.status in ("creating", "cancelling"))
