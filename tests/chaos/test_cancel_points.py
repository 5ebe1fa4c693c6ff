"""An order cancelled by its customer after every single commit: who is first decides, and all agree on it."""

import asyncio
import shutil
from pathlib import Path

import pytest

from emulator.host.simulated import Simulated
from emulator.simulation import run_simulated
from tests.chaos.paths import STOCK, SagaPath, path
from tests.simulated import evidence, load_stock, orders_of, problems, running, settle, submit
from tools.evidence import Evidence

TURNS = (0, 2, 5)
"""Turns of the event loop between the commit and the request, which then meets other things under way."""

CUSTOMER = "customer_request"


async def commits(run: Simulated, number: int) -> None:
    """Wait for that commit, to the turn of the loop."""
    store = run.engines.store
    seen, idle = store.commits, 0
    while store.commits < number:
        # Simulated time goes on only while nobody is busy.
        await asyncio.sleep(0 if idle < 100 else 0.01)
        idle = idle + 1 if store.commits == seen else 0
        seen = store.commits


async def cancelled_after(folder: Path, way: SagaPath, commit: int, turns: int) -> tuple[int, Evidence]:
    """How the cancellation was answered, and what was there in the end."""
    async with running(folder, seed=commit) as run:
        id = await submit(run, way.order, "key-1")
        await commits(run, commit)
        for _ in range(turns):
            await asyncio.sleep(0)
        answer = await run.request("POST", f"/api/orders/{id}/cancel")
        await settle(run)
        return answer.status, evidence(run, folder, [id])


async def undisturbed(folder: Path, way: SagaPath) -> tuple[int, int]:
    """The numbers of the commits after which the order is accepted, and at rest."""
    async with running(folder) as run:
        await submit(run, way.order, "key-1")
        accepted = run.engines.store.commits
        await settle(run)
        return accepted, run.engines.store.commits


@pytest.mark.parametrize(
    "way",
    [path("completed"), path("carrier_refuses"), path("payment_ends_by_webhook")],
    ids=lambda way: way.name,
)
def test_an_order_ends_as_the_answer_to_its_cancellation_says(way: SagaPath, tmp_path: Path) -> None:
    async def prepare() -> None:
        async with running(tmp_path / "world") as run:
            await load_stock(run, STOCK)
            await settle(run)
            await run.stop()

    (tmp_path / "world").mkdir()
    run_simulated(prepare())
    folder = shutil.copytree(tmp_path / "world", tmp_path / "undisturbed")
    accepted, rest = run_simulated(undisturbed(folder, way))
    wrong: list[str] = []
    answers: set[int] = set()
    for commit in range(accepted, rest + 1):
        for turns in TURNS:
            folder = shutil.copytree(tmp_path / "world", tmp_path / "cancelled")
            status, found = run_simulated(cancelled_after(folder, way, commit, turns))
            shutil.rmtree(folder)
            answers.add(status)
            (order,) = orders_of(found).values()
            # A cancellation that comes while the order is being cancelled is accepted too.
            due = {("cancelled", CUSTOMER), ("cancelled", way.reason)} if status == 202 else {way.end()}
            ended = (order.status, order.reason)
            wrong += [
                f"cancelled {turns} turns after commit {commit}, answered {status}: {each}"
                for each in (*problems(found), *([] if ended in due else [f"the order is {ended}"]))
            ]
    assert not wrong, "\n".join(wrong[:20])
    assert answers == {202, 409}
