"""Puts the movements of stock on record, each once, in the order of the SKU's change feed."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from core.audit import Asked, put_on_record
from core.decider import BrokenStream
from core.documents import Documents
from core.json import JsonObject

FIELDS = ("number", "quantity", "reason", "on_hand", "asked")


async def record_movements(documents: Documents, movements: Sequence[JsonObject]) -> None:
    """Documents of kind `movement`, of one SKU. Raises BrokenStream for what is none."""
    for item in movements:
        try:
            sku, id, type_ = (cast(str, item[field]) for field in ("sku", "id", "movement"))
            at = datetime.fromisoformat(cast(str, item["time"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenStream(f"movement {item.get('id')} of {item.get('sku')}: {error}") from error
        what: JsonObject = {field: item[field] for field in FIELDS if field in item}
        await put_on_record(
            documents, Asked(sku, f"inventory.{type_}", "operator", sku), "accepted", what, at, id=id
        )
