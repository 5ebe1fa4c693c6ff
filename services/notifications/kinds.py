"""What somebody can be told of: the kinds of notification, and what a template of each may use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from core.json import Json

type Audience = Literal["customer", "operators"]


@dataclass(frozen=True, slots=True)
class Kind:
    """`transactional`: the customer cannot switch it off, because money or the contract is concerned.

    `urgent`: it is sent in quiet hours too, on every channel, because it is of no use after them.
    `sample`: the parameters of an example; a template may use these names and no others. A parameter named
    `amount` is in minor units of the parameter `currency`.
    """

    name: str
    audience: Audience
    transactional: bool
    sample: Mapping[str, Json]
    urgent: bool = False


def _of_order(**parameters: Json) -> Mapping[str, Json]:
    return {"order_id": "ord-smkhwqmnvgr362srwtee", **parameters}


def _of_return(**parameters: Json) -> Mapping[str, Json]:
    return _of_order(return_id="ord-smkhwqmnvgr362srwtee-r1", **parameters)


_STOCK: Mapping[str, Json] = {"sku": "TEAPOT", "available": 4, "threshold": 5}

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("order_confirmed", "customer", True, _of_order(total=4990, currency="GBP", replaces="")),
        Kind("order_payment_pending", "customer", True, _of_order(), urgent=True),
        Kind("order_shipped", "customer", False, _of_order(tracking_number="SBX-4711")),
        Kind(
            "order_cancelled",
            "customer",
            True,
            _of_order(reason="payment_failed:card_declined", replaced_by=""),
        ),
        Kind("order_refunded", "customer", True, _of_order(amount=4990, currency="GBP")),
        Kind("order_delivered", "customer", False, _of_order(tracking_number="SBX-4711")),
        Kind("order_out_for_delivery", "customer", False, _of_order(tracking_number="SBX-4711")),
        Kind(
            "order_delivery_exception",
            "customer",
            False,
            _of_order(tracking_number="SBX-4711", detail="address incomplete"),
        ),
        Kind("order_returned_to_sender", "customer", True, _of_order(tracking_number="SBX-4711", detail="")),
        Kind("return_approved", "customer", True, _of_return()),
        Kind("return_rejected", "customer", True, _of_return(reason="outside the 30 days")),
        Kind("return_label_created", "customer", True, _of_return(tracking_number="SBX-4712")),
        Kind("return_refunded", "customer", True, _of_return(amount=4990, currency="GBP")),
        Kind("return_cancelled", "customer", True, _of_return(reason="parcel_not_received")),
        Kind(
            "return_needs_attention",
            "operators",
            True,
            _of_return(step="refund", reason="no_answer", attempts=5),
        ),
        Kind("return_parcel_unexpected", "operators", True, _of_return(status="cancelled")),
        Kind(
            "parcel_needs_attention",
            "operators",
            True,
            _of_order(
                return_id="",
                carrier="sandbox-post",
                shipment_id="shp-4711",
                tracking_number="SBX-4711",
                reason="stray_not_cancelled",
            ),
        ),
        Kind(
            "payment_difference",
            "operators",
            True,
            _of_order(
                about="charge",
                payment_id="pi_4711",
                part="",
                gateway_amount=4990,
                recorded_amount=0,
                currency="GBP",
                recorded_currency="",
            ),
        ),
        Kind("order_needs_attention", "operators", True, _of_order(step="payment", attempts=5)),
        Kind("stock_low", "operators", True, _STOCK),
        Kind("stock_recovered", "operators", True, {**_STOCK, "available": 40}),
    )
}


def of_customers() -> tuple[str, ...]:
    return tuple(kind.name for kind in KINDS.values() if kind.audience == "customer")
