"""What inventory tells others unasked, on the topic `service-events`; the subject is the SKU."""

from dataclasses import dataclass

from core.contracts import contract


@contract("inventory.stock_low")
@dataclass(frozen=True, slots=True)
class StockLow:
    """No more than `threshold` pieces can be sold; `available` could when that was noticed."""

    sku: str
    available: int
    threshold: int


@contract("inventory.stock_recovered")
@dataclass(frozen=True, slots=True)
class StockRecovered:
    """The SKU was low and has its margin above `threshold` again."""

    sku: str
    available: int
    threshold: int
