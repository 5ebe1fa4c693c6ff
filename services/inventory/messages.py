"""What inventory is told and what it answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from core.contracts import Id, contract

type Quantity = Annotated[int, Field(lt=2**43)]
"""So that the sum of 1,000 lines of one SKU stays below 2^53: Cosmos DB keeps larger integers inexactly."""


@dataclass(frozen=True, slots=True)
class ReserveLine:
    """`quantity` is at least 1; one line per SKU."""

    sku: Id
    quantity: Quantity


@contract("inventory.reserve")
@dataclass(frozen=True, slots=True)
class Reserve:
    """Hold all lines or none. The holds expire at `expires_at`, never before the saga's deadline."""

    order_id: Id
    lines: tuple[ReserveLine, ...]
    expires_at: datetime


@contract("inventory.reserved")
@dataclass(frozen=True, slots=True)
class Reserved:
    order_id: str


@contract("inventory.rejected")
@dataclass(frozen=True, slots=True)
class Rejected:
    """`reason` is `out_of_stock`, `unknown_sku` or `released` (the undo came first)."""

    order_id: str
    reason: str
    sku: str


@contract("inventory.extend_hold")
@dataclass(frozen=True, slots=True)
class ExtendHold:
    """The order takes longer than was thought: its holds expire at `expires_at`, if that is later. Not
    answered: nobody goes on because of it."""

    order_id: Id
    expires_at: datetime


@contract("inventory.release")
@dataclass(frozen=True, slots=True)
class Release:
    """Undoes `inventory.reserve`."""

    order_id: Id


@contract("inventory.released")
@dataclass(frozen=True, slots=True)
class Released:
    order_id: str


@dataclass(frozen=True, slots=True)
class RestockLine:
    """What came back of one SKU: pieces that can be sold again, and pieces that cannot."""

    sku: Id
    restocked: Annotated[Quantity, Field(ge=0)]
    written_off: Annotated[Quantity, Field(ge=0)]


@contract("inventory.restock")
@dataclass(frozen=True, slots=True)
class Restock:
    """Take back goods of an order that were shipped. `lines`, one per SKU, are what the inspection found."""

    order_id: Id
    return_id: Id
    lines: tuple[RestockLine, ...]


@contract("inventory.restocked")
@dataclass(frozen=True, slots=True)
class Restocked:
    order_id: str
    return_id: str


@contract("inventory.restock_refused")
@dataclass(frozen=True, slots=True)
class RestockRefused:
    """`reason` is `not_shipped` or `more_than_shipped` (less what came back before); nothing was booked.

    `sku` is the first that breaks the rule, empty when nothing of the order was shipped.
    """

    order_id: str
    return_id: str
    reason: str
    sku: str


@contract("inventory.import_chunk")
@dataclass(frozen=True, slots=True)
class ImportChunk:
    """Book the rows of one chunk of an import. Not answered: the import's report tells."""

    import_id: Id
    number: Annotated[int, Field(ge=1)]
