"""The customer wants other lines: the order is cancelled, and another put in its place."""

import dataclasses

import pytest

from core.decider import load
from services.orders import saga
from services.orders.commands import ChangeAddress, RequestReplacement
from services.orders.decider import ORDERS, CannotChange
from services.orders.events import OrderLine, ShippingAddress
from services.orders.handlers import change_address, request_replacement
from services.orders.saga import Ports, Work
from services.orders.state import OrderState
from services.shipping.messages import CreateShipment
from tests.saga.driver import DONE, HOLD_S, ORDER_ID, REFUSED, World

NEW_ID = "ord-2"
OTHER_LINES = RequestReplacement(NEW_ID, (OrderLine("c", 1, 90),), "digest-2")
ELSEWHERE = ShippingAddress("Ann", "2 Lane", "York", "YO1", "GB")


async def replace(world: World) -> None:
    await request_replacement(world.orders, ORDER_ID, OTHER_LINES, "")
    world.wake()


async def orders(world: World) -> tuple[OrderState, OrderState]:
    return tuple([(await load(world.documents, ORDERS, id)).state for id in (ORDER_ID, NEW_ID)])  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("step", "undone"), [("inventory", ("inventory",)), ("payment", ("payment", "inventory"))]
)
async def test_the_order_is_undone_and_the_other_takes_its_place(step: str, undone: tuple[str, ...]) -> None:
    world = await World().waiting_for(step)
    await change_address(world.orders, ORDER_ID, ChangeAddress(ELSEWHERE), "")
    await replace(world)
    await world.undo(*undone)
    assert world.run.output == {"status": "cancelled"}
    assert world.run.started == [NEW_ID]
    old, new = await orders(world)
    assert (old.status, old.reason, old.replaced_by) == ("cancelled", "replaced", NEW_ID)
    assert (new.status, new.replaces, new.lines) == ("created", ORDER_ID, OTHER_LINES.lines)
    assert (new.customer_id, new.payment_method, new.total) == (old.customer_id, old.payment_method, 90)
    assert new.shipping_address == ELSEWHERE


async def test_the_other_is_paid_as_its_customer_said() -> None:
    world = await World().waiting_for("inventory")
    paid_otherwise = dataclasses.replace(OTHER_LINES, payment_method="card-1")
    await request_replacement(world.orders, ORDER_ID, paid_otherwise, "")
    world.wake()
    await world.undo("inventory")
    old, new = await orders(world)
    assert (old.payment_method, new.payment_method) == ("tok_ok", "card-1")


async def test_the_other_is_placed_although_the_first_failed_by_itself_meanwhile() -> None:
    world = await World().waiting_for("payment")
    await request_replacement(world.orders, ORDER_ID, OTHER_LINES, "")
    world.answer("payment", REFUSED["payment"])
    await world.undo("inventory")
    old, new = await orders(world)
    assert (old.status, old.reason) == ("cancelled", "payment_failed:declined")
    assert new.status == "created"


@pytest.mark.parametrize("done_before", [0, 1, 2])
async def test_wherever_the_last_activity_broke_off_it_ends_with_both(done_before: int) -> None:
    """Of its three writes: the undo recorded, the other placed, the first cancelled."""
    world = await World().waiting_for("inventory")
    await replace(world)
    await world.work()
    world.answer("inventory", saga.Released(ORDER_ID))
    writes = 0

    async def break_off(request: str) -> None:
        nonlocal writes
        if request.startswith("batch"):
            if writes == done_before:
                raise RuntimeError("killed")
            writes += 1

    world.documents.before = break_off
    given = world.run.input_of("cancel_order")
    work = Work(ORDER_ID, 1, "x", reply=saga.Answer(**given["reply"]), undo=("inventory",))
    ports = Ports(world.documents, world.bus, world.clock, HOLD_S)
    with pytest.raises(RuntimeError):
        await saga.cancel_order(ports, work)

    async def go_on(request: str) -> None: ...

    world.documents.before = go_on
    await world.work()
    assert world.run.output == {"status": "cancelled"}
    assert world.run.started == [NEW_ID]
    old, new = await orders(world)
    assert (old.status, new.status) == ("cancelled", "created")
    created = [item for item in world.documents.items("orders", NEW_ID) if item["kind"] == "event"]
    assert len(created) == 1


async def test_a_saga_that_was_lost_before_the_end_is_started_again_and_ends_with_both() -> None:
    world = await World().waiting_for("inventory")
    await replace(world)
    await world.work()
    world.start()
    await world.work()
    await world.undo("inventory")
    old, new = await orders(world)
    assert (old.status, new.status) == ("cancelled", "created")


async def test_the_parcel_goes_to_the_address_as_of_the_stream() -> None:
    world = await World().waiting_for("payment")
    await change_address(world.orders, ORDER_ID, ChangeAddress(ELSEWHERE), "")
    world.answer("payment", DONE["payment"])
    await world.work()
    command = world.last_command("shipping").data
    assert isinstance(command, CreateShipment)
    assert command.address.street == ELSEWHERE.street


async def test_once_shipping_was_requested_nothing_is_changed() -> None:
    world = await World().waiting_for("shipping")
    for ask, command in ((change_address, ChangeAddress(ELSEWHERE)), (request_replacement, OTHER_LINES)):
        with pytest.raises(CannotChange):
            await ask(world.orders, ORDER_ID, command, "")  # type: ignore[operator]
    world.wake()
    world.answer("shipping", DONE["shipping"])
    await world.work()
    assert world.run.output == {"status": "completed"}
