"""Records one history of each path of the sagas into tests/saga/histories/VERSION-NAME.json.

    python -m tests.saga.record_histories [SCENARIO ...]

Run it once for a new `defaultVersion` of host.json, under a new VERSION, and once for a new scenario. The
histories of the versions before stay as they are: instances that began with them are still running somewhere.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from services.inventory.messages import Restock
from services.orders.policy import OPERATOR_EVENT
from services.orders.return_commands import RejectReturn
from services.payments.messages import RefundPart
from services.shipping.messages import CancelReturn
from tests.saga.driver import DONE, REFUSED, STEPS, UNDONE, World
from tests.saga.return_driver import LABEL_CANCELLED, REFUNDED, RESTOCKED, RETURN_ID, ReturnWorld
from tests.saga.run import Run

VERSION = "1.0"
FOLDER = Path(__file__).parent / "histories"


async def completed() -> list[Run]:
    world = await World().waiting_for("shipping")
    world.answer("shipping", DONE["shipping"])
    await world.work()
    return [world.run]


async def replies_early_late_and_doubled() -> list[Run]:
    world = await World().placed()
    for step in STEPS:
        event = world.reply(step, DONE[step])
        world.run.episode(event, event)
        await world.work()
        world.run.episode(event)
    await world.work()
    return [world.run]


def refused(step: str, *undone: str) -> Callable[[], Awaitable[list[Run]]]:
    async def scenario() -> list[Run]:
        world = await World().waiting_for(step)
        world.answer(step, REFUSED[step])
        await world.undo(*undone)
        return [world.run]

    return scenario


def timed_out(step: str, *undone: str) -> Callable[[], Awaitable[list[Run]]]:
    async def scenario() -> list[Run]:
        world = await World().waiting_for(step)
        world.run.fire()
        for _ in range(2):
            await world.work()
            world.run.fire()
        await world.undo(*undone)
        return [world.run]

    return scenario


def pending(then: Callable[[World], Awaitable[None]]) -> Callable[[], Awaitable[list[Run]]]:
    async def scenario() -> list[Run]:
        world = await World().waiting_for("payment")
        world.told_pending()
        await world.work()
        await then(world)
        return [world.run]

    return scenario


async def charged_later(world: World) -> None:
    world.answer("payment", DONE["payment"])
    await world.work()
    world.answer("shipping", DONE["shipping"])
    await world.work()


async def refused_later(world: World) -> None:
    world.answer("payment", REFUSED["payment"])
    await world.undo("inventory")


async def abandoned(world: World) -> None:
    world.run.fire()
    await world.work()
    world.told_pending()
    world.run.fire()
    await world.undo("payment", "inventory")


async def cancelled_meanwhile(world: World) -> None:
    await world.cancel()
    world.wake()
    await world.undo("payment", "inventory")


def cancelled(step: str, *undone: str) -> Callable[[], Awaitable[list[Run]]]:
    async def scenario() -> list[Run]:
        world = await World().waiting_for(step)
        await world.cancel()
        world.wake()
        await world.undo(*undone)
        return [world.run]

    return scenario


async def failed_activities() -> list[Run]:
    world = await World().placed()
    for step in STEPS:
        await world.work(in_vain=True)
        world.run.fire()
        await world.work()
        world.answer(step, DONE[step])
    world.run.fail("complete_order")
    world.run.fire()
    await world.work()
    return [world.run]


async def restarted() -> list[Run]:
    world = await World().waiting_for("shipping")
    first = world.run
    world.start()
    for _ in STEPS:
        await world.work()
    world.answer("shipping", DONE["shipping"])
    await world.work()
    return [first, world.run]


async def needed_attention() -> list[Run]:
    world = await World().waiting_for("shipping")
    world.answer("shipping", REFUSED["shipping"])
    for _ in range(2):
        await world.work()
        world.run.fire()
    await world.work()
    runs = [world.run]
    world.run = world.run.next_run()
    await world.work()
    world.run.fire()
    runs.append(world.run)
    world.run = world.run.next_run()
    await world.work()
    world.run.episode(world.run.raised(OPERATOR_EVENT, {}))
    runs.append(world.run)
    # The operator's event is handed on to this run, which is therefore woken once more.
    world.run = world.run.next_run()
    await world.work()
    runs.append(world.run)
    world.run = world.run.next_run()
    await world.work()
    world.answer("payment", UNDONE["payment"])
    await world.undo("inventory")
    return [*runs, world.run]


async def return_completed() -> list[Run]:
    world = await ReturnWorld().restocked()
    world.answer(RefundPart, REFUNDED)
    await world.work()
    return [world.run]


async def return_rejected() -> list[Run]:
    world = await ReturnWorld().asked(window_s=0.0)
    await world.work()
    await world.people("approval", RejectReturn(RETURN_ID, "used"))
    return [world.run]


async def return_not_approved() -> list[Run]:
    world = await ReturnWorld().asked(window_s=0.0)
    for _ in range(2):
        await world.work()
        world.run.fire()
    await world.work()
    return [world.run]


async def return_cancelled() -> list[Run]:
    world = await ReturnWorld().labelled()
    await world.cancel()
    await world.work()
    world.answer(CancelReturn, LABEL_CANCELLED)
    await world.work()
    return [world.run]


async def return_needed_attention() -> list[Run]:
    world = await ReturnWorld().inspected()
    for _ in range(2):
        world.run.fire()
        await world.work()
    first = world.run
    world.run = world.run.next_run()
    await world.work()
    world.run.fire()
    second = world.run
    world.run = world.run.next_run()
    await world.work()
    world.answer(Restock, RESTOCKED)
    await world.work()
    world.answer(RefundPart, REFUNDED)
    await world.work()
    return [first, second, world.run]


SCENARIOS: dict[str, Callable[[], Awaitable[list[Run]]]] = {
    "completed": completed,
    "replies_early_late_and_doubled": replies_early_late_and_doubled,
    "inventory_refused": refused("inventory"),
    "payment_refused": refused("payment", "inventory"),
    "shipping_refused": refused("shipping", "payment", "inventory"),
    "inventory_timed_out": timed_out("inventory", "inventory"),
    "payment_timed_out": timed_out("payment", "payment", "inventory"),
    "shipping_timed_out": timed_out("shipping", "shipping", "payment", "inventory"),
    "inventory_cancelled": cancelled("inventory", "inventory"),
    "payment_cancelled": cancelled("payment", "payment", "inventory"),
    "pending_charged": pending(charged_later),
    "pending_refused": pending(refused_later),
    "pending_timed_out": pending(abandoned),
    "pending_cancelled": pending(cancelled_meanwhile),
    "failed_activities": failed_activities,
    "restarted": restarted,
    "needed_attention": needed_attention,
    "return_completed": return_completed,
    "return_rejected": return_rejected,
    "return_not_approved": return_not_approved,
    "return_cancelled": return_cancelled,
    "return_needed_attention": return_needed_attention,
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    chosen = sys.argv[1:] or list(SCENARIOS)
    for name in chosen:
        scenario = SCENARIOS[name]
        runs = asyncio.run(scenario())  # type: ignore[arg-type]
        for number, run in enumerate(runs, start=1):
            suffix = f"-{number}" if len(runs) > 1 else ""
            path = FOLDER / f"{VERSION}-{name}{suffix}.json"
            events = ",\n    ".join(run.texts)
            given = json.dumps(json.dumps(run.given))
            path.write_text(f'{{\n  "input": {given},\n  "history": [\n    {events}\n  ]\n}}\n')


if __name__ == "__main__":
    main()
