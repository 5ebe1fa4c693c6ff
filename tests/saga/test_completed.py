"""The way of an order that succeeds, and what it costs."""

from datetime import timedelta

import pytest

from core.telemetry import root_traceparent
from emulator.durable import history
from services.inventory.messages import Reserve, ReserveLine
from services.payments.messages import Charge
from services.shipping.messages import Address, Content, CreateShipment
from tests.saga.driver import DONE, HOLD_S, ORDER_ID, STEPS, World


async def completed() -> World:
    world = await World().waiting_for("shipping")
    world.answer("shipping", DONE["shipping"])
    await world.work()
    return world


async def test_an_order_runs_through_all_steps() -> None:
    world = await completed()
    assert world.run.output == {"status": "completed"}
    assert world.sent() == ["inventory.reserve/1", "payments.charge/1", "shipping.create/1"]
    assert world.stream() == [
        "created",
        "inventory_reserved",
        "payment_processed",
        "shipping_requested",
        "shipping_created",
        "completed",
    ]


async def test_the_commands_carry_what_the_services_need() -> None:
    world = await completed()
    sent = world.last_command("inventory")
    lines = (ReserveLine("a", 3), ReserveLine("b", 1))
    assert sent.data == Reserve(ORDER_ID, lines, sent.time + timedelta(seconds=HOLD_S))
    assert world.last_command("payments").data == Charge(ORDER_ID, "c-1", 340, "GBP", "tok_ok")
    address = Address("Ann", "1 Road", "Leeds", "LS1", "GB")
    assert world.last_command("shipping").data == CreateShipment(
        ORDER_ID, address, "standard", 4, (Content("a", 3, 290), Content("b", 1, 50)), "GBP"
    )


async def test_each_command_names_the_message_that_led_to_it() -> None:
    world = await completed()
    assert [world.last_command(queue).causation_id for queue in ("inventory", "payments", "shipping")] == [
        f"{ORDER_ID}:orders:1",
        f"{ORDER_ID}:inventory.reserve:reply",
        f"{ORDER_ID}:payments.charge:reply",
    ]


async def test_commands_and_events_belong_to_the_trace_of_the_order() -> None:
    trace = root_traceparent("a request")
    world = await World().placed()
    world.start(trace)
    await world.work()
    world.answer("inventory", DONE["inventory"])
    await world.work()
    command = world.last_command("payments")
    (reserved,) = (item for item in world.documents.items("orders") if item["id"] == "2")
    assert reserved["traceparent"] == trace
    assert command.traceparent.split("-")[1] == trace.split("-")[1]
    assert command.traceparent != trace


async def test_a_completed_order_costs_15_durable_actions() -> None:
    """Start, 4 activities (each scheduled and completed), 3 events, 3 timers."""
    kinds = [event.kind for event in (await completed()).run.events]
    actions = (
        1
        + kinds.count(history.TASK_SCHEDULED)
        + kinds.count(history.TASK_COMPLETED)
        + kinds.count(history.EVENT_RAISED)
        + kinds.count(history.TIMER_CREATED)
    )
    assert actions == 15


async def test_a_completed_order_costs_orders_8_document_requests() -> None:
    """The POST 1, the first activity a read, the other three a read and a batch each."""
    assert len((await completed()).documents.requests) == 8


@pytest.mark.parametrize("step", STEPS)
async def test_a_reply_may_overtake_the_end_of_the_activity_that_asked(step: str) -> None:
    world = await World().placed()
    for each in STEPS:
        if each == step:
            world.answer(each, DONE[each])
            assert len(world.run.pending) == 1
            await world.work()
        else:
            await world.work()
            world.answer(each, DONE[each])
    await world.work()
    assert world.run.output == {"status": "completed"}


@pytest.mark.parametrize("step", STEPS)
async def test_a_reply_in_the_same_episode_as_the_end_of_the_activity_counts(step: str) -> None:
    world = await World().placed()
    for each in STEPS:
        if each == step:
            (name,) = world.run.pending
            function = world.functions[name].client_function
            await function(world.run.input_of(name), None)
            world.run.episode(world.reply(each, DONE[each]), world.run.completed(name))
        else:
            await world.work()
            world.answer(each, DONE[each])
    await world.work()
    assert world.run.output == {"status": "completed"}


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("step", STEPS)
async def test_a_doubled_reply_changes_nothing(step: str, times: int) -> None:
    world = await World().placed()
    for each in STEPS:
        await world.work()
        event = world.reply(each, DONE[each])
        world.run.episode(*[event] * (times if each == step else 1))
        if each == step:
            world.run.episode(event)
    await world.work()
    assert world.run.output == {"status": "completed"}
    assert world.sent() == ["inventory.reserve/1", "payments.charge/1", "shipping.create/1"]


async def test_a_late_reply_of_an_earlier_step_changes_nothing() -> None:
    world = await World().waiting_for("shipping")
    world.answer("inventory", DONE["inventory"])
    world.answer("payment", DONE["payment"])
    world.answer("shipping", DONE["shipping"])
    await world.work()
    assert world.run.output == {"status": "completed"}
