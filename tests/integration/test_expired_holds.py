"""What is found by a payment, and by a parcel, that come after their order's holds have expired.

The whole app, its queues down meanwhile. The time of the holds is moved up, because the real one is a day
longer than any saga takes by itself.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from adapters.embedded.documents import EmbeddedDocuments
from core.documents import SetField
from emulator.host.simulated import Simulated
from emulator.simulation import run_simulated
from tests.simulated import evidence, load_stock, orders_of, problems, running, settle, submit
from tools.api import Line, NewOrder
from tools.evidence import Evidence

OUTAGE_S = 150.0
ORDER = NewOrder("C-1", (Line("GLASS", 2, 250), Line("VASE", 1, 1000)))
EXPIRED = "2020-01-01T00:00:00.000000+00:00"

type Meanwhile = Callable[[Simulated, str], Awaitable[None]]


def is_there(run: Simulated, container: str, status: str) -> bool:
    """A document of this status."""
    statuses = "(body ->> '$.status', body ->> '$.state.status')"
    sql = f"SELECT 1 FROM documents WHERE container = ? AND ? IN {statuses}"  # noqa: S608
    return bool(run.engines.store.read(sql, (container, status)))


async def level(run: Simulated, sku: str) -> dict[str, Any]:
    answer = await run.request("GET", f"/api/inventory/{sku}", {}, b"")
    assert answer.status == 200
    return dict(orjson.loads(answer.body))


async def expired(
    folder: Path, order: NewOrder, when: tuple[str, str], meanwhile: Meanwhile
) -> tuple[str, Evidence, dict[str, dict[str, Any]]]:
    """The order, what was left, and the levels.

    The queues go down and the holds expire once `when` is there, a status in a container; then `meanwhile`.
    """
    async with running(folder) as run:
        await load_stock(run, {"GLASS": 5, "VASE": 5})
        id = await submit(run, order, "late")
        await run.until(lambda: is_there(run, *when), 60, step_s=0.001)
        run.engines.bus.fail_until(run.engines.clock.time() + OUTAGE_S)
        assert is_there(run, "reservations", "reserved")
        documents = EmbeddedDocuments(lambda: run.engines.documents)
        times = [SetField("due_at", EXPIRED), SetField("expires_at", EXPIRED)]
        await documents.patch("reservations", id, "reservation", times)
        await run.until(lambda: is_there(run, "reservations", "released"), 90)
        assert (await level(run, "GLASS"))["available"] == 5
        await meanwhile(run, id)
        await settle(run)
        found = evidence(run, folder, [id])
        return id, found, {sku: await level(run, sku) for sku in ("GLASS", "VASE")}


async def nothing(run: Simulated, order_id: str) -> None:
    return


async def sold_out(run: Simulated, order_id: str) -> None:
    """The shelf is counted, and but one glass is left."""
    body = orjson.dumps({"on_hand": 1, "reason": "sold over the counter"})
    headers = {"content-type": "application/json"}
    assert (await run.request("PUT", "/api/inventory/GLASS", headers, body)).status == 200


PARCEL_LEFT = ("orders", "completed")
CHARGING = ("payments", "charging")


def test_goods_that_had_left_come_from_what_is_available(tmp_path: Path) -> None:
    id, found, levels = run_simulated(expired(tmp_path, ORDER, PARCEL_LEFT, nothing))

    assert problems(found) == []
    assert orders_of(found)[id].status == "completed"
    assert (levels["GLASS"]["available"], levels["GLASS"]["shipped"]) == (3, 2)
    assert (levels["VASE"]["available"], levels["VASE"]["shipped"]) == (4, 1)


def test_what_is_missing_of_them_is_booked_as_a_shortage_that_names_the_order(tmp_path: Path) -> None:
    id, found, levels = run_simulated(expired(tmp_path, ORDER, PARCEL_LEFT, sold_out))

    assert problems(found) == []
    assert orders_of(found)[id].status == "completed"
    glass = levels["GLASS"]
    assert (glass["available"], glass["shipped"], glass["adjusted"]) == (0, 2, -4 + 1)
    reasons = [item["reason"] for item in found.items("inventory", "movement") if item["sku"] == "GLASS"]
    assert len([reason for reason in reasons if reason and id in reason]) == 1


def test_a_payment_that_late_is_given_back_and_nothing_is_released_twice(tmp_path: Path) -> None:
    """The saga gave the payment up long before: it undoes what may have been charged."""
    order = replace(ORDER, payment_method="tok_slow_2")
    id, found, levels = run_simulated(expired(tmp_path, order, CHARGING, sold_out))

    assert problems(found) == []
    assert orders_of(found)[id].status == "cancelled"
    assert [charge["status"] for charge in found.items("sandbox", "charge")] == ["refunded"]
    assert (levels["GLASS"]["available"], levels["GLASS"]["held"], levels["GLASS"]["shipped"]) == (1, 0, 0)
    assert (levels["VASE"]["available"], levels["VASE"]["held"], levels["VASE"]["shipped"]) == (5, 0, 0)
