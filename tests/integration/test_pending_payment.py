"""A customer who takes longer to authenticate his charge than any service may take to answer."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from core.settings import read_settings
from emulator.host.simulated import Simulated
from emulator.simulation import run_simulated
from orchestrators.steps import ORDER_SAGA
from services.orders.policy import longest_forward_s, policy_of
from tests.simulated import SETTINGS, evidence, load_stock, orders_of, problems, running, settle, submit
from tools.api import Line, NewOrder

CHOSEN = read_settings(SETTINGS)
HOLD = timedelta(seconds=longest_forward_s(policy_of(CHOSEN), len(ORDER_SAGA)) + CHOSEN.hold_margin_s)


async def shown(run: Simulated, path: str) -> dict[str, Any]:
    answer = await run.request("GET", path)
    assert answer.status == 200, answer.body
    return orjson.loads(answer.body)


def is_waiting(run: Simulated) -> bool:
    return bool(
        run.engines.store.read("SELECT 1 FROM documents WHERE body ->> '$.state.payment_pending' <> ''")
    )


def expires_at(run: Simulated) -> datetime:
    [(time,)] = run.engines.store.read(
        "SELECT body ->> '$.expires_at' FROM documents WHERE container = 'reservations'"
    )
    return datetime.fromisoformat(time)


def test_the_order_waits_says_so_holds_its_stock_longer_and_goes_on_when_the_customer_has_acted(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10})
            await settle(run)
            order = NewOrder("C-1", (Line("GLASS", 2, 250),), payment_method="tok_action_50")
            id = await submit(run, order, "key-1")
            await run.until(lambda: is_waiting(run), 30, step_s=0.05)
            waiting = await shown(run, f"/api/orders/{id}")
            due = datetime.fromisoformat(waiting["payment_due"])
            assert (waiting["status"], waiting["payment_pending"]) == ("inventory_reserved", "needs_action")
            payment = await shown(run, waiting["links"]["payment"])
            assert (payment["status"], payment["pending_reason"]) == ("pending", "needs_action")
            assert payment["action_url"] == f"https://sandbox.invalid/authenticate/{id}"

            await run.until(lambda: expires_at(run) == due + HOLD, 30, step_s=0.05)

            await settle(run)
            found = evidence(run, tmp_path, [id])
            assert problems(found) == []
            assert orders_of(found)[id].status == "completed"
            assert (await shown(run, f"/api/orders/{id}"))["payment_pending"] == ""
            completed = datetime.fromisoformat(orders_of(found)[id].updated_at)
            assert completed < due, "it was not the last look that found the end of the charge"

    run_simulated(scenario())
