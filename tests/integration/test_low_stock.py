"""A SKU that runs low because of an order, and recovers: the whole app, up to notifications."""

from pathlib import Path

import orjson

from emulator.host.simulated import Simulated
from emulator.servicebus.accounting import accounting
from emulator.simulation import run_simulated
from tests.simulated import evidence, load_stock, orders_of, problems, running, settle, submit
from tools.api import Line, NewOrder

JSON = {"content-type": "application/json"}
SUBSCRIPTION = "service-events/Subscriptions/notifications"


async def low(run: Simulated) -> list[str]:
    """The SKUs that the list of low stock levels shows."""
    answer = await run.request("GET", "/api/inventory?low=true", {}, b"")
    return [row["sku"] for row in orjson.loads(answer.body)["items"]]


def told(run: Simulated) -> int:
    """Messages that came to notifications."""
    return accounting(run.engines.store.read)[SUBSCRIPTION].accepted


def test_operators_are_told_once_that_a_sku_runs_low_and_once_that_it_recovered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, redeliver=0.3, reorder=0.3) as run:
            await load_stock(run, {"GLASS": 6, "VASE": 6})
            body = orjson.dumps({"threshold": 4, "margin": 3})
            answer = await run.request("PUT", "/api/inventory/GLASS/threshold", JSON, body)
            assert answer.status == 200
            await settle(run)
            assert (await low(run), told(run)) == ([], 0)

            order = NewOrder("C-1", (Line("GLASS", 2, 250), Line("VASE", 5, 1000)))
            id = await submit(run, order, "low")
            await settle(run)
            assert (await low(run), told(run)) == (["GLASS"], 1)

            file = b"sku,quantity\nGLASS,3\nVASE,1\n"
            answer = await run.request("POST", "/api/inventory/imports", {"content-type": "text/csv"}, file)
            assert answer.status == 202
            await settle(run)
            report = await run.request("GET", str(answer.headers["location"]), {}, b"")
            assert orjson.loads(report.body)["status"] == "completed"
            assert (await low(run), told(run)) == ([], 2)
            found = evidence(run, tmp_path, [id])
        assert orders_of(found)[id].status == "completed"
        assert problems(found) == []

    run_simulated(scenario())
