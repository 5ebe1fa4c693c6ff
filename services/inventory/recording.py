"""Puts the movements of stock on record, each once, in the order of the SKU's change feed: those that were
booked, and those of an import that the rules refused. What is refused over HTTP, who refuses it records.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from core.audit import Asked, put_on_record
from core.decider import BrokenStream
from core.documents import Documents
from core.json import JsonObject
from services.inventory.movements import MOVEMENT, REFUSED

RECORDED = frozenset({MOVEMENT, REFUSED})
"""Kinds of documents."""

FIELDS = ("number", "quantity", "reason", "on_hand", "asked", "field", "rule")


async def record_movements(documents: Documents, movements: Sequence[JsonObject]) -> None:
    """Documents of the kinds RECORDED, of one SKU. Raises BrokenStream for what is none."""
    for item in movements:
        try:
            sku, id = (cast(str, item[field]) for field in ("sku", "id"))
            if item["kind"] == REFUSED:
                outcome, at, correlation_id = "refused", item["refused_at"], cast(str, item["import_id"])
                type_ = cast(JsonObject, item["asked"])["type"]
            else:
                outcome, at, correlation_id = "accepted", item["time"], sku
                type_ = item["movement"]
            time = datetime.fromisoformat(cast(str, at))
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenStream(f"movement {item.get('id')} of {item.get('sku')}: {error}") from error
        what: JsonObject = {field: item[field] for field in FIELDS if field in item}
        asked = Asked(sku, f"inventory.{type_}", "operator", correlation_id)
        await put_on_record(documents, asked, outcome, what, time, id=id)
