"""Labels: made when somebody asks for one first, kept as blobs, read by URLs that expire."""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core.blobs import BlobNotFound, Blobs
from core.decider import Rejection, load
from core.documents import Documents
from services.shipping.calls import Carriers
from services.shipping.decider import SHIPMENTS
from services.shipping.label import CONTENT_TYPES, Label, LabelFormat
from services.shipping.label_zpl import label_zpl
from services.shipping.messages import Address
from services.shipping.state import Shipment
from services.shipping.views import ShipmentNotFound

URL_S: Final = 900
"""Long enough to print it; who needs it later asks again."""


class NoLabel(Rejection):
    def __init__(self, status: str) -> None:
        super().__init__("no_label", f"a shipment that is {status} has no label")


@dataclass(frozen=True, slots=True)
class LabelUrl:
    """Whoever has it may read the label until then."""

    url: str
    content_type: str
    expires_at: datetime


async def label_url(
    documents: Documents, blobs: Blobs, carriers: Carriers, shop: Address, parcel_id: str, format: LabelFormat
) -> LabelUrl:
    """Of the carrier's own label; where it gives none, of ours. Who asks first makes it; two at a time make
    the same.

    Raises ShipmentNotFound, NoLabel, OutcomeUnknown, OutsideUnavailable and the transient errors of documents
    and blobs; repeating is safe.
    """
    loaded = await load(documents, SHIPMENTS, parcel_id)
    if not loaded.version:
        raise ShipmentNotFound
    state = loaded.state
    if state.status != "created":
        raise NoLabel(state.status)
    name = _blob_name(state, format)
    try:
        await blobs.get(name)
    except BlobNotFound:
        await blobs.put(name, await _made(carriers, shop, state, format), CONTENT_TYPES[format])
    expires_at = carriers.clock.now() + timedelta(seconds=URL_S)
    return LabelUrl(await blobs.read_url(name, URL_S), CONTENT_TYPES[format], expires_at)


def _blob_name(state: Shipment, format: LabelFormat) -> str:
    """Keys may hold what names of blobs may not."""
    digest = hashlib.sha256(f"{state.order_id}\n{state.carrier}\n{state.shipment_id}".encode()).hexdigest()
    return f"labels/{digest[:40]}.{format}"


async def _made(carriers: Carriers, shop: Address, state: Shipment, format: LabelFormat) -> bytes:
    carrier = carriers.named(state.carrier)
    own = await carrier.label(state.order_id, state.shipment_id, format)
    if own is not None:
        return own
    if state.address is None:
        raise NoLabel("from before labels were made")
    sender, recipient = (state.address, shop) if state.return_of else (shop, state.address)
    label = Label(
        state.carrier,
        state.service,
        state.tracking_number,
        sender,
        recipient,
        state.order_id,
        state.pieces,
    )
    return await asyncio.to_thread(_drawn, label, format)  # milliseconds that need not hold up the loop


def _drawn(label: Label, format: LabelFormat) -> bytes:
    """The library for PDF takes a quarter of a second to import, which only who prints should wait for."""
    if format == "zpl":
        return label_zpl(label)
    from services.shipping.label_pdf import label_pdf  # noqa: PLC0415

    return label_pdf(label)
