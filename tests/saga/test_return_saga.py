"""Goods come back, or do not: every way through the return saga, each undo to the message that it sends."""

import pytest

from services.inventory.messages import Restock, RestockLine
from services.orders import return_commands as c
from services.orders.policy import OPERATOR_EVENT
from services.payments.messages import RefundPart
from services.shipping.messages import CancelReturn, Content, CreateReturn
from tests.saga.return_driver import (
    LABEL,
    LABEL_CANCELLED,
    LABEL_REFUSED,
    ORDER_ID,
    REFUND_REFUSED,
    REFUNDED,
    RESTOCK_REFUSED,
    RESTOCKED,
    RETURN_ID,
    ReturnWorld,
)

CREATE, CANCEL = f"shipping.create_return:{RETURN_ID}", f"shipping.cancel_return:{RETURN_ID}"
RESTOCK, REFUND = f"inventory.restock:{RETURN_ID}", f"payments.refund_part:{RETURN_ID}"


async def test_goods_and_money_go_back() -> None:
    world = await ReturnWorld().restocked()
    world.answer(RefundPart, REFUNDED)
    await world.work()
    assert world.run.output == {"status": "completed"}
    assert world.sent() == [f"{CREATE}/1", f"{RESTOCK}/1", f"{REFUND}/1"]
    assert world.stream() == [
        *("requested", "approved", "label_created", "received", "inspected", "restocked", "refunded"),
        "completed",
    ]


async def test_the_commands_say_what_is_due() -> None:
    world = await ReturnWorld().restocked()
    label, restock, refund = (
        world.last_command(queue).data for queue in ("shipping", "inventory", "payments")
    )
    assert isinstance(label, CreateReturn)
    assert (label.return_id, label.address.city, label.pieces) == (RETURN_ID, "London", 1)
    assert (label.contents, label.currency) == ((Content("sku-0", 1, 250),), "GBP")
    assert restock == Restock(ORDER_ID, RETURN_ID, (RestockLine("sku-0", 1, 0),))
    assert refund == RefundPart(ORDER_ID, RETURN_ID, 250, "GBP")


async def test_a_return_that_gives_nothing_back_asks_nothing_of_payments() -> None:
    world = await ReturnWorld().inspected(refunded=0)
    world.answer(Restock, RESTOCKED)
    await world.work()
    await world.work()
    assert world.run.output == {"status": "completed"}
    assert not [sent for sent in world.sent() if sent.startswith("payments.")]
    assert "refunded" not in world.stream()


async def test_a_late_return_waits_for_its_approval() -> None:
    world = await ReturnWorld().asked(window_s=0.0)
    await world.work()
    assert world.sent() == []
    await world.people("approval", c.ApproveReturn(RETURN_ID, "operator"))
    await world.work()
    assert world.sent() == [f"{CREATE}/1"]


async def test_a_rejected_return_ends() -> None:
    world = await ReturnWorld().asked(window_s=0.0)
    await world.work()
    await world.people("approval", c.RejectReturn(RETURN_ID, "used"))
    assert world.run.output == {"status": "rejected"}


async def test_what_nobody_told_is_found_at_the_next_look() -> None:
    world = await ReturnWorld().asked(window_s=0.0)
    await world.work()
    await world.people("approval", c.ApproveReturn(RETURN_ID, "operator"), told=False)
    world.run.fire()
    await world.work()
    await world.work()
    world.answer(CreateReturn, LABEL)
    await world.work()
    await world.people("parcel", c.ReceiveReturn(RETURN_ID), told=False)
    world.run.fire()
    await world.work()
    await world.work()
    assert world.run.pending == []
    assert world.found()["status"] == "received"


async def test_a_return_that_nobody_approves_in_time_is_cancelled() -> None:
    world = await ReturnWorld().asked(window_s=0.0)
    for _ in range(2):
        await world.work()
        world.run.fire()
    await world.work()
    assert world.run.output == {"status": "cancelled"}
    assert (world.sent(), world.found()["reason"]) == ([], "approval_timed_out")


async def test_a_label_that_is_refused_ends_the_return() -> None:
    world = await ReturnWorld().asked()
    await world.work()
    await world.work()
    world.answer(CreateReturn, LABEL_REFUSED)
    await world.work()
    assert world.run.output == {"status": "cancelled"}
    assert world.found()["reason"] == "label_failed:address_not_served"
    assert world.sent() == [f"{CREATE}/1"]


async def test_a_label_of_which_nobody_knows_is_cancelled_too() -> None:
    world = await ReturnWorld().asked()
    await world.work()
    for _ in range(3):
        await world.work()
        world.run.fire()
    await world.work()
    assert world.last_command("shipping").data == CancelReturn(ORDER_ID, RETURN_ID)
    world.answer(CancelReturn, LABEL_CANCELLED)
    await world.work()
    assert world.run.output == {"status": "cancelled"}
    assert world.sent() == [f"{CREATE}/1", f"{CREATE}/2", f"{CREATE}/3", f"{CANCEL}/1"]
    assert world.found()["reason"] == "label_timed_out"


async def test_a_parcel_that_never_comes_has_its_label_cancelled() -> None:
    world = await ReturnWorld().labelled()
    for _ in range(2):
        world.run.fire()
        await world.work()
    world.run.fire()
    await world.work()
    world.answer(CancelReturn, LABEL_CANCELLED)
    await world.work()
    assert world.run.output == {"status": "cancelled"}
    assert world.stream()[-3:] == ["cancellation_started", "label_cancelled", "cancelled"]
    assert world.found()["reason"] == "parcel_not_received"


@pytest.mark.parametrize("told", [True, False])
async def test_the_customer_may_cancel_until_the_parcel_is_here(told: bool) -> None:
    world = await ReturnWorld().labelled()
    await world.cancel(told=told)
    if not told:
        world.run.fire()
        await world.work()
    await world.work()
    world.answer(CancelReturn, LABEL_CANCELLED)
    await world.work()
    assert world.run.output == {"status": "cancelled"}
    assert world.found()["reason"] == "customer_request"


async def test_a_cancellation_before_the_label_was_sent_undoes_it_all_the_same() -> None:
    world = await ReturnWorld().asked()
    await world.work()
    await world.cancel(told=False)
    await world.work()
    assert world.sent() == []
    await world.work()
    world.answer(CancelReturn, LABEL_CANCELLED)
    await world.work()
    assert world.run.output == {"status": "cancelled"}


async def test_a_late_return_that_is_cancelled_has_no_label_to_cancel() -> None:
    world = await ReturnWorld().asked(window_s=0.0)
    await world.work()
    await world.cancel()
    await world.work()
    assert world.run.output == {"status": "cancelled"}
    assert world.sent() == []


async def test_the_parcel_that_was_faster_than_the_cancellation_is_carried_through() -> None:
    world = await ReturnWorld().labelled()
    await world.cancel()
    await world.people("parcel", c.ReceiveReturn(RETURN_ID), told=False)
    await world.work()
    await world.work()
    assert world.found()["status"] == "received"
    assert world.sent() == [f"{CREATE}/1"]
    assert "cancellation_started" not in world.stream()


async def test_nobody_inspects_so_the_return_needs_attention_and_goes_on_from_the_top() -> None:
    world = await ReturnWorld().received()
    for _ in range(2):
        world.run.fire()
        await world.work()
    world.run.fire()
    await world.work()
    assert world.stream()[-1] == "needs_attention"
    assert world.found()["attention_step"] == "await_inspection"
    world.run = world.run.next_run()
    for _ in range(4):
        await world.work()
    assert world.run.pending == []
    assert world.sent() == [f"{CREATE}/1"]


@pytest.mark.parametrize("step", ["restock", "refund"])
async def test_goods_and_money_are_insisted_on_until_they_have_moved(step: str) -> None:
    world = await (ReturnWorld().inspected() if step == "restock" else ReturnWorld().restocked())
    for _ in range(2):
        world.run.fire()
        await world.work()
    assert world.found()["attention_step"] == f"request_{step}"
    for _ in range(3):
        world.run = world.run.next_run()
        await world.work()
        world.run.fire()
    world.run = world.run.next_run()
    await world.work()
    if step == "restock":
        world.answer(Restock, RESTOCKED)
        await world.work()
    world.answer(RefundPart, REFUNDED)
    await world.work()
    assert world.run.output == {"status": "completed"}
    command = RESTOCK if step == "restock" else REFUND
    assert [sent for sent in world.sent() if sent.startswith(command)] == [
        f"{command}/{attempt}" for attempt in range(1, 7)
    ]
    assert world.stream().count("needs_attention") == 1
    assert world.found()["attention_step"] == ""


async def test_the_waits_of_what_needs_attention_grow_until_an_operator_wakes_it() -> None:
    world = await ReturnWorld().inspected()
    for _ in range(2):
        world.run.fire()
        await world.work()
    waits = []
    for _ in range(3):
        world.run = world.run.next_run()
        await world.work()
        before = world.clock.now()
        world.run.fire()
        waits.append(round((world.clock.now() - before).total_seconds()))
    assert waits == [60, 120, 240]
    world.run = world.run.next_run()
    await world.work()
    world.run.episode(world.run.raised(OPERATOR_EVENT, {}))
    assert world.run.continued is not None
    assert world.run.continued["attention"]["wait_s"] == 60.0


@pytest.mark.parametrize(
    ("step", "reply", "command"),
    [("restock", RESTOCK_REFUSED, Restock), ("refund", REFUND_REFUSED, RefundPart)],
)
async def test_what_is_refused_for_good_is_settled_by_an_operator(
    step: str, reply: object, command: type
) -> None:
    world = await (ReturnWorld().inspected() if step == "restock" else ReturnWorld().restocked())
    world.answer(command, reply)
    await world.work()
    assert world.found()["attention_step"] == f"request_{step}"
    world.run = world.run.next_run()
    await world.work()
    world.answer(command, reply)
    world.run.fire()
    world.run = world.run.next_run()
    await world.people("none", c.SettleReturn(RETURN_ID, "paid in cash"), told=False)
    await world.work()
    assert world.run.output == {"status": "settled"}


async def test_an_undo_that_has_no_answer_needs_attention_until_it_has() -> None:
    world = await ReturnWorld().labelled()
    await world.cancel()
    for _ in range(2):
        await world.work()
        world.run.fire()
    await world.work()
    assert world.found()["attention_step"] == "cancel_label"
    world.run = world.run.next_run()
    await world.work()
    world.answer(CancelReturn, LABEL_CANCELLED)
    await world.work()
    assert world.run.output == {"status": "cancelled"}
    assert world.found()["reason"] == "customer_request"


@pytest.mark.parametrize("at", ["asked", "labelled", "received", "inspected", "restocked"])
async def test_the_saga_may_be_run_from_the_top_at_any_time(at: str) -> None:
    world = await getattr(ReturnWorld(), at)()
    sent = len(world.sent())
    world.start()
    for _ in range(10):
        if not world.run.pending or len(world.sent()) > sent:
            break
        await world.work()
    assert len(set(world.sent())) == len(world.sent()) - (1 if at in ("inspected", "restocked") else 0)
    if at == "restocked":
        world.answer(RefundPart, REFUNDED)
        await world.work()
        assert world.run.output == {"status": "completed"}


async def test_on_a_return_that_has_ended_the_first_activity_ends_the_run() -> None:
    world = await ReturnWorld().restocked()
    world.answer(RefundPart, REFUNDED)
    await world.work()
    sent = world.sent()
    world.start()
    await world.work()
    assert (world.run.output, world.sent()) == ({"status": "completed"}, sent)


async def test_an_activity_that_failed_may_have_sent_so_the_wait_goes_on() -> None:
    world = await ReturnWorld().asked()
    await world.work()
    await world.work(in_vain=True)
    world.answer(CreateReturn, LABEL)
    await world.work()
    assert world.found()["status"] == "awaiting_parcel"


async def test_early_doubled_and_late_replies_count_once() -> None:
    world = await ReturnWorld().asked()
    await world.work()
    label = world.run.reply(CreateReturn, LABEL)
    world.run.episode(label, label)
    await world.work()
    world.run.episode(label)
    await world.work()
    assert world.stream().count("label_created") == 1
    await world.people("parcel", c.ReceiveReturn(RETURN_ID))
    await world.work()
    assert world.found()["status"] == "received"
