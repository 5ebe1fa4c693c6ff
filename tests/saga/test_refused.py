"""A service says no: what was done is undone, in reverse."""

import pytest

from services.inventory.messages import Release
from services.payments.messages import Refund
from tests.saga.driver import DONE, ORDER_ID, REFUSED, UNDONE, World


async def refused(step: str) -> World:
    world = await World().waiting_for(step)
    world.answer(step, REFUSED[step])
    return world


async def test_without_stock_there_is_nothing_to_undo() -> None:
    world = await refused("inventory")
    await world.work()
    assert world.run.output == {"status": "cancelled"}
    assert world.undo_commands() == []
    assert world.stream() == ["created", "cancellation_started", "cancelled"]
    assert world.snapshot()["reason"] == "inventory_failed:out_of_stock"


async def test_a_declined_card_releases_the_stock() -> None:
    world = await refused("payment")
    await world.undo("inventory")
    assert world.run.output == {"status": "cancelled"}
    assert world.undo_commands() == ["inventory.release/1"]
    assert world.last_command("inventory").data == Release(ORDER_ID)
    assert world.stream() == [
        "created",
        "inventory_reserved",
        "cancellation_started",
        "inventory_released",
        "cancelled",
    ]
    assert world.snapshot()["reason"] == "payment_failed:declined"


async def test_a_refusing_carrier_refunds_the_card_and_releases_the_stock() -> None:
    world = await refused("shipping")
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}
    assert world.undo_commands() == ["payments.refund/1", "inventory.release/1"]
    assert world.last_command("payments").data == Refund(ORDER_ID)
    assert world.stream()[-4:] == [
        "cancellation_started",
        "payment_refunded",
        "inventory_released",
        "cancelled",
    ]
    assert world.snapshot()["reason"] == "shipping_failed:refused"


async def test_a_refusal_names_its_reply_as_the_cause() -> None:
    world = await refused("payment")
    await world.undo("inventory")
    started = next(
        item for item in world.documents.items("orders") if item.get("type") == "orders.cancellation_started"
    )
    assert started["causation_id"] == f"{ORDER_ID}:payments.charge:reply"
    assert started["actor"] == "saga"


@pytest.mark.parametrize("step", ["inventory", "payment"])
async def test_a_doubled_or_late_reply_does_not_disturb_the_undoing(step: str) -> None:
    world = await refused("shipping")
    world.answer(step, DONE[step])
    world.answer("shipping", REFUSED["shipping"])
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}


async def test_a_doubled_answer_to_an_undo_changes_nothing() -> None:
    world = await refused("payment")
    await world.work()
    event = world.reply("inventory", UNDONE["inventory"])
    world.run.episode(event, event)
    await world.work()
    assert world.run.output == {"status": "cancelled"}
