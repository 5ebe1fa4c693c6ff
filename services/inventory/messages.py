"""What inventory is told and what it answers."""

from dataclasses import dataclass
from datetime import datetime

from core.contracts import contract


@dataclass(frozen=True, slots=True)
class ReserveLine:
    """`quantity` is at least 1; one line per SKU."""

    sku: str
    quantity: int


@contract("inventory.reserve")
@dataclass(frozen=True, slots=True)
class Reserve:
    """Hold all lines or none. The holds expire at `expires_at`, never before the saga's deadline."""

    order_id: str
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


@contract("inventory.release")
@dataclass(frozen=True, slots=True)
class Release:
    """Undoes `inventory.reserve`."""

    order_id: str


@contract("inventory.released")
@dataclass(frozen=True, slots=True)
class Released:
    order_id: str
