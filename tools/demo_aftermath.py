"""What comes after the orders of the demo: a parcel arrives, goods go back, stock runs low, mails go out."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from tools.api import Api

OPERATOR = "shop@example.com"
LOW_SKU = "CUP"
THRESHOLD = 95
"""Of a hundred: the orders of the demo take more than five."""

PATIENCE_S = 30.0
PAUSE_S = 0.2
RETURNED_LINE = 2


async def prepare(api: Api, customer_id: str) -> None:
    """Whom to tell what: the customer by mail, the operator when cups run low."""
    preferences = {"locale": "en", "time_zone": "Europe/London", "email": f"{customer_id}@example.com"}
    await api.put(f"/api/customers/{customer_id}/notification-preferences", preferences)
    await api.put(f"/api/inventory/{LOW_SKU}/threshold", {"threshold": THRESHOLD})


@dataclass(frozen=True, slots=True)
class Aftermath:
    api: Api
    console: Console

    async def show(self, *, returned: str, delivered: str) -> list[str]:
        """What did not come as it should. `returned` and `delivered` are orders."""
        return [
            *await self._delivery(delivered),
            *await self._return(returned),
            *await self._low_stock(),
            *await self._mails(returned, delivered),
        ]

    async def _delivery(self, order_id: str) -> list[str]:
        async def arrived() -> bool:
            types = [event["type"] for event in await self.api.history(order_id)]
            return "orders.delivered" in types

        if not await _soon(arrived):
            return [f"{order_id}: was never delivered"]
        self._say(f"order {order_id} delivered by the carrier")
        return []

    async def _return(self, order_id: str) -> list[str]:
        """One piece of the second line, as good as new."""
        id = await self.api.request_return(order_id, {RETURNED_LINE: 1}, "one too many", "demo-return")
        self._say(f"return {id} requested: one piece of line {RETURNED_LINE}")
        await self.api.returned(id, "awaiting_parcel")
        self._say(f"return {id} approved, label sent")
        await self.api.receive_return(id)
        await self.api.inspect_return(id, [{"line": RETURNED_LINE, "restocked": 1}])
        self._say(f"return {id} received and inspected")
        await self.api.returned(id, "completed")
        found = await self.api.get(f"/api/returns/{id}")
        self._say(f"return {id} completed: {found['refunded']} {found['currency']} (minor units) paid back")
        return []

    async def _low_stock(self) -> list[str]:
        async def low() -> dict[str, Any] | None:
            listed = await self.api.get("/api/inventory?low=true")
            return next((item for item in listed["items"] if item["sku"] == LOW_SKU), None)

        found = await _soon(low)
        if not found:
            return [f"{LOW_SKU}: does not count as low"]
        self._say(f"stock of {LOW_SKU} is low: {found['available']} available, threshold {THRESHOLD}")
        return []

    async def _mails(self, returned: str, delivered: str) -> list[str]:
        """As they lie in the outbox, which stands in for providers here."""
        wanted = {
            "order_delivered": f"order_id={delivered}",
            "return_refunded": f"order_id={returned}",
            "stock_low": f"sku={LOW_SKU}",
        }

        async def all_sent() -> bool:
            return all([await self._is_sent(kind, about) for kind, about in wanted.items()])

        if not await _soon(all_sent):
            return [f"not all of these were sent: {', '.join(wanted)}"]
        mails = (await self.api.get("/api/development/outbox?limit=100"))["items"]
        for mail in reversed(mails):
            self._say(f"mail to {', '.join(mail['to'])}: {mail['title']}")
        return []

    async def _is_sent(self, kind: str, about: str) -> bool:
        found = (await self.api.get(f"/api/notifications?{about}&limit=100"))["items"]
        return any(each["kind"] == kind and each["status"] == "sent" for each in found)

    def _say(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)


async def _soon[R](look: Callable[[], Awaitable[R]]) -> R:
    """What `look` found, as soon as it is anything; or nothing after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := await look()) and time.monotonic() < deadline:  # noqa: ASYNC110  (over HTTP)
        await asyncio.sleep(PAUSE_S)
    return found
