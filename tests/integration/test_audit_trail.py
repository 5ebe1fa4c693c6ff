"""The audit trail of one order on the whole app: every service's entries come, and the chains say so."""

from pathlib import Path
from typing import Any

import orjson

from emulator.host.simulated import Simulated
from emulator.simulation import run_simulated
from tests.simulated import load_stock, running, settle, submit
from tools.api import Line, NewOrder

ORDER = NewOrder("C-1", (Line("GLASS", 2, 250), Line("VASE", 1, 1000)))


async def trail(run: Simulated, stream: str, query: str = "") -> Any:
    answer = await run.request("GET", f"/api/audit/{stream}{query}")
    assert answer.status == 200, answer.body
    return orjson.loads(answer.body)


def chains(body: Any) -> dict[str, tuple[str, int, int]]:
    """By name: the status, how many entries there are, and how many are on their way."""
    return {
        chain["chain"]: (chain["status"], chain["to"], chain["pending"])
        for chain in body["verified"]["chains"]
    }


def test_what_every_service_did_for_an_order_is_in_its_trail_within_seconds(tmp_path: Path) -> None:
    async def scenario() -> tuple[Any, Any, Any]:
        async with running(tmp_path, feed_pace_s=None) as run:
            await load_stock(run, {"GLASS": 10, "VASE": 10})
            await settle(run)
            id = await submit(run, ORDER, "audited")
            early = await trail(run, id)
            began = run.engines.clock.time()
            await settle(run)
            assert run.engines.clock.time() - began < 10
            late = await run.request("POST", f"/api/orders/{id}/cancel")
            assert late.status == 409
            return early, await trail(run, id), await trail(run, "GLASS")

    early, body, stock = run_simulated(scenario())
    assert chains(early)["orders"][::2] == ("valid", 1)
    assert early["entries"] == []
    assert body["verified"]["status"] == "valid"
    assert chains(body) == {
        "orders": ("valid", 6, 0),
        "payments": ("valid", 2, 0),
        "shipments": ("valid", 2, 0),
        "reservations": ("valid", 2, 0),
        "record": ("valid", 1, 0),
    }
    told = [(entry["what"], entry["outcome"]) for entry in body["entries"]]
    assert told[0] == ("orders.created", "accepted")
    assert ("inventory.reserve", "accepted") in told
    assert ("payments.charged", "accepted") in told
    assert ("shipping.created", "accepted") in told
    assert told[-1] == ("orders.RequestCancel", "refused")
    assert all(entry["actor"] and entry["time"] for entry in body["entries"])
    assert [(entry["what"], entry["actor"]) for entry in stock["entries"]] == [
        ("inventory.receipt", "operator")
    ]
