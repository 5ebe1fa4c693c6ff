"""One order per path, crashed after every single commit, restarted, with deliveries doubled and reordered."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from emulator.host.simulated import Crashed, simulated
from emulator.simulation import run_simulated
from tests.chaos.simulation import (
    PATHS,
    Customer,
    SagaPath,
    copy_world,
    load_stock,
    orderflow,
    settle,
    violations,
)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with stock and nothing else, copied by every run."""
    folder = tmp_path_factory.mktemp("world")

    async def prepare() -> None:
        async with simulated(orderflow(), folder) as run:
            await load_stock(run)
            await asyncio.sleep(5)
            await run.stop()

    run_simulated(prepare())
    return folder


async def one_life(folder: Path, customer: Customer, *, seed: int, crash_after: int | None, chaos: float) -> int:
    """Run until everything is settled, or the crash; returns how many commits it took."""
    async with simulated(
        orderflow(), folder, seed=seed, crash_after=crash_after, redeliver=chaos, reorder=chaos
    ) as run:
        await customer.act(run)
        await settle(run)
        return run.engines.store.commits


async def crashed_once(folder: Path, path: SagaPath, crash_after: int) -> list[str]:
    customer = Customer(path)
    with suppress(Crashed):
        await one_life(folder, customer, seed=crash_after, crash_after=crash_after, chaos=0.2)
    await one_life(folder, customer, seed=crash_after + 10_000, crash_after=None, chaos=0.2)
    found = violations(folder, now=1_800_000_000.0 + asyncio.get_running_loop().time(), accepted=customer.accepted)
    return [f"{path.name}, crash after commit {crash_after}: {violation}" for violation in found]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_an_order_survives_a_crash_after_every_commit(path: SagaPath, world: Path, tmp_path: Path) -> None:
    customer = Customer(path)
    commits = run_simulated(
        one_life(copy_world(world, tmp_path / "whole"), customer, seed=0, crash_after=None, chaos=0.0)
    )
    assert commits > 10
    found: list[str] = []
    for crash_after in range(1, commits + 1):
        folder = copy_world(world, tmp_path / f"crash-{crash_after}")
        found += run_simulated(crashed_once(folder, path, crash_after))
    assert not found, "\n".join(found[:20])
