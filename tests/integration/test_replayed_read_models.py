"""Read models are made anew in a fresh container, and switched to, while orders keep coming."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from emulator.host.simulated import Simulated
from emulator.simulation import run_simulated
from tests.simulated import evidence, load_stock, problems, running, settle, submit
from tools.api import Line, NewOrder

SECOND = {"orders": "order-list-2", "stock": "stock-levels-2"}


async def asked(run: Simulated, method: str, path: str) -> dict[str, Any]:
    answer = await run.request(method, path)
    assert answer.status == 200, answer.body
    return dict(orjson.loads(answer.body))


async def order(run: Simulated, number: int) -> str:
    return await submit(run, NewOrder(f"C-{number % 3}", (Line("GLASS", 1, 250),)), f"key-{number}")


async def listed(run: Simulated) -> set[str]:
    path = "/api/orders?from=2020-01-01T00:00:00Z&limit=100"
    return {item["id"] for item in (await asked(run, "GET", path))["items"]}


@pytest.mark.parametrize("name", SECOND)
def test_a_read_model_moves_to_a_fresh_container_while_orders_come(name: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 1000})
            ids = [await order(run, number) for number in range(10)]
            await settle(run)
            path = f"/api/operations/projections/{name}"
            phases: list[str] = []
            number = len(ids)
            while phases[-1:] != ["complete"]:
                report = await asked(run, "POST", f"{path}/replay")
                phases += [report["phase"]] if phases[-1:] != [report["phase"]] else []
                assert await asked(run, "GET", path) == report
                before = set(ids)
                ids.append(await order(run, number))
                number += 1
                shown = await listed(run)
                assert before <= shown  # each of them had been there for seven seconds
                await asyncio.sleep(7)
            await settle(run)
            assert phases == ["emptying", "announced", "filling", "switched", "complete"]
            assert (report["active"], report["filling"]) == (SECOND[name], None)
            assert report["broken"] == 0
            assert await listed(run) == set(ids)
            found = evidence(run, tmp_path, ids)
            assert problems(found) == []

    run_simulated(scenario())
