"""The rules of a shipment, without any I/O."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from core.decider import fold
from core.outside_call import Intent
from services.shipping.decider import (
    SHIPMENTS,
    CancellationNotFound,
    CarrierIsDown,
    RecordCancel,
    RecordCreate,
    Shipment,
    ShipmentCommand,
    ShipmentNotFound,
    StartCancel,
    StartCreate,
)
from services.shipping.events import (
    BookingLookedFor,
    CancelStarted,
    CancelWanted,
    CarrierFailed,
    CreateStarted,
    ShipmentEvent,
    StrayBookingFound,
)
from services.shipping.handlers import answers
from services.shipping.messages import (
    CancelShipment,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
)
from services.shipping.offers import Offer
from services.shipping.state import Doubt
from services.shipping.strays import RecordLook
from tests.fakes import START

ORDER = "ord-1"
LATER = START + timedelta(seconds=11)
POST = Offer("post", "parcel", 400, 2)
FAST = Offer("fast", "parcel", 900, 1)
CREATE = StartCreate(ORDER, LATER, (POST, FAST))
ONLY_POST = StartCreate(ORDER, LATER, (POST,))
CANCEL = StartCancel(CancelShipment(ORDER), LATER)
CREATED = ShipmentCreated(ORDER, "shp-1", "TRK1", "post")
REFUSED = ShipmentRefused(ORDER, "address_not_served")
CANCELLED = ShipmentCancelled(ORDER)
STARTED = CreateStarted(ORDER, 1, LATER, "", "post", "parcel", (POST,))
OF_TWO = CreateStarted(ORDER, 1, LATER, "", "post", "parcel", (POST, FAST))
LOOK_AT = START + timedelta(minutes=5)
NO_ANSWER = CarrierFailed(ORDER, "post", "no_answer", refused=False, look_at=LOOK_AT)
DOWN = CarrierFailed(ORDER, "post", "out_of_service", refused=False)


def after(*events: ShipmentEvent) -> Shipment:
    return fold(SHIPMENTS, SHIPMENTS.initial, events)


def attempt(number: int, offer: Offer) -> CreateStarted:
    return CreateStarted(ORDER, number, LATER, "", offer.carrier, offer.service)


def decided(state: Shipment, command: ShipmentCommand) -> list[ShipmentEvent]:
    return list(SHIPMENTS.decide(state, command, START))


def test_a_shipment_records_its_intent_before_the_call():
    assert decided(after(), ONLY_POST) == [STARTED]
    assert decided(after(), CREATE) == [OF_TWO]
    assert after(STARTED).intent == Intent(1, LATER)


def test_the_answer_of_the_carrier_is_recorded():
    assert decided(after(STARTED), RecordCreate(CREATED, 1, LATER)) == [CREATED]
    assert decided(after(STARTED), RecordCreate(REFUSED, 1, LATER)) == [REFUSED]


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
    assert decided(doubt, RecordCreate(CREATED, 1, LATER)) == [CREATED, started]
    assert answers(doubt, fold(SHIPMENTS, doubt, [CREATED, started])) == [
        ("shipping.create", ShipmentRefused(ORDER, "cancelled"))
    ]


def test_a_wanted_cancellation_of_a_refused_shipment_is_answered_with_it():
    doubt = after(STARTED, CancelWanted(ORDER))
    assert decided(doubt, RecordCreate(REFUSED, 1, LATER)) == [REFUSED, CANCELLED]
    assert answers(doubt, fold(SHIPMENTS, doubt, [REFUSED, CANCELLED])) == [
        ("shipping.create", REFUSED),
        ("shipping.cancel", CANCELLED),
    ]


def test_a_shipment_that_was_not_found_is_tried_again_unless_it_is_no_longer_wanted():
    assert decided(after(STARTED), ShipmentNotFound(1, LATER)) == [NO_ANSWER, attempt(2, POST)]
    assert decided(after(STARTED, CancelWanted(ORDER)), ShipmentNotFound(1, LATER)) == [
        NO_ANSWER,
        ShipmentRefused(ORDER, "cancelled"),
        CANCELLED,
    ]


def test_that_an_earlier_attempt_was_not_found_says_nothing_of_a_later_one():
    again = attempt(2, POST)
    assert decided(after(STARTED, again), ShipmentNotFound(1, LATER)) == []
    assert decided(after(STARTED, again, CancelWanted(ORDER)), ShipmentNotFound(1, LATER)) == []
    cancelling = [STARTED, CREATED, CancelStarted(ORDER, 1, LATER), CancelStarted(ORDER, 2, LATER)]
    assert decided(after(*cancelling), CancellationNotFound(1, LATER)) == []


def test_a_shipment_that_turns_up_after_all_is_a_stray_to_be_cancelled_once():
    over = after(STARTED, CancelWanted(ORDER), REFUSED, CANCELLED)
    found = StrayBookingFound(ORDER, "post", "shp-1", "TRK1", START)
    assert decided(over, RecordCreate(CREATED, 1, LATER)) == [found]
    strayed = fold(SHIPMENTS, over, [found])
    assert (strayed.status, strayed.check_at) == ("cancelled", START)
    assert decided(strayed, RecordCreate(CREATED, 1, LATER)) == []


def test_a_cancellation_is_made_once():
    cancelling = [STARTED, CREATED, CancelStarted(ORDER, 1, LATER)]
    assert decided(after(STARTED, CREATED), CANCEL) == cancelling[2:]
    assert decided(after(*cancelling), CANCEL) == []
    assert decided(after(*cancelling), RecordCancel(CANCELLED)) == [CANCELLED]
    assert decided(after(*cancelling, CANCELLED), RecordCancel(CANCELLED)) == []
    assert decided(after(*cancelling, CANCELLED), CANCEL) == []


def test_when_no_carrier_serves_the_destination_the_shipment_is_refused():
    assert decided(after(), StartCreate(ORDER, LATER, ())) == [ShipmentRefused(ORDER, "not_served")]


def test_a_carrier_that_refuses_is_not_asked_again_and_the_next_is():
    refused = CarrierFailed(ORDER, "post", "address_not_served", refused=True)
    assert decided(after(OF_TWO), RecordCreate(REFUSED, 1, LATER)) == [refused, attempt(2, FAST)]
    second = after(OF_TWO, refused, attempt(2, FAST))
    assert (second.carrier, second.offers) == ("fast", (FAST,))
    assert decided(second, RecordCreate(REFUSED, 2, LATER)) == [REFUSED]


def test_the_refusal_of_an_earlier_attempt_says_nothing_of_the_next_carrier():
    second = after(OF_TWO, DOWN, attempt(2, FAST))
    assert decided(second, RecordCreate(REFUSED, 1, LATER)) == []


def test_what_an_earlier_carrier_created_after_all_is_looked_up_when_it_is_known_who_has_the_parcel():
    late = BookingLookedFor(ORDER, "post", answered=True, look_at=LOOK_AT)
    for failed, events in ((NO_ANSWER, []), (DOWN, [late])):
        second = after(OF_TWO, failed, attempt(2, FAST))
        assert decided(second, RecordCreate(CREATED, 1, LATER)) == events
        second = fold(SHIPMENTS, second, events)
        assert (second.doubts, second.check_at) == ((Doubt("post", LOOK_AT),), LOOK_AT)
        assert decided(second, RecordLook("post", CREATED)) == []
        other = ShipmentCreated(ORDER, "shp-2", "TRK2", "fast")
        third = fold(SHIPMENTS, second, [other])
        assert decided(third, RecordLook("post", CREATED)) == [
            StrayBookingFound(ORDER, "post", "shp-1", "TRK1", START)
        ]


def test_of_carriers_that_are_down_each_is_asked_once_and_then_nothing_is_in_doubt():
    assert decided(after(OF_TWO), CarrierIsDown(1, LATER)) == [DOWN, attempt(2, FAST)]
    second = after(OF_TWO, DOWN, attempt(2, FAST))
    fast_down = CarrierFailed(ORDER, "fast", "out_of_service", refused=False)
    assert decided(second, CarrierIsDown(2, LATER)) == [fast_down]
    waiting = fold(SHIPMENTS, second, [fast_down])
    assert (waiting.status, waiting.intent) == ("creating", None)
    # The command comes again, or its undo, which need not ask anybody.
    assert decided(waiting, CREATE) == [attempt(3, POST)]
    assert decided(waiting, CANCEL) == [ShipmentRefused(ORDER, "cancelled"), CANCELLED]


def test_a_carrier_that_did_not_answer_and_has_nothing_is_passed_over_until_all_were_asked():
    assert decided(after(OF_TWO), ShipmentNotFound(1, LATER)) == [NO_ANSWER, attempt(2, FAST)]
    second = after(OF_TWO, NO_ANSWER, attempt(2, FAST))
    fast_silent = CarrierFailed(ORDER, "fast", "no_answer", refused=False, look_at=LOOK_AT)
    assert decided(second, ShipmentNotFound(2, LATER)) == [fast_silent, attempt(3, POST)]


def test_a_shipment_that_is_no_longer_wanted_is_offered_to_no_other_carrier():
    doubt = after(OF_TWO, CancelWanted(ORDER))
    assert decided(doubt, RecordCreate(REFUSED, 1, LATER)) == [REFUSED, CANCELLED]
    gone = [ShipmentRefused(ORDER, "cancelled"), CANCELLED]
    assert decided(doubt, CarrierIsDown(1, LATER)) == gone
    assert decided(doubt, ShipmentNotFound(1, LATER)) == [NO_ANSWER, *gone]


commands = st.sampled_from(
    [
        CREATE,
        CANCEL,
        *(RecordCreate(CREATED, attempt, LATER) for attempt in (1, 2, 3)),
        *(RecordCreate(REFUSED, attempt, LATER) for attempt in (1, 2, 3)),
        *(CarrierIsDown(attempt, LATER) for attempt in (1, 2, 3)),
        RecordCancel(CANCELLED),
        *(ShipmentNotFound(attempt, LATER) for attempt in (1, 2, 3)),
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
    if state.intent is None:
        last = [event for event in events if not isinstance(event, BookingLookedFor)][-1:]
        waits = any(isinstance(event, CarrierFailed) for event in last)
        assert state.status not in ("creating", "cancelling") or (state.status == "creating" and waits)
    else:
        assert state.status in ("creating", "cancelling")
