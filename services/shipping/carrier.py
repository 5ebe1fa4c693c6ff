"""The carrier, as shipping needs it."""

from typing import Protocol

from services.shipping.messages import Address, ShipmentCancelled, ShipmentCreated, ShipmentRefused


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
