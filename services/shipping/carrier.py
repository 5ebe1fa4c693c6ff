"""The carrier, as shipping needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.shipping.messages import Address, ShipmentCancelled, ShipmentCreated, ShipmentRefused
from services.shipping.tracking import News


class Carrier(Protocol):
    """`key` is an idempotency key: a repeat under the same key, soon enough, is the same call.

    All raise OutsideUnavailable (nothing was done; worth repeating) and may take for ever: the caller sets a
    limit.
    """

    async def create(
        self, key: str, order_id: str, address: Address, delivery: str, pieces: int
    ) -> ShipmentCreated | ShipmentRefused: ...

    async def find_shipment(self, order_id: str) -> ShipmentCreated | ShipmentRefused | None:
        """What became of the order's shipment, whether or not it was cancelled since. None: no such one."""
        ...

    async def cancel(self, key: str, order_id: str, shipment_id: str) -> ShipmentCancelled: ...

    async def find_cancellation(self, order_id: str) -> ShipmentCancelled | None: ...

    async def track(self, order_id: str, shipment_id: str) -> Sequence[News]:
        """All that the carrier has to tell of a shipment, the oldest first."""
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
