"""What somebody can be told of: the kinds of notification, and what a template of each may use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from core.json import Json

type Audience = Literal["customer", "operators"]


@dataclass(frozen=True, slots=True)
class Kind:
    """`transactional`: the customer cannot switch it off, because money or the contract is concerned.

    `sample`: the parameters of an example; a template may use these names and no others. A parameter named
    `amount` is in minor units of the parameter `currency`.
    """

    name: str
    audience: Audience
    transactional: bool
    sample: Mapping[str, Json]


_ORDER = {"order_id": "ord-smkhwqmnvgr362srwtee"}
_PARCEL = {**_ORDER, "tracking_number": "SBX-4711"}
_RETURN = {**_ORDER, "return_id": "ord-smkhwqmnvgr362srwtee-r1"}

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("order_shipped", "customer", False, _PARCEL),
        Kind("order_cancelled", "customer", True, {**_ORDER, "reason": "payment_failed:card_declined"}),
        Kind("order_needs_attention", "operators", True, {**_ORDER, "step": "payment", "attempts": 5}),
    )
}


def of_customers() -> tuple[str, ...]:
    return tuple(kind.name for kind in KINDS.values() if kind.audience == "customer")
