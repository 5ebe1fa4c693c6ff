"""When a message is completed, when it comes again: the settlement rules of the Service Bus trigger."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.host.app import App
from emulator.host.limits import Limits, read_limits
from emulator.host.simulated import Simulated, simulated
from emulator.servicebus.messages import Message
from tests.emulator.hosting import APPS, LOCK_S, app_of, on_simulated_time

SCRIPT = "bus_app.py"
DEAD = "work/$DeadLetterQueue"


def limits(**service_bus: object) -> Limits:
    found = read_limits(APPS, cores=1)
    return replace(found, service_bus=replace(found.service_bus, **service_bus))


def one(found: Limits | None = None) -> App:
    return app_of(SCRIPT, only=["take_one"], limits=found)


def many(found: Limits | None = None) -> App:
    return app_of(SCRIPT, only=["take_many"], limits=found)


def running(app: App, folder: Path, **options: object) -> AbstractAsyncContextManager[Simulated]:
    return simulated(app, folder, **options)


def message(id: str, subject: str = "", **fields: object) -> Message:
    return Message(b'{"n":1}', id, subject=subject, **fields)


def left(run: Simulated, path: str) -> list[str]:
    return [each.message_id for each in run.engines.bus.peek(path, 0, 1000)]


@pytest.fixture(autouse=True)
def bus_app() -> Iterator[object]:
    app_of(SCRIPT)
    import bus_app

    bus_app.forget()
    return bus_app


@on_simulated_time
async def test_success_completes_the_message(tmp_path, bus_app) -> None:
    async with running(one(), tmp_path) as run:
        await run.engines.bus.send("work", [message("a"), message("b")])
        await run.until(lambda: not left(run, "work"))
        assert [each.message_id for each in bus_app.taken] == ["a", "b"]
        assert left(run, DEAD) == []


@on_simulated_time
async def test_an_exception_abandons_the_message_at_once_until_it_is_dead_lettered(tmp_path, bus_app) -> None:
    async with running(one(), tmp_path) as run:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await run.engines.bus.send("work", [message("bad", "fail")])
        await run.until(lambda: left(run, DEAD) == ["bad"])
        assert [each.delivery_count for each in bus_app.taken] == [1, 2, 3]
        assert loop.time() - began < 1.0, "the broker redelivers without delay"


@on_simulated_time
async def test_a_bad_message_does_not_hold_up_its_neighbours(tmp_path, bus_app) -> None:
    async with running(one(), tmp_path) as run:
        sent = [message(f"m{n}", "fail" if n == 2 else "") for n in range(5)]
        await run.engines.bus.send("work", sent)
        await run.until(lambda: left(run, DEAD) == ["m2"])
        assert left(run, "work") == []
        assert [each.message_id for each in bus_app.taken].count("m1") == 1


@on_simulated_time
async def test_locks_are_renewed_while_the_function_runs(tmp_path, bus_app) -> None:
    async with running(one(), tmp_path) as run:
        await run.engines.bus.send("work", [message("slow", f"sleep {LOCK_S * 10}")])
        await run.until(lambda: not left(run, "work"))
        assert len(bus_app.taken) == 1


@on_simulated_time
async def test_locks_are_renewed_for_the_configured_time_only(tmp_path, bus_app) -> None:
    async with running(one(limits(renew_for_seconds=LOCK_S * 3)), tmp_path) as run:
        await run.engines.bus.send("work", [message("slow", f"sleep {LOCK_S * 6}")])
        await run.until(lambda: len(bus_app.taken) == 2, seconds=LOCK_S * 5)


@on_simulated_time
async def test_no_more_messages_are_in_flight_than_host_json_allows(tmp_path, bus_app) -> None:
    async with running(one(limits(max_concurrent_calls=3)), tmp_path) as run:
        await run.engines.bus.send("work", [message(f"m{n}", "sleep 1") for n in range(20)])
        await run.until(lambda: not left(run, "work"))
        assert max(bus_app.at_once) == 3
        assert len(bus_app.taken) == 20


@on_simulated_time
async def test_without_auto_completion_a_message_comes_again_when_its_lock_ends(tmp_path, bus_app) -> None:
    async with running(app_of(SCRIPT, only=["never_settles"]), tmp_path) as run:
        await run.engines.bus.send("news", [message("a")])
        await run.until(lambda: len(bus_app.taken) == 2)
        assert asyncio.get_running_loop().time() == pytest.approx(LOCK_S, abs=1.5)


@on_simulated_time
async def test_a_batch_is_one_unit_and_one_is_in_flight(tmp_path, bus_app) -> None:
    async with running(many(limits(max_message_batch_size=4)), tmp_path) as run:
        await run.engines.bus.send("batches", [message(f"m{n}", "sleep 1") for n in range(10)])
        await run.until(lambda: not left(run, "batches"))
        assert [len(batch) for batch in bus_app.batches] == [4, 4, 2]
        assert max(bus_app.at_once) == 4


@on_simulated_time
async def test_a_failed_batch_takes_all_its_messages_to_the_dead_letter_queue(tmp_path, bus_app) -> None:
    async with running(many(), tmp_path) as run:
        await run.engines.bus.send("batches", [message("good"), message("bad", "fail")])
        await run.until(lambda: left(run, "batches/$DeadLetterQueue") == ["good", "bad"])
        assert [[each.delivery_count for each in batch] for batch in bus_app.batches] == [
            [n, n] for n in (1, 2, 3)
        ]


@on_simulated_time
async def test_locks_of_a_batch_are_not_renewed(tmp_path, bus_app) -> None:
    async with running(many(), tmp_path) as run:
        await run.engines.bus.send("batches", [message("slow", f"sleep {LOCK_S * 2}")])
        await run.until(lambda: len(bus_app.batches) == 3)


@on_simulated_time
async def test_what_a_message_carries_reaches_the_function(tmp_path, bus_app) -> None:
    async with running(one(), tmp_path) as run:
        trace = f"00-{'a' * 32}-{'b' * 16}-01"
        sent = message(
            "id-1", "type", correlation_id="c", content_type="application/json", to="t", reply_to="r",
            properties={"traceparent": trace, "n": 3},
        )  # fmt: skip
        await run.engines.bus.send("work", [sent])
        await run.until(lambda: bool(bus_app.taken))
        found = bus_app.taken[0]
        assert found.get_body() == b'{"n":1}'
        assert (found.message_id, found.subject, found.label) == ("id-1", "type", "type")
        assert (found.correlation_id, found.content_type, found.to, found.reply_to) == (
            "c", "application/json", "t", "r",
        )  # fmt: skip
        assert found.application_properties == found.user_properties == {"traceparent": trace, "n": 3}
        assert found.delivery_count == 1
        assert found.enqueued_time_utc.timestamp() == pytest.approx(run.engines.clock.time(), abs=5)
        assert (found.locked_until - found.enqueued_time_utc).total_seconds() == pytest.approx(LOCK_S, abs=1)
        assert found.lock_token
        assert bus_app.traces[0][:36] == trace[:36], "the same trace"
        assert bus_app.traces[0][36:52] != trace[36:52], "another span"


@on_simulated_time
async def test_what_a_batch_carries_reaches_the_function(tmp_path, bus_app) -> None:
    async with running(many(), tmp_path) as run:
        await run.engines.bus.send(
            "batches", [message("a", "s", properties={"p": 1}), message("b", correlation_id="c")]
        )
        await run.until(lambda: bool(bus_app.batches))
        first, second = bus_app.batches[0]
        assert (first.message_id, first.subject, first.correlation_id) == ("a", "s", None)
        assert (second.message_id, second.correlation_id) == ("b", "c")
        assert (first.application_properties, second.user_properties) == ({"p": 1}, {})
        assert first.sequence_number < second.sequence_number
        assert first.get_body() == b'{"n":1}'


@on_simulated_time
async def test_a_stopping_instance_finishes_what_it_has_and_takes_no_more(tmp_path, bus_app) -> None:
    async with running(one(limits(max_concurrent_calls=2)), tmp_path) as run:
        await run.engines.bus.send("work", [message(f"m{n}", "sleep 3") for n in range(5)])
        await run.until(lambda: len(bus_app.taken) == 2)
        await run.stop()
    assert len(bus_app.taken) == 2
    bus_app.forget()
    async with running(one(), tmp_path) as run:
        await run.until(lambda: not left(run, "work"))
        assert sorted(each.message_id for each in bus_app.taken) == ["m2", "m3", "m4"]


@on_simulated_time
async def test_a_killed_instance_leaves_its_messages_to_the_next_one(tmp_path, bus_app) -> None:
    async with running(one(), tmp_path) as run:
        await run.engines.bus.send("work", [message("a", "sleep 3")])
        await run.until(lambda: len(bus_app.taken) == 1)
    async with running(one(), tmp_path) as run:
        await run.until(lambda: not left(run, "work"))
        assert [each.delivery_count for each in bus_app.taken] == [1, 2]


@on_simulated_time
async def test_the_senders_context_does_not_reach_the_function(tmp_path, bus_app) -> None:
    async with running(one(), tmp_path) as run:
        bus_app.mark.set("the sender's")
        await run.engines.bus.send("work", [message("a")])
        await run.until(lambda: bus_app.marks == ["none"])
