"""What the change feed trigger delivers, when its checkpoint moves on, and who has the leases."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from pathlib import Path

import pytest

from emulator.documents.engine import FEED_RANGES
from emulator.host.simulated import Simulated, simulated
from tests.emulator.hosting import app_of, on_simulated_time

SCRIPT = "feed_app.py"


@pytest.fixture(autouse=True)
def feed_app() -> Iterator[object]:
    app_of(SCRIPT)
    import feed_app

    feed_app.forget()
    return feed_app


def running(folder: Path, function: str, owner: str = "instance-0") -> AbstractAsyncContextManager[Simulated]:
    return simulated(app_of(SCRIPT, only=[function]), folder, owner=owner)


async def write(run: Simulated, *ids: str, do: str = "") -> None:
    for id in ids:
        await run.engines.documents.upsert("things", id, {"id": id, "do": do})


async def leases(run: Simulated) -> list[str]:
    """Owners, by range."""
    items, _ = await run.engines.documents.query("leases")
    return [str(item["owner"]) for item in sorted(items, key=lambda item: str(item["id"]))]


async def has_its_share(run: Simulated, share: int = FEED_RANGES) -> None:
    for _ in range(1000):
        if (await leases(run)).count("instance-0") == share:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(await leases(run))


def ids(prefix: str, number: int) -> list[str]:
    return [f"{prefix}{n}" for n in range(number)]


@on_simulated_time
async def test_each_change_comes_soon_and_once(tmp_path, feed_app) -> None:
    async with running(tmp_path, "plain") as run:
        await has_its_share(run)
        await write(run, *ids("a", 20))
        began = asyncio.get_running_loop().time()
        await run.until(lambda: sorted(feed_app.seen["plain"]) == sorted(ids("a", 20)))
        assert asyncio.get_running_loop().time() - began < 0.5, "woken by the write, not by a poll"


@on_simulated_time
async def test_a_document_comes_as_it_now_is_with_its_etag(tmp_path, feed_app) -> None:
    async with running(tmp_path, "from_beginning") as run:
        await write(run, "a", do="x")
        await run.until(lambda: feed_app.seen["from_beginning"] == ["a"])


@on_simulated_time
async def test_only_a_function_that_starts_from_the_beginning_sees_what_was_there(tmp_path, feed_app) -> None:
    app = app_of(SCRIPT, only=["plain"])
    async with simulated(app_of(SCRIPT, only=["never"]), tmp_path) as run:
        await write(run, *ids("old", 8))
    async with simulated(app, tmp_path) as run:
        await has_its_share(run)
        await write(run, "new")
        await run.until(lambda: feed_app.seen["plain"] == ["new"])
    async with running(tmp_path, "from_beginning") as run:
        await run.until(lambda: len(feed_app.seen["from_beginning"]) == 9)


@on_simulated_time
async def test_batches_are_as_large_as_allowed_and_one_at_a_time(tmp_path, feed_app) -> None:
    async with running(tmp_path, "plain") as run:
        await has_its_share(run)
        await write(run, *ids("x", 60), do="sleep 0.1")
        await run.until(lambda: len(feed_app.seen["plain"]) >= 60)
        assert max(len(batch) for batch in feed_app.batches) == 5
        assert max(feed_app.at_once) == FEED_RANGES, "one batch of each range, the ranges beside one another"


@on_simulated_time
async def test_without_a_policy_a_failed_batch_is_lost(tmp_path, feed_app) -> None:
    async with running(tmp_path, "plain") as run:
        await has_its_share(run)
        await write(run, "bad", do="fail")
        await run.until(lambda: feed_app.seen["plain"] == ["bad"])
        await write(run, *ids("later", 12))
        await run.until(lambda: set(ids("later", 12)) <= set(feed_app.seen["plain"]))
        await asyncio.sleep(60)
        assert feed_app.seen["plain"].count("bad") == 1


@on_simulated_time
async def test_a_policy_without_end_holds_the_checkpoint_of_that_range_alone(tmp_path, feed_app) -> None:
    async with running(tmp_path, "held") as run:
        await has_its_share(run)
        await write(run, "bad", do="fail")
        await run.until(lambda: len(feed_app.seen["held"]) == 5)
        await write(run, *ids("later", 40))
        await asyncio.sleep(100)
        others = {id for id in feed_app.seen["held"] if id != "bad"}
        assert 0 < len(others) < 40, "what lies behind the bad one waits, the other ranges go on"
        feed_app.healed.add("bad")
        await run.until(lambda: len(set(feed_app.seen["held"])) == 41)


@on_simulated_time
async def test_retries_are_counted_and_spaced_as_the_policy_says(tmp_path, feed_app) -> None:
    async with running(tmp_path, "held") as run:
        await has_its_share(run)
        await write(run, "bad", do="fail")
        loop = asyncio.get_running_loop()
        times = []
        for number in range(1, 7):
            await run.until(lambda number=number: len(feed_app.attempts) == number)
            times.append(loop.time())
        assert [retry for retry, _ in feed_app.attempts] == [0, 1, 2, 3, 4, 5]
        assert {most for _, most in feed_app.attempts} == {-1}
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert waits == pytest.approx([1, 2, 4, 8, 8], abs=0.11)


@on_simulated_time
async def test_a_policy_that_gives_up_lets_the_checkpoint_move_on(tmp_path, feed_app) -> None:
    async with running(tmp_path, "thrice") as run:
        await has_its_share(run)
        await write(run, "bad", do="fail")
        await run.until(lambda: len(feed_app.attempts) == 3)
        await write(run, *ids("later", 12))
        await run.until(lambda: set(ids("later", 12)) <= set(feed_app.seen["thrice"]))
        assert feed_app.seen["thrice"].count("bad") == 3


@on_simulated_time
async def test_after_a_restart_the_feed_goes_on_where_it_was(tmp_path, feed_app) -> None:
    async with running(tmp_path, "plain") as run:
        await has_its_share(run)
        await write(run, *ids("a", 10))
        await run.until(lambda: len(feed_app.seen["plain"]) == 10)
        await asyncio.sleep(1)
    async with running(tmp_path, "plain") as run:
        await write(run, "b")
        await run.until(lambda: "b" in feed_app.seen["plain"])
        await asyncio.sleep(60)
        assert len(feed_app.seen["plain"]) == 11


@on_simulated_time
async def test_a_batch_that_a_crash_cut_off_comes_again(tmp_path, feed_app) -> None:
    async with running(tmp_path, "plain") as run:
        await has_its_share(run)
        await write(run, "a", do="sleep 5")
        await run.until(lambda: feed_app.now_running == ["a"])
    feed_app.now_running.clear()
    async with running(tmp_path, "plain") as run:
        await run.until(lambda: feed_app.seen["plain"] == ["a", "a"])


@on_simulated_time
async def test_two_instances_share_the_ranges_and_the_survivor_takes_over(tmp_path, feed_app) -> None:
    async with running(tmp_path, "plain", "instance-0") as first:
        await has_its_share(first)
        async with running(tmp_path, "plain", "instance-1"):
            await has_its_share(first, FEED_RANGES // 2)
            assert (await leases(first)).count("instance-1") == FEED_RANGES // 2
            await asyncio.sleep(
                4
            )  # an owner learns of its loss when it renews; till then a batch may come twice
            await write(first, *ids("a", 30))
            await first.until(lambda: sorted(feed_app.seen["plain"]) == sorted(ids("a", 30)))
        # The second is dead now, its leases are not yet expired.
        assert (await leases(first)).count("instance-1") == FEED_RANGES // 2
        await write(first, *ids("b", 30))
        await first.until(lambda: set(ids("b", 30)) <= set(feed_app.seen["plain"]), seconds=15)
        assert await leases(first) == ["instance-0"] * FEED_RANGES


@on_simulated_time
async def test_an_instance_that_stops_gives_its_leases_up_at_once(tmp_path, feed_app) -> None:
    async with running(tmp_path, "plain", "instance-0") as first:
        async with running(tmp_path, "plain", "instance-1") as second:
            await has_its_share(first, FEED_RANGES // 2)
            await second.stop()
        assert sorted(await leases(first)) == [""] * 2 + ["instance-0"] * 2
        await has_its_share(first)


@on_simulated_time
async def test_leases_are_renewed_during_a_long_batch(tmp_path, feed_app) -> None:
    async with running(tmp_path, "plain", "instance-0") as first:
        await has_its_share(first)
        await write(first, "long", do="sleep 60")
        await first.until(lambda: feed_app.now_running == ["long"])
        async with running(tmp_path, "plain", "instance-1"):
            await asyncio.sleep(80)
        counts = feed_app.seen["plain"].count("long")
        assert counts in {1, 2}, "a lease may change hands once, for balance, never by expiry"


@on_simulated_time
async def test_a_failing_store_of_documents_loses_no_change(tmp_path, feed_app) -> None:
    async with running(tmp_path, "plain") as run:
        await has_its_share(run)
        await write(run, *ids("a", 10), do="sleep 2")
        await run.until(lambda: len(feed_app.now_running) > 0)
        run.engines.documents.fail_until(run.engines.clock.time() + 30)
        await asyncio.sleep(31)
        await write(run, *ids("b", 10))
        await run.until(lambda: set(ids("a", 10) + ids("b", 10)) == set(feed_app.seen["plain"]))


def polling(folder: Path, feed_pace_s: float | None = None) -> AbstractAsyncContextManager[Simulated]:
    return simulated(app_of(SCRIPT, only=["polled"]), folder, feed_pace_s=feed_pace_s)


@on_simulated_time
async def test_a_range_at_rest_is_looked_at_once_in_its_poll_delay(tmp_path, feed_app) -> None:
    async with polling(tmp_path) as run:
        await has_its_share(run)
        for number in range(12):
            await write(run, f"a{number % 3}")
            await asyncio.sleep(1)
        await asyncio.sleep(6)
        seen = [id for batch in feed_app.batches for id in batch]
        assert set(seen) == {"a0", "a1", "a2"}
        assert len(seen) <= 3 * 4, "of each look at most the latest version of each"
        looked = len(feed_app.batches)
        await asyncio.sleep(60)
        assert len(feed_app.batches) == looked


@on_simulated_time
async def test_what_comes_to_a_range_at_rest_waits_for_its_next_poll(tmp_path, feed_app) -> None:
    loop = asyncio.get_running_loop()
    async with polling(tmp_path) as run:
        await has_its_share(run)
        waits, polls = [], []
        for pause in (7.0, 13.1, 8.2, 11.3, 9.4):
            await asyncio.sleep(pause)
            written, seen = loop.time(), len(feed_app.batches)
            await write(run, "a")
            await run.until(lambda seen=seen: len(feed_app.batches) > seen, step_s=0.01)
            waits.append(loop.time() - written)
            polls.append(loop.time())
        assert 1 < max(waits) < 5.05
        beats = [(poll - polls[0]) / 5 for poll in polls]
        assert all(abs(beat - round(beat)) < 0.01 for beat in beats), "all of them at the beat of the polls"


@on_simulated_time
async def test_batches_begin_a_poll_delay_apart_though_changes_keep_coming(tmp_path, feed_app) -> None:
    loop = asyncio.get_running_loop()
    async with polling(tmp_path) as run:
        await has_its_share(run)
        times = []
        for _ in range(200):
            before = len(feed_app.batches)
            await write(run, "a")
            await asyncio.sleep(0.1)
            if len(feed_app.batches) > before:
                times.append(loop.time())
        assert len(times) >= 3
        assert min(later - earlier for earlier, later in pairwise(times)) > 4.8


@on_simulated_time
async def test_after_a_batch_as_large_as_allowed_the_rest_is_read_at_once(tmp_path, feed_app) -> None:
    async with polling(tmp_path) as run:
        await has_its_share(run)
        await asyncio.sleep(7)
        await write(run, *ids("x", 1000))
        await run.until(lambda: len(feed_app.seen["polled"]) == 1000, seconds=5.1)
        assert max(len(batch) for batch in feed_app.batches) == 100


@on_simulated_time
async def test_a_pace_that_a_test_gives_holds_for_functions_with_a_poll_delay_too(tmp_path, feed_app) -> None:
    async with polling(tmp_path, feed_pace_s=0.1) as run:
        await has_its_share(run)
        await write(run, "a")
        await run.until(lambda: feed_app.seen["polled"] == ["a"], seconds=0.5)


@on_simulated_time
async def test_an_instance_that_stops_does_not_wait_for_the_next_poll(tmp_path, feed_app) -> None:
    loop = asyncio.get_running_loop()
    async with polling(tmp_path) as run:
        await has_its_share(run)
        await write(run, "a")
        await run.until(lambda: feed_app.seen["polled"] == ["a"], seconds=6)
        began = loop.time()
        await run.stop()
        assert loop.time() - began < 1
