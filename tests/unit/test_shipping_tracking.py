"""The rules of news of a parcel, without any I/O."""

from collections.abc import Sequence
from datetime import timedelta
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from core.decider import fold
from services.shipping.decider import SHIPMENTS
from services.shipping.events import (
    CancelStarted,
    CreateStarted,
    DeliveryException,
    OutForDelivery,
    ParcelDelivered,
    ParcelLookedFor,
    ParcelNeedsAttention,
    ParcelTracked,
    Published,
    ReturnedToSender,
    ReturnReceived,
    ShipmentEvent,
)
from services.shipping.messages import ShipmentCancelled, ShipmentCreated, TrackingStatus
from services.shipping.state import LOOKS, Shipment
from services.shipping.tracking import NEWS_KEPT, News, RecordNews, RecordSilence
from tests.fakes import START

ORDER = "ord-1"
RETURN = "ord-1-r1"
STATUSES: Sequence[TrackingStatus] = get_args(TrackingStatus.__value__)


def created(return_of: str = "") -> Shipment:
    key = RETURN if return_of else ORDER
    events: list[ShipmentEvent] = [
        CreateStarted(key, 1, START, return_of),
        ShipmentCreated(key, "shp-1", "TRK1"),
    ]
    return fold(SHIPMENTS, SHIPMENTS.initial, events)


def news(status: TrackingStatus, minute: int, id: str = "", detail: str = "") -> News:
    return News(id or f"evt-{status}-{minute}", status, START + timedelta(minutes=minute), detail)


def hear(state: Shipment, *told: News, shipment_id: str = "shp-1") -> tuple[Shipment, list[ShipmentEvent]]:
    events: list[ShipmentEvent] = []
    for each in told:
        new = list(SHIPMENTS.decide(state, RecordNews(shipment_id, each), START))
        state = fold(SHIPMENTS, state, new)
        events += new
    return state, events


def published(events: Sequence[ShipmentEvent]) -> list[ShipmentEvent]:
    return [event for event in events if isinstance(event, get_args(Published.__value__))]


def test_a_parcel_goes_its_way_and_each_step_that_somebody_waits_for_is_told():
    way = [news("in_transit", 1), news("out_for_delivery", 2), news("delivered", 3)]
    state, events = hear(created(), *way)
    assert published(events) == [
        OutForDelivery(ORDER, "shp-1", "TRK1", way[1].at),
        ParcelDelivered(ORDER, "shp-1", "TRK1", way[2].at),
    ]
    assert [event.status for event in events if isinstance(event, ParcelTracked)] == [
        "in_transit",
        "out_for_delivery",
        "delivered",
    ]
    assert (state.tracking, state.awaits_news) == ("delivered", False)


def test_news_that_come_after_the_delivery_are_recorded_and_change_nothing_else():
    delivered, _ = hear(created(), news("delivered", 3))
    state, events = hear(delivered, news("in_transit", 1), news("out_for_delivery", 9))
    assert [type(event) for event in events] == [ParcelTracked, ParcelTracked]
    assert (state.tracking, state.tracked_at) == (delivered.tracking, delivered.tracked_at)


def test_the_same_news_decide_nothing_a_second_time():
    state, _ = hear(created(), news("delivered", 3))
    assert hear(state, news("delivered", 3)) == (state, [])


def test_a_second_delivery_is_recorded_and_not_told():
    state, _ = hear(created(), news("delivered", 3))
    _, events = hear(state, news("delivered", 4))
    assert [type(event) for event in events] == [ParcelTracked]


def test_what_goes_back_was_not_delivered_whatever_is_said_before_or_after():
    back = ReturnedToSender(ORDER, "shp-1", "TRK1", START + timedelta(minutes=2), "refused")
    for way in (
        [news("returned_to_sender", 2, detail="refused"), news("delivered", 3)],
        [news("delivered", 3), news("returned_to_sender", 2, detail="refused")],
    ):
        state, events = hear(created(), *way)
        assert state.tracking == "returned_to_sender"
        people = ParcelNeedsAttention(ORDER, "", "", "shp-1", "TRK1", "returned_to_sender")
        assert published(events)[-2:] == [back, people]


def test_an_exception_is_told_each_time_that_it_comes_up():
    way = [news("exception", 1, detail="damaged"), news("in_transit", 2), news("exception", 3, detail="lost")]
    state, events = hear(created(), *way, news("exception", 4, detail="lost"))
    told = [event.detail for event in published(events) if isinstance(event, DeliveryException)]
    assert told == ["damaged", "lost"]
    assert state.awaits_news


def test_the_parcel_of_a_return_that_arrives_is_received_and_nobody_waits_for_its_other_news():
    state = created(return_of=ORDER)
    _, events = hear(state, news("out_for_delivery", 1), news("delivered", 2))
    assert published(events) == [ReturnReceived(ORDER, RETURN, "shp-1", START + timedelta(minutes=2))]


def test_the_parcel_of_a_return_that_goes_back_to_the_customer_is_an_exception():
    _, events = hear(created(return_of=ORDER), news("returned_to_sender", 1, detail="refused"))
    at = START + timedelta(minutes=1)
    assert published(events) == [
        DeliveryException(ORDER, RETURN, "shp-1", "TRK1", at, "returned_to_sender"),
        ParcelNeedsAttention(ORDER, RETURN, "", "shp-1", "TRK1", "returned_to_sender"),
    ]


def test_news_of_another_shipment_or_of_none_are_not_recorded():
    assert hear(created(), news("delivered", 1), shipment_id="shp-2")[1] == []
    assert hear(SHIPMENTS.initial, news("delivered", 1), shipment_id="")[1] == []


def test_a_parcel_that_is_cancelled_is_awaited_no_more_but_its_news_are_recorded():
    events = [CancelStarted(ORDER, 1, START), ShipmentCancelled(ORDER)]
    state = fold(SHIPMENTS, created(), events)
    assert not state.awaits_news
    state, heard = hear(state, news("exception", 1))
    assert ([type(event) for event in heard], state.awaits_news) == ([ParcelTracked], False)
    assert state.status == "cancelled"


def test_a_parcel_that_is_cancelled_and_moves_is_for_people_once_and_not_for_the_customer():
    state = fold(SHIPMENTS, created(), [CancelStarted(ORDER, 1, START), ShipmentCancelled(ORDER)])
    _, heard = hear(state, news("in_transit", 1), news("out_for_delivery", 2), news("exception", 3))
    told = ParcelNeedsAttention(ORDER, "", "", "shp-1", "TRK1", "cancelled_moves")
    assert published(heard) == [told]


def test_of_too_many_news_only_what_is_final_is_recorded():
    state, _ = hear(created(), *(news("in_transit", minute) for minute in range(NEWS_KEPT)))
    assert hear(state, news("exception", 500))[1] == []
    _, events = hear(state, news("delivered", 501))
    assert [type(event) for event in events] == [ParcelTracked, ParcelDelivered]


def test_a_parcel_that_is_never_heard_of_is_an_exception_after_so_many_looks_and_then_left_alone():
    state = created()
    events: list[ShipmentEvent] = []
    for _ in range(LOOKS + 3):
        new = list(SHIPMENTS.decide(state, RecordSilence(), START))
        state, events = fold(SHIPMENTS, state, new), events + new
    assert [type(event) for event in events[:LOOKS]] == [ParcelLookedFor] * LOOKS
    assert events[LOOKS:] == [
        DeliveryException(ORDER, "", "shp-1", "TRK1", START, "no_news"),
        ParcelNeedsAttention(ORDER, "", "", "shp-1", "TRK1", "no_news"),
    ]
    assert not state.awaits_news


def test_news_begin_the_count_of_vain_looks_again_also_after_it_was_given_up():
    state = created()
    for _ in range(LOOKS):
        state = fold(SHIPMENTS, state, SHIPMENTS.decide(state, RecordSilence(), START))
    state, _ = hear(state, news("in_transit", 1))
    assert (state.awaits_news, state.looks) == (True, 0)


heard = st.lists(
    st.builds(
        news, st.sampled_from(STATUSES), st.integers(0, 5), st.integers(0, 9).map(lambda n: f"evt-{n}")
    ),
    max_size=10,
    unique_by=lambda each: each.event_id,
)


@settings(max_examples=300, deadline=None)
@given(heard, st.randoms(use_true_random=False))
def test_in_whatever_order_and_however_often_news_come_the_end_is_the_same(told, random):
    state, _ = hear(created(), *told)
    other = told * 2
    random.shuffle(other)
    shuffled, events = hear(created(), *other)
    assert (shuffled.tracking, shuffled.tracked_at, shuffled.awaits_news) == (
        state.tracking,
        state.tracked_at,
        state.awaits_news,
    )
    assert sorted(shuffled.news) == sorted(each.event_id for each in told)
    statuses = {each.status for each in told}
    if statuses & {"delivered", "returned_to_sender"}:
        assert state.tracking in ("delivered", "returned_to_sender")
    assert sum(isinstance(event, ParcelDelivered) for event in events) <= 1
    assert sum(isinstance(event, ReturnedToSender) for event in events) == ("returned_to_sender" in statuses)
