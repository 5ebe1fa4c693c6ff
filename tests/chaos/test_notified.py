"""A customer who is told on two channels: the app crashed after every commit of his order, and restarted."""

import asyncio
import shutil
from pathlib import Path

import orjson
import pytest

from emulator.host.simulated import Crashed, Simulated
from emulator.simulation import run_simulated
from tests.chaos.paths import STOCK, Customer, path
from tests.simulated import evidence, load_stock, problems, running, settle

pytestmark = pytest.mark.slow

CHAOS = 0.2
PREFERENCES = {
    "email": "c1@example.com",
    "phone": "+447700900123",
    "channels": {"sms": {"order_shipped": "on"}},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with stock and the customer's preferences, copied by every run."""
    folder = tmp_path_factory.mktemp("world")

    async def prepare() -> None:
        async with running(folder) as run:
            await load_stock(run, STOCK)
            where, headers = (
                "/api/customers/C-1/notification-preferences",
                {"content-type": "application/json"},
            )
            answer = await run.request("PUT", where, headers, orjson.dumps(PREFERENCES))
            assert answer.status == 200, answer.body
            await settle(run)
            await run.stop()

    run_simulated(prepare())
    return folder


async def wrong_in(run: Simulated, folder: Path, customer: Customer) -> list[str]:
    found = problems(evidence(run, folder, customer.accepted))
    [order_id] = customer.accepted
    answer = await run.request("GET", f"/api/notifications?order_id={order_id}")
    told = {item["channel"]: item for item in orjson.loads(answer.body)["items"]}
    if {name: item["status"] for name, item in told.items()} != {"email": "sent", "sms": "sent"}:
        found.append(f"told {told}")
    found += [f"{name}: {item['attempts']}" for name, item in told.items() if len(item["attempts"]) > 2]
    answer = await run.request("GET", "/api/development/outbox")
    kept = sorted(item["channel"] for item in orjson.loads(answer.body)["items"])
    return found if kept == ["email", "sms"] else [*found, f"the outbox has {kept}"]


def test_a_customer_is_told_on_each_channel_whatever_commit_the_app_crashes_after(
    world: Path, tmp_path: Path
) -> None:
    async def uneventful(folder: Path) -> int:
        customer = Customer(path("completed"))
        async with running(folder) as run:
            await customer.act(run)
            await settle(run)
            assert await wrong_in(run, folder, customer) == []
            return run.engines.store.commits

    async def crashed(folder: Path, crash_after: int) -> list[str]:
        customer = Customer(path("completed"))
        try:
            async with running(folder, crash_after=crash_after) as run:
                await customer.act(run)
                await settle(run)
        except Crashed:
            pass
        else:
            return ["it was not crashed"]
        await asyncio.sleep(1.0)
        async with running(folder, seed=crash_after, redeliver=CHAOS, reorder=CHAOS) as run:
            await customer.act(run)
            await settle(run)
            return await wrong_in(run, folder, customer)

    commits = run_simulated(uneventful(shutil.copytree(world, tmp_path / "uneventful")))
    found: list[str] = []
    for crash_after in range(1, commits + 1):
        folder = shutil.copytree(world, tmp_path / "crashed")
        wrong = run_simulated(crashed(folder, crash_after))
        shutil.rmtree(folder)
        found += [f"crash after commit {crash_after}: {each}" for each in wrong]
    assert not found, "\n".join(found[:20])
