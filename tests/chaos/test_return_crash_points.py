"""One return per path, crashed after every commit, restarted, with deliveries doubled and reordered."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emulator.host.simulated import Crashed, Simulated
from emulator.simulation import run_simulated
from tests.return_support import Piece, ask, inspect, read, receive, request_return
from tests.simulated import evidence, load_stock, problems, running, settle, submit
from tools.api import Line, NewOrder
from tools.return_facts import return_facts

pytestmark = pytest.mark.slow

ORDER = NewOrder("C-1", (Line("GLASS", 3, 250), Line("VASE", 1, 1000)))
CHAOS = 0.2
RESTART_S = 1.0
LONGEST_S = 4 * 3600.0


@dataclass(frozen=True, slots=True)
class ReturnPath:
    """cancel: the customer does, once the label is there."""

    name: str
    ends: str
    pieces: tuple[Piece, ...]
    cancel: bool = False


PATHS = (
    ReturnPath("restocked_and_paid_back", "completed", (Piece(1, 2, 1, 1), Piece(2, 1, 1))),
    ReturnPath("nothing_worth_paying_back", "completed", (Piece(1, 1, 0, 0),)),
    ReturnPath("cancelled", "cancelled", (Piece(1, 1, 1),), cancel=True),
)


@dataclass
class People:
    """Do what is due, until the return has ended; whatever they have heard before a crash, they ask again."""

    path: ReturnPath
    order_id: str

    async def act(self, run: Simulated) -> None:
        asked = await request_return(run, self.order_id, *self.path.pieces)
        id = asked["id"]
        async with asyncio.timeout(LONGEST_S):
            while True:
                found = await read(run, id)
                status = found["status"]
                if status in ("completed", "cancelled"):
                    return
                if status == "awaiting_parcel" and self.path.cancel:
                    code, body = await ask(run, "POST", f"/api/returns/{id}/cancel")
                    assert code == 202, body
                elif status == "awaiting_parcel":
                    await receive(run, id)
                elif status == "received":
                    await inspect(run, id, *self.path.pieces)
                await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store with a completed order and nothing under way, copied by every run; and the order's id."""
    folder = tmp_path_factory.mktemp("world")

    async def prepare() -> str:
        async with running(folder) as run:
            await load_stock(run, {"GLASS": 100, "VASE": 100})
            order_id = await submit(run, ORDER, "key-1")
            await settle(run)
            await run.stop()
            return order_id

    return folder, run_simulated(prepare())


def wrong(run: Simulated, folder: Path, path: ReturnPath, order_id: str) -> list[str]:
    found = evidence(run, folder, [order_id])
    ends = [
        facts.status for id, events in found.streams("orders").items() for facts in return_facts(id, events)
    ]
    return [*problems(found), *([] if ends == [path.ends] else [f"ended as {ends}, not {path.ends}"])]


async def uneventful(folder: Path, path: ReturnPath, order_id: str) -> int:
    """How many commits the path takes."""
    async with running(folder) as run:
        await People(path, order_id).act(run)
        await settle(run)
        assert wrong(run, folder, path, order_id) == []
        return run.engines.store.commits


async def crashed_once(
    folder: Path, path: ReturnPath, order_id: str, crash_after: int, *, seed: int, chaos: float
) -> list[str] | None:
    """What is wrong at the end of the second life. None: the first ended before that commit."""
    try:
        async with running(folder, seed=seed, crash_after=crash_after, redeliver=chaos, reorder=chaos) as run:
            await People(path, order_id).act(run)
            await settle(run)
    except Crashed:
        pass
    else:
        return None
    await asyncio.sleep(RESTART_S)
    async with running(folder, seed=-crash_after, redeliver=CHAOS, reorder=CHAOS) as run:
        await People(path, order_id).act(run)
        await settle(run)
        return wrong(run, folder, path, order_id)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_a_return_survives_a_crash_after_every_commit(
    path: ReturnPath, world: tuple[Path, str], tmp_path: Path
) -> None:
    prepared, order_id = world
    folder = shutil.copytree(prepared, tmp_path / "uneventful")
    commits = run_simulated(uneventful(folder, path, order_id))
    assert commits > 10
    found: list[Any] = []
    for crash_after in range(1, commits + 1):
        for seed, chaos in ((crash_after, CHAOS), (0, 0.0)):  # the second is the run that was counted
            folder = shutil.copytree(prepared, tmp_path / "crashed")
            what = run_simulated(crashed_once(folder, path, order_id, crash_after, seed=seed, chaos=chaos))
            shutil.rmtree(folder)
            if what is not None:
                break
        else:
            what = ["it was not crashed"]
        found += [f"{path.name}, crash after commit {crash_after}: {each}" for each in what]
    assert not found, "\n".join(found[:20])
