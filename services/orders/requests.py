"""The commands that the saga sends for an order, made from its state."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from services.inventory.messages import ExtendHold, Release, Reserve, ReserveLine
from services.orders.events import OrderLine
from services.orders.state import OrderState
from services.payments.messages import Charge, Refund
from services.shipping.messages import Address, CancelShipment, Content, CreateShipment


def reserve(state: OrderState, hold_until: datetime) -> Reserve:
    """One line per SKU: an order may name one several times, at different prices."""
    quantities: dict[str, int] = {}
    for line in state.lines:
        quantities[line.sku] = quantities.get(line.sku, 0) + line.quantity
    lines = tuple(ReserveLine(sku, quantity) for sku, quantity in sorted(quantities.items()))
    return Reserve(state.order_id, lines, hold_until)


def extend_hold(state: OrderState, hold_until: datetime) -> ExtendHold:
    return ExtendHold(state.order_id, hold_until)


def charge(state: OrderState, hold_until: datetime) -> Charge:
    return Charge(state.order_id, state.customer_id, state.total, state.currency, state.payment_method)


def address_of(state: OrderState) -> Address:
    """The customer's: a shipment's receiver, a return's sender."""
    at = state.shipping_address
    if at is None:
        raise ValueError(f"order {state.order_id!r} has no shipping address")
    return Address(at.name, at.street, at.city, at.postal_code, at.country)


def contents(pieces: Iterable[tuple[OrderLine, int]]) -> tuple[Content, ...]:
    """What is in a parcel with so many pieces of these lines, at the prices that were paid. By SKU."""
    quantities, values = Counter[str](), Counter[str]()
    for line, quantity in pieces:
        quantities[line.sku] += quantity
        values[line.sku] += line.unit_price * quantity
    return tuple(Content(sku, quantity, values[sku]) for sku, quantity in sorted(quantities.items()))


def create_shipment(state: OrderState, hold_until: datetime) -> CreateShipment:
    return CreateShipment(
        state.order_id,
        address_of(state),
        state.delivery,
        sum(line.quantity for line in state.lines),
        contents((line, line.quantity) for line in state.lines),
        state.currency,
    )


def release(state: OrderState, hold_until: datetime) -> Release:
    return Release(state.order_id)


def refund(state: OrderState, hold_until: datetime) -> Refund:
    return Refund(state.order_id)


def cancel_shipment(state: OrderState, hold_until: datetime) -> CancelShipment:
    return CancelShipment(state.order_id)
