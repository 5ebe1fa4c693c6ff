"""A message that can never be handled, amid others: it alone is parked, the others are dealt with."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.contracts import contract_name
from core.envelope import command_id, to_json, wrap
from emulator.host.app import App
from emulator.host.http_routes import Routes
from emulator.host.limits import read_limits
from emulator.host.simulated import Simulated, simulated
from emulator.host.worker import index
from emulator.servicebus.accounting import accounting
from emulator.servicebus.messages import Message, StoredMessage
from emulator.servicebus.topology import Queue, Settlement, Topology
from emulator.simulation import run_simulated
from services.inventory.messages import Release
from services.payments.messages import Refund
from services.shipping.messages import CancelShipment
from tests.simulated import running, settle

APPS = Path(__file__).parent / "apps"
LOCK_S = 10.0
DELIVERIES = 3
HELD = Settlement(lock_s=LOCK_S, max_delivery_count=DELIVERIES, time_to_live_s=None, dead_letter_expired=True)
QUEUES = Topology(queues=tuple(Queue(name, HELD, None) for name in ("batches", "work", "parked")), topics=())
POISON = b"\xff not a message"


def batch_app(*names: str) -> App:
    functions = tuple(each for each in index(APPS, "batch_app.py") if each.name in names)
    limits = read_limits(APPS, cores=1)
    return App(functions, limits, Routes(functions, limits.route_prefix), QUEUES, {})


@pytest.fixture(autouse=True)
def app() -> Iterator[Any]:
    batch_app()
    import batch_app as app_module

    app_module.forget()
    yield app_module
    app_module.forget()


def undo(order_id: str, data: Release | Refund | CancelShipment) -> bytes:
    """An undo that comes before anything was done is recorded and answered: it needs nothing else."""
    envelope = wrap(
        data,
        id=command_id(order_id, contract_name(type(data))),
        source="orders",
        subject=order_id,
        time=datetime(2027, 1, 15, tzinfo=UTC),
        correlation_id=order_id,
        causation_id=order_id,
    )
    return orjson.dumps(to_json(envelope))


def good(number: int) -> Message:
    return Message(undo(f"ord-{number}", Refund(f"ord-{number}")), f"good-{number}")


def left(run: Simulated, path: str) -> list[StoredMessage]:
    return run.engines.bus.peek(path, 0, 1000)


def ids(run: Simulated, path: str) -> list[str]:
    return [str(each.message_id) for each in left(run, path)]


def among(size: int, places: set[int]) -> list[Message]:
    """`size` messages, poison at these places."""
    return [Message(POISON, f"poison-{n}") if n in places else good(n) for n in range(size)]


@pytest.mark.parametrize("places", [{0}, {3}, {6}, {2, 3, 5}, set(range(7))], ids=str)
def test_a_batch_is_settled_around_its_bad_messages(places: set[int], tmp_path: Path, app: Any) -> None:
    async def scenario() -> None:
        async with simulated(batch_app("settles_around"), tmp_path) as run:
            await run.engines.bus.send("batches", among(7, places))
            await run.until(lambda: not left(run, "batches"))
            assert [len(batch) for batch in app.batches] == [7], "one call, and none of it came again"
            assert len(app.handled) == 7 - len(places)
            assert set(ids(run, "parked")) == {f"poison-{n}" for n in places}
            assert ids(run, "batches/$DeadLetterQueue") == []
            for parked in left(run, "parked"):
                assert parked.body == POISON
                assert "not JSON" in str(parked.properties["reason"])

    run_simulated(scenario())


def test_without_that_care_one_bad_message_takes_the_whole_batch_with_it(tmp_path: Path, app: Any) -> None:
    """What the rule is for: the host abandons a batch that failed, all of it, until nothing of it is left."""

    async def scenario() -> None:
        async with simulated(batch_app("takes_no_care"), tmp_path) as run:
            await run.engines.bus.send("work", among(7, {3}))
            await run.until(lambda: len(left(run, "work/$DeadLetterQueue")) == 7)
            assert [len(batch) for batch in app.batches] == [7] * DELIVERIES
            assert app.handled == ["good-0", "good-1", "good-2"] * DELIVERIES

    run_simulated(scenario())


def test_an_infrastructure_fault_gives_the_batch_back_and_loses_nothing(tmp_path: Path, app: Any) -> None:
    async def scenario() -> None:
        async with simulated(batch_app("settles_around"), tmp_path) as run:
            app.faults.append(OSError("the disk is full"))
            await run.engines.bus.send("batches", among(5, {2}))
            await run.until(lambda: not left(run, "batches"))
            assert [len(batch) for batch in app.batches] == [5, 5]
            assert len(set(app.handled)) == 4
            # Parked by both calls, under the same id: what looks at it can tell.
            assert set(ids(run, "parked")) == {"poison-2"}
            assert ids(run, "batches/$DeadLetterQueue") == []

    run_simulated(scenario())


UNDO_OF: Mapping[str, Callable[[str], Release | Refund | CancelShipment]] = {
    "inventory": Release,
    "payments": Refund,
    "shipping": CancelShipment,
}
"""By queue."""


@pytest.mark.parametrize("queue", UNDO_OF)
def test_each_service_deals_with_what_lies_around_a_bad_message(queue: str, tmp_path: Path) -> None:
    """One send of eleven, poison in the middle; each message is delivered once."""
    orders = [f"ord-undo-{number}" for number in range(11)]

    async def scenario() -> None:
        async with running(tmp_path) as run:
            messages = [Message(undo(order, UNDO_OF[queue](order)), f"m-{order}") for order in orders]
            messages[5] = Message(POISON, "poison")
            await run.engines.bus.send(queue, messages)
            await settle(run, 120)
            account = accounting(run.engines.store.read)[queue]
            parked = {str(each.properties["source"]): each for each in left(run, "parked")}
            answered = [each for each in left(run, "parked") if each.properties["source"] == "order-replies"]
        assert (account.accepted, account.completed, account.dead_lettered) == (11, 11, 0)
        assert parked[queue].body == POISON
        # Replies to sagas that never were are parked in their turn: each good command was answered, once.
        assert {orjson.loads(each.body)["subject"] for each in answered} == set(orders) - {orders[5]}
        assert len(answered) == 10

    run_simulated(scenario())
