"""An undo that nobody answers: the order needs attention, and the saga goes on trying until it succeeds."""

from services.orders.policy import OPERATOR_EVENT
from tests.saga.driver import ORDER_ID, REFUSED, UNDONE, World


async def given_up() -> World:
    """Shipping refused, and the refund was not answered twice."""
    world = await World().waiting_for("shipping")
    world.answer("shipping", REFUSED["shipping"])
    for _ in range(2):
        await world.work()
        world.run.fire()
    return world


async def needs_attention() -> World:
    world = await given_up()
    await world.work()
    world.run = world.run.next_run()
    return world


async def silent_round(world: World) -> float:
    """One more try that nobody answers; how long it waited."""
    await world.work()
    before = world.clock.now()
    world.run.fire()
    waited = (world.clock.now() - before).total_seconds()
    world.run = world.run.next_run()
    return round(waited)


async def test_after_the_last_attempt_the_order_needs_attention() -> None:
    world = await given_up()
    assert world.run.pending == ["report_attention"]
    await world.work()
    assert world.stream()[-2:] == ["cancellation_started", "needs_attention"]
    assert world.snapshot()["attention_step"] == "payment"
    assert world.run.continued is not None
    assert world.run.continued["cancellation"]["undo"] == ["payment", "inventory"]


async def test_the_undo_goes_on_as_new_until_it_is_answered() -> None:
    world = await needs_attention()
    for _ in range(3):
        await silent_round(world)
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}
    assert world.undo_commands() == [f"payments.refund/{n}" for n in range(1, 7)] + ["inventory.release/1"]
    assert world.stream().count("needs_attention") == 1
    assert world.stream()[-3:] == ["payment_refunded", "inventory_released", "cancelled"]
    assert world.snapshot()["attention_step"] == ""


async def test_the_waits_double_up_to_an_hour() -> None:
    world = await needs_attention()
    assert [await silent_round(world) for _ in range(8)] == [60, 120, 240, 480, 960, 1920, 3600, 3600]


async def test_an_operator_wakes_it_and_starts_the_waits_anew() -> None:
    world = await needs_attention()
    for _ in range(4):
        await silent_round(world)
    await world.work()
    world.run.episode(world.run.raised(OPERATOR_EVENT, {}))
    # A cancelled timer counts in the host as cancelled from its creation: it is at the end before the event
    # comes, and hands it on. One more try at once, which does no harm.
    assert world.run.host.carried == 1
    world.run = world.run.next_run()
    await world.work()
    assert world.run.host.carried == 0
    world.run = world.run.next_run()
    assert await silent_round(world) == 60


async def test_an_answer_in_the_gap_between_two_runs_is_not_lost() -> None:
    world = await given_up()
    world.run.episode(world.reply("payment", UNDONE["payment"]))
    assert world.run.pending == ["report_attention"]
    await world.work()
    assert world.run.continued is None
    await world.undo("inventory")
    assert world.run.output == {"status": "cancelled"}


async def test_an_answer_together_with_the_end_of_the_report_is_handed_on_or_used() -> None:
    world = await given_up()
    await world.functions["report_attention"](world.run.input_of("report_attention"))
    reply = world.reply("payment", UNDONE["payment"])
    world.run.episode(world.run.completed("report_attention"), reply)
    world.run = world.run.next_run()
    await world.work()
    await world.undo("inventory")
    assert world.run.output == {"status": "cancelled"}


async def test_the_undo_that_was_answered_last_is_recorded_although_the_next_one_never_began() -> None:
    world = await World().waiting_for("shipping")
    world.answer("shipping", REFUSED["shipping"])
    await world.work()
    world.answer("payment", UNDONE["payment"])
    for _ in range(2):
        world.run.fail("release_inventory")
        world.run.fire()
    await world.work()
    assert world.stream()[-2:] == ["payment_refunded", "needs_attention"]
    world.run = world.run.next_run()
    await world.undo("inventory")
    assert world.stream()[-2:] == ["inventory_released", "cancelled"]


async def test_an_order_needs_attention_although_no_undo_could_even_begin() -> None:
    """Found by the property test: the activities that record the cancellation had all failed."""
    world = await World().placed()
    await world.cancel()
    world.wake()
    await world.work()
    for _ in range(2):
        world.run.fail("release_inventory")
        world.run.fire()
    await world.work()
    assert world.stream()[-2:] == ["cancellation_started", "needs_attention"]


async def test_a_restart_of_an_order_that_needs_attention_goes_on_with_the_undos() -> None:
    world = await needs_attention()
    world.start()
    await world.work()
    await world.undo("payment", "inventory")
    assert world.run.output == {"status": "cancelled"}


async def test_a_doubled_operator_event_does_no_harm() -> None:
    world = await needs_attention()
    event = world.run.raised(OPERATOR_EVENT, {})
    world.run.episode(event, event, event)
    for _ in range(4):
        await world.work()
        if world.run.continued is None:
            break
        world.run = world.run.next_run()
    world.answer("payment", UNDONE["payment"])
    await world.undo("inventory")
    assert world.run.output == {"status": "cancelled"}


async def test_what_an_order_needs_attention_for_is_told() -> None:
    world = await given_up()
    await world.work()
    (event,) = (
        item for item in world.documents.items("orders") if item.get("type") == "orders.needs_attention"
    )
    assert event["data"] == {"order_id": ORDER_ID, "step": "payment", "attempts": 2}
