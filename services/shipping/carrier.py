"""The carrier, as shipping needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.shipping.label import LabelFormat
from services.shipping.messages import Address, Content, ShipmentCancelled, ShipmentCreated, ShipmentRefused
from services.shipping.offers import NotServed, Offer
from services.shipping.tracking import News


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is to be sent. `return_of` is the order whose goods it brings back, from `address` to the shop;
    empty for the parcel of an order, which goes to `address`. `contents` are valued in `currency`.
    """

    parcel_id: str
    address: Address
    delivery: str
    pieces: int
    return_of: str = ""
    contents: tuple[Content, ...] = ()
    currency: str = ""


class Carrier(Protocol):
    """`key` is an idempotency key: a repeat under the same key, soon enough, is the same call.

    All raise OutsideUnavailable when certainly nothing was done, OutcomeUnknown when that is not certain, and
    may take for ever: their policy sets a limit (docs/resilience.md).
    """

    @property
    def name(self) -> str: ...

    async def quote(self, parcel: Parcel) -> Sequence[Offer] | NotServed:
        """No offer for a destination that it does not serve, and NotServed where it has more to say of it.
        Nothing is ordered by it.
        """
        ...

    async def create(self, key: str, parcel: Parcel, service: str) -> ShipmentCreated | ShipmentRefused:
        """A repeat, however late, finds the shipment that there is of this parcel."""
        ...

    async def find_shipment(self, parcel_id: str) -> ShipmentCreated | ShipmentRefused | None:
        """What became of the shipment, whether or not it was cancelled since. None: no such one."""
        ...

    async def cancel(self, key: str, parcel_id: str, shipment_id: str) -> ShipmentCancelled: ...

    async def find_cancellation(self, parcel_id: str, shipment_id: str) -> ShipmentCancelled | None: ...

    async def track(self, parcel_id: str, shipment_id: str) -> Sequence[News]:
        """All that the carrier has to tell of a shipment, the oldest first."""
        ...

    async def label(self, parcel_id: str, shipment_id: str, format: LabelFormat) -> bytes | None:
        """None: the carrier gives none, so that we make it."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """What a webhook says. `parcel_id` is empty when the carrier does not name it."""

    shipment_id: str
    news: News
    parcel_id: str = ""


class Webhooks(Protocol):
    """How a carrier tells of a parcel. `carrier` is the last part of the endpoint's path; `header` bears the
    signature.
    """

    @property
    def carrier(self) -> str: ...

    @property
    def header(self) -> str: ...

    def read(self, body: bytes, headers: Mapping[str, str], path: str, now: datetime) -> Notice | None:
        """None: genuine, but not news of a parcel. `headers` by lower-case name.

        Raises BadSignature (core/signatures.py), InvalidContract: genuine, and not of the form that it is to
        have.
        """
        ...
