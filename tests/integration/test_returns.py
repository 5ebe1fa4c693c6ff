"""Goods come back: the return saga in the real app, on simulated time."""

from dataclasses import replace
from pathlib import Path

from emulator.simulation import run_simulated
from tests.return_support import Piece, ask, inspect, reach, read, receive, request_return
from tests.simulated import evidence, load_stock, problems, running, settle, submit
from tools.api import Line, NewOrder

ORDER = NewOrder("C-1", (Line("GLASS", 3, 250), Line("VASE", 1, 1000)))


def test_what_came_back_is_restocked_or_written_off_and_paid_back_by_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10, "VASE": 10})
            order_id = await submit(run, ORDER, "key-1")
            await settle(run)
            pieces = (Piece(1, 2, restocked=1, written_off=1), Piece(2, 1, restocked=0, refunded=0))
            asked = await request_return(run, order_id, *pieces)
            assert asked["status"] == "approved"
            await reach(run, asked["id"], "awaiting_parcel")
            await receive(run, asked["id"])
            await inspect(run, asked["id"], *pieces)
            done = await reach(run, asked["id"], "completed")
            await settle(run)
            assert (done["refund"], done["refunded"], done["currency"]) == (500, 500, "GBP")
            assert done["tracking_number"]
            _, stock = await ask(run, "GET", "/api/inventory/GLASS")
            assert (stock["available"], stock["shipped"]) == (8, 3)
            assert (stock["returned"], stock["written_off"]) == (2, 1)
            assert problems(evidence(run, tmp_path, [order_id])) == []

    run_simulated(scenario())


def test_the_parcel_of_a_cancelled_return_comes_to_peoples_attention_and_may_be_taken_in(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10, "VASE": 10})
            order_id = await submit(run, replace(ORDER, delivery="sandbox-delivers-3600"), "key-1")
            await settle(run)
            piece = Piece(1, 2, restocked=2)
            return_id = (await request_return(run, order_id, piece))["id"]
            await reach(run, return_id, "awaiting_parcel")
            await ask(run, "POST", f"/api/returns/{return_id}/cancel")
            await reach(run, return_id, "cancelled")
            cancelled = run.engines.clock.time()
            await run.until(lambda: run.engines.clock.time() > cancelled + 3700, 7200, step_s=60)
            await settle(run)
            found = await read(run, return_id)
            assert (found["status"], found["unexpected_parcel"]) == ("cancelled", True)
            _, alerts = await ask(run, "GET", "/api/operations/alerts")
            assert [each["details"]["return_id"] for each in alerts["items"]] == [return_id]
            assert problems(evidence(run, tmp_path, [order_id])) == []
            await receive(run, return_id)
            await inspect(run, return_id, piece)
            done = await reach(run, return_id, "completed", seconds=3600)
            assert (done["refunded"], done["unexpected_parcel"]) == (500, False)
            await settle(run)
            assert problems(evidence(run, tmp_path, [order_id])) == []

    run_simulated(scenario())
