"""What becomes of news of a parcel: recorded on its stream, then told on the topic `service-events`.

A crash between both is mended by the redelivery: what the command put on the stream is told again.
"""

import logging
from dataclasses import replace
from functools import partial

from core.bus import Bus, OutgoingMessage
from core.clock import Clock
from core.contracts import InvalidContract
from core.decider import Cause, RecordedEvent, execute, history, load
from core.documents import Documents
from core.envelope import Envelope, check_command, to_message, wrap
from core.resilience import TransientError
from core.telemetry import child_traceparent, log
from services.shipping.calls import Carriers
from services.shipping.decider import SHIPMENTS, ShipmentCommand
from services.shipping.events import PUBLISHED
from services.shipping.messages import CheckBookings, CheckParcel, TrackParcel
from services.shipping.state import Shipment
from services.shipping.stray_handlers import look_and_cancel, look_early
from services.shipping.strays import is_known
from services.shipping.tracking import News, RecordNews, RecordSilence

SERVICE_EVENTS = "service-events"

logger = logging.getLogger("orderflow.shipping")


class NotCreatedYet(TransientError):
    """News of a parcel whose creation is yet to be recorded: they are faster than the carrier's answer."""


async def track(
    documents: Documents, bus: Bus, carriers: Carriers, command: Envelope, told: TrackParcel
) -> None:
    """News of a shipment that is not known may be of a carrier that was given up: that is looked up at once.

    Raises InvalidContract, NotCreatedYet and the transient errors of documents and bus.
    """
    parcel, shipment_id = told.parcel_id, told.shipment_id
    check_command(command, parcel, told.event_id)
    record = partial(_record, documents, carriers.clock, command, parcel)
    news = RecordNews(shipment_id, News(told.event_id, told.status, told.at, told.detail))
    state = await record(news)
    if state.doubts and not is_known(state, shipment_id):
        await look_early(carriers, parcel, state, record)
        state = await record(news)
    if not is_known(state, shipment_id):
        if state.status == "creating":
            raise NotCreatedYet(f"{parcel} has news and is yet to be created")
        if not (state.shipment_id or state.doubts or state.strays):
            raise InvalidContract(f"parcel_id: no carrier has a parcel of {parcel!r}")
        log(logger, logging.ERROR, "news of another shipment", shipment_id=shipment_id)
    await _tell(documents, bus, command, parcel)


async def check_bookings(
    documents: Documents, bus: Bus, carriers: Carriers, command: Envelope, told: CheckBookings
) -> None:
    """Raises InvalidContract and the transient errors of documents and bus."""
    parcel = told.parcel_id
    check_command(command, parcel, check_part(told))
    loaded = await load(documents, SHIPMENTS, parcel)
    if loaded.version == told.version:
        record = partial(_record, documents, carriers.clock, command, parcel)
        await look_and_cancel(carriers, parcel, loaded.state, record)
    await _tell(documents, bus, command, parcel)


async def check_parcel(
    documents: Documents, bus: Bus, carriers: Carriers, command: Envelope, told: CheckParcel
) -> None:
    """Raises InvalidContract, OutcomeUnknown and the transient errors of documents and bus."""
    parcel = told.parcel_id
    check_command(command, parcel, check_part(told))
    loaded = await load(documents, SHIPMENTS, parcel)
    clock = carriers.clock
    if loaded.version == told.version and loaded.state.awaits_news:
        known = frozenset(loaded.state.news)
        carrier = carriers.named(loaded.state.carrier)
        found = await carrier.track(parcel, loaded.state.shipment_id)
        fresh = [news for news in found if news.event_id not in known]
        for news in fresh:
            await _record(documents, clock, command, parcel, RecordNews(loaded.state.shipment_id, news))
        if not fresh:
            await _record(documents, clock, command, parcel, RecordSilence())
    await _tell(documents, bus, command, parcel)


def check_part(told: CheckParcel | CheckBookings) -> str:
    """What follows the parcel in the id of its command: one for each version."""
    return f"v{told.version}"


async def _record(
    documents: Documents, clock: Clock, command: Envelope, parcel: str, start: ShipmentCommand
) -> Shipment:
    cause = Cause(command.id, command.correlation_id, command.id, command.traceparent, command.source)
    return (await execute(documents, SHIPMENTS, parcel, start, cause, clock.now())).state


async def _tell(documents: Documents, bus: Bus, command: Envelope, parcel: str) -> None:
    """What this command has put on the stream, now or in an earlier delivery."""
    events = await history(documents, SHIPMENTS, parcel)
    told = [e for e in events if e.causation_id == command.id and e.type in PUBLISHED]
    if told:
        await bus.send(SERVICE_EVENTS, [event_message(event) for event in told])


def event_message(event: RecordedEvent) -> OutgoingMessage:
    """MessageId = event id: the topic drops what is sent twice."""
    envelope = wrap(
        event.data,
        id=event.event_id,
        source="shipping",
        subject=event.data.order_id,
        time=event.time,
        correlation_id=event.data.order_id,
        causation_id=event.causation_id,
        traceparent=child_traceparent(event.traceparent, event.event_id),
    )
    return replace(to_message(envelope), message_id=event.event_id)
