"""An import of three chunks, crashed after every commit, restarted, with deliveries doubled and reordered.

Once it was accepted nobody asks again: it goes on by itself.
"""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import orjson
import pytest

from emulator.host.simulated import Crashed, Simulated
from emulator.simulation import run_simulated
from services.inventory import imports
from tests.simulated import evidence, load_stock, problems, running, settle

pytestmark = pytest.mark.slow

ROWS = 8
FILE = b"sku,quantity\n" + b"".join(b"SKU-%d,%d\n" % (n, n) for n in range(ROWS))
"""The first row is refused: nobody receives 0 pieces."""


@pytest.fixture(autouse=True)
def _chunks_of_three() -> Iterator[None]:
    with mock.patch.object(imports, "CHUNK", 3):
        yield


class Clerk:
    """Sends the file until it is accepted, and then no more."""

    def __init__(self) -> None:
        self.location = ""

    async def act(self, run: Simulated) -> None:
        if not self.location:
            answer = await run.request("POST", "/api/inventory/imports", {"content-type": "text/csv"}, FILE)
            assert answer.status == 202, answer.body
            self.location = str(answer.headers["location"])

    async def wrong(self, run: Simulated, folder: Path) -> list[str]:
        """What is not as it must be at the end, to which the timer may have to help."""
        await settle(run)
        await run.until(lambda: not _due(run), 3600.0, step_s=0.5)
        report = orjson.loads((await run.request("GET", self.location, {}, b"")).body)
        found = evidence(run, folder, [])
        counts = {name: report[name] for name in ("status", "rows", "booked", "failed", "waiting")}
        wanted = {"status": "completed", "rows": ROWS, "booked": ROWS - 1, "failed": 1, "waiting": 0}
        wrong = [] if counts == wanted else [f"the report says {counts}"]
        if [error["row"] for error in report["errors"]] != [2]:
            wrong.append(f"errors are {report['errors']}")
        on_hand = {item["sku"]: item["available"] for item in found.items("inventory", "stock")}
        if on_hand != {"SKU-7": 7 + 1} | {f"SKU-{n}": n for n in range(1, ROWS - 1)}:
            wrong.append(f"the stock is {on_hand}")
        if run.engines.blobs.get("orderflow", f"imports/{report['id']}.jsonl") is not None:
            wrong.append("its file was left behind")
        return [*problems(found), *wrong]


def _due(run: Simulated) -> bool:
    return bool(
        run.engines.store.read(
            "SELECT 1 FROM documents WHERE container = 'stock-imports'"
            " AND json_extract(body, '$.due_at') IS NOT NULL"
        )
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a piece of one SKU, copied by every run."""
    folder = tmp_path_factory.mktemp("world")

    async def prepare() -> None:
        async with running(folder) as run:
            await load_stock(run, {f"SKU-{ROWS - 1}": 1})
            await settle(run)
            await run.stop()

    run_simulated(prepare())
    return folder


async def uneventful(folder: Path) -> int:
    """How many commits it takes."""
    clerk = Clerk()
    async with running(folder) as run:
        await clerk.act(run)
        assert await clerk.wrong(run, folder) == []
        return run.engines.store.commits


async def crashed_once(folder: Path, crash_after: int, *, seed: int, chaos: float) -> list[str] | None:
    """What is wrong at the end of the second life. None: the first ended before that commit."""
    clerk = Clerk()
    try:
        async with running(folder, seed=seed, crash_after=crash_after, redeliver=chaos, reorder=chaos) as run:
            await clerk.act(run)
            await settle(run)
    except Crashed:
        pass
    else:
        return None
    await asyncio.sleep(1.0)
    async with running(folder, seed=-crash_after, redeliver=0.3, reorder=0.3) as run:
        await clerk.act(run)
        return await clerk.wrong(run, folder)


def test_an_import_goes_on_after_a_crash_at_any_commit(world: Path, tmp_path: Path) -> None:
    commits = run_simulated(uneventful(shutil.copytree(world, tmp_path / "uneventful")))
    assert commits > 10
    found: list[str] = []
    for crash_after in range(1, commits + 1):
        for seed, chaos in ((crash_after, 0.3), (0, 0.0)):  # the second is the run that was counted
            folder = shutil.copytree(world, tmp_path / "crashed")
            wrong = run_simulated(crashed_once(folder, crash_after, seed=seed, chaos=chaos))
            shutil.rmtree(folder)
            if wrong is not None:
                break
        else:
            wrong = ["it was not crashed"]
        found += [f"crash after commit {crash_after}: {each}" for each in wrong]
    assert not found, "\n".join(found[:20])
