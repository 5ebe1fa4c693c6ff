"""A document that can never be handled, in the middle of a batch of the change feed.

That it is parked and its neighbours are projected is in tests/integration/test_bad_messages.py. Here it meets
an outage: a batch may move on only when what is wrong with it was put somewhere.
"""

import asyncio
from pathlib import Path
from typing import Any

import orjson

from emulator.host.simulated import Simulated
from emulator.simulation import run_simulated
from tests.simulated import load_stock, running, settle

OUTAGE_S = 150.0
"""Longer than the minute for which a reader repeats a send: it raises, and the host gives the batch again."""

BROKEN = {"kind": "stock", "version": "seven", "received": 0, "adjusted": 0, "available": 0, "held": 0}


async def level(run: Simulated, sku: str) -> dict[str, Any] | None:
    """The row of the read model."""
    items, _ = await run.engines.documents.query("stock-levels")
    return next((dict(item) for item in items if item["sku"] == sku), None)


def parked(run: Simulated) -> set[str]:
    return {str(each.message_id) for each in run.engines.bus.peek("parked", 0, 100)}


def test_a_poison_document_holds_its_batch_until_it_can_be_parked_and_nothing_is_lost(tmp_path: Path) -> None:
    skus = [f"GOOD-{number}" for number in range(20)]
    poison = [f"POISON-{number}" for number in range(8)]

    async def scenario() -> None:
        async with running(tmp_path) as run:
            run.instance.host.stop()  # nobody reads, so that all this comes in one batch of each feed range
            await load_stock(run, dict.fromkeys(skus[:10], 5))
            for sku in poison:
                await run.engines.documents.create("inventory", sku, {"id": "stock", "sku": sku, **BROKEN})
            await load_stock(run, dict.fromkeys(skus[10:], 5))
        async with running(tmp_path) as run:
            run.engines.bus.fail_until(run.engines.clock.time() + OUTAGE_S)
            await asyncio.sleep(OUTAGE_S - 10)
            assert parked(run) == set()
            # What is good in the batch need not wait for what is bad.
            assert [sku for sku in skus if await level(run, sku) is None] == []
            await load_stock(run, {"BEHIND": 7})
            await settle(run, 600)
            assert parked(run) == {f"project_stock:{sku}:stock" for sku in poison}
            row = await level(run, "BEHIND")
            assert row is not None
            assert row["available"] == 7
            for each in run.engines.bus.peek("parked", 0, 100):
                assert orjson.loads(each.body)["version"] == "seven"
                assert each.properties["reason"]

    run_simulated(scenario())
