"""Cancelled invoices of the Online Retail data set as returns of the customer's earlier orders.

An invoice whose number starts with C takes back what an earlier one sold; the file does not say which. It is
a return of the latest earlier order of the customer that has all of it: each line's stock code, at its price,
in as many pieces as no other return took before. One that fits no order is skipped under a reason, never
guessed at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.api import NewOrder
from tools.retail import Invoice

CANCELLATION = "cancellation"
"""The reason under which tools/retail.py skips these invoices as orders."""

SKIP_REASONS = ("cancellation_without_customer", "cancellation_of_no_order", "cancellation_that_sells")
"""In this order; `cancellation_that_sells` has a line whose quantity is not negative."""


@dataclass(frozen=True, slots=True)
class GoodsBack:
    """Pieces by line, counted from 1, of the order of `invoice`."""

    number: str
    invoice: str
    pieces: Mapping[int, int]


@dataclass(slots=True)
class _Sold:
    number: str
    order: NewOrder
    left: list[int]

    def take(self, cancelled: Invoice) -> dict[int, int] | None:
        """None when it does not have all of it; else it has so much less."""
        left = list(self.left)
        for line in cancelled.lines:
            wanted = -line.quantity
            for index, sold in enumerate(self.order.lines):
                if sold.sku == line.stock_code and sold.unit_price == line.unit_price * 100:
                    taken = min(left[index], wanted)
                    left[index] -= taken
                    wanted -= taken
            if wanted:
                return None
        pieces = {
            index + 1: before - after
            for index, (before, after) in enumerate(zip(self.left, left, strict=True))
            if before != after
        }
        self.left = left
        return pieces


def match_returns(
    invoices: Sequence[Invoice], orders: Mapping[str, NewOrder]
) -> tuple[list[GoodsBack], dict[str, str]]:
    """The returns, and why the other cancellations are none, by their numbers.

    `invoices` in file order, `orders` by invoice number.
    """
    sold: dict[str, list[_Sold]] = {}
    returns: list[GoodsBack] = []
    skipped: dict[str, str] = {}
    for invoice in invoices:
        if invoice.number in orders:
            order = orders[invoice.number]
            left = [line.quantity for line in order.lines]
            sold.setdefault(order.customer_id, []).append(_Sold(invoice.number, order, left))
        elif invoice.number.upper().startswith("C"):
            found = _match(invoice, sold)
            if isinstance(found, GoodsBack):
                returns.append(found)
            else:
                skipped[invoice.number] = found
    return returns, skipped


def _match(invoice: Invoice, sold: Mapping[str, list[_Sold]]) -> GoodsBack | str:
    without_customer, of_no_order, that_sells = SKIP_REASONS
    if "" in invoice.customers or len(invoice.customers) > 1:
        return without_customer
    if any(line.quantity >= 0 for line in invoice.lines):
        return that_sells
    [customer] = invoice.customers
    for earlier in reversed(sold.get(customer, [])):
        pieces = earlier.take(invoice)
        if pieces is not None:
            return GoodsBack(invoice.number, earlier.number, pieces)
    return of_no_order
