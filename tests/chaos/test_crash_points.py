"""One order per path, crashed after every single commit, restarted, with deliveries doubled and reordered."""

import asyncio
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from emulator.host.simulated import Crashed, Simulated
from emulator.simulation import run_simulated
from tests.chaos.paths import PATHS, STOCK, Customer, SagaPath, path
from tests.simulated import evidence, load_stock, orders_of, problems, running, settle
from tools.evidence import Evidence

pytestmark = pytest.mark.slow

CHAOS = 0.2
"""The chance of each completion to be forgotten, and of each message to come late."""

RESTART_S = 1.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with stock and nothing else, copied by every run."""
    folder = tmp_path_factory.mktemp("world")

    async def prepare() -> None:
        async with running(folder) as run:
            await load_stock(run, STOCK)
            await settle(run)
            await run.stop()

    run_simulated(prepare())
    return folder


async def rest(run: Simulated, path: SagaPath) -> None:
    await settle(run)
    if path.later_s:
        ends = run.engines.clock.time() + path.later_s
        await run.until(lambda: run.engines.clock.time() > ends, 2 * path.later_s, step_s=30)
        await settle(run)


def booked_twice(found: Evidence) -> list[str]:
    """Also what the invariants leave the app some time for."""
    live = (each for each in found.items("sandbox", "shipment") if each["status"] == "created")
    return [
        f"{id} is booked {n} times" for id, n in Counter(each["order_id"] for each in live).items() if n > 1
    ]


async def uneventful(folder: Path, path: SagaPath) -> int:
    """How many commits the path takes."""
    customer = Customer(path)
    async with running(folder) as run:
        await customer.act(run)
        await rest(run, path)
        found = evidence(run, folder, customer.accepted)
        assert [*problems(found), *customer.disappointments(orders_of(found)), *booked_twice(found)] == []
        assert path.sees in {event["type"] for event in found.items("orders", "event")}
        return run.engines.store.commits


async def crashed_once(
    folder: Path, path: SagaPath, crash_after: int, *, seed: int, chaos: float
) -> list[str] | None:
    """What is wrong at the end of the second life. None: the first ended before that commit."""
    customer = Customer(path)
    try:
        async with running(folder, seed=seed, crash_after=crash_after, redeliver=chaos, reorder=chaos) as run:
            await customer.act(run)
            await rest(run, path)
    except Crashed:
        pass
    else:
        return None
    await asyncio.sleep(RESTART_S)
    async with running(folder, seed=-crash_after, redeliver=CHAOS, reorder=CHAOS) as run:
        await customer.act(run)
        await rest(run, path)
        found = evidence(run, folder, customer.accepted)
    untold = {path.told} - {event["type"] for event in found.items("orders", "event")}
    return [*problems(found), *customer.disappointments(orders_of(found)), *untold, *booked_twice(found)]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_an_order_survives_a_crash_after_every_commit(path: SagaPath, world: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(world, tmp_path / "uneventful")
    commits = run_simulated(uneventful(folder, path))
    assert commits > 10
    found: list[str] = []
    for crash_after in range(1, commits + 1):
        for seed, chaos in ((crash_after, CHAOS), (0, 0.0)):  # the second is the run that was counted
            folder = shutil.copytree(world, tmp_path / "crashed")
            wrong = run_simulated(crashed_once(folder, path, crash_after, seed=seed, chaos=chaos))
            shutil.rmtree(folder)
            if wrong is not None:
                break
        else:
            wrong = ["it was not crashed"]
        found += [f"{path.name}, crash after commit {crash_after}: {each}" for each in wrong]
    assert not found, "\n".join(found[:20])


def test_a_seed_repeats_a_run_to_the_byte(world: Path, tmp_path: Path) -> None:
    """So that a failure found with one comes again."""

    async def life(folder: Path) -> tuple[int, list[Any]]:
        async with running(folder, seed=7, redeliver=CHAOS, reorder=CHAOS) as run:
            await Customer(path("carrier_outage")).act(run)
            await settle(run)
            store = run.engines.store
            return store.commits, store.read("SELECT sequence, container, body FROM documents ORDER BY 1")

    first, second = (run_simulated(life(shutil.copytree(world, tmp_path / name))) for name in "ab")
    assert first == second
