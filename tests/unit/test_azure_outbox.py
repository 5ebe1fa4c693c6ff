"""Many callers, one sender: every caller learns what became of its own messages, whatever fails."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusConnectionError,
    ServiceBusServerBusyError,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.azure import outbox as outbox_module
from adapters.azure.outbox import MOST_CALLS, Outbox
from core.bus import (
    BusAccessDenied,
    BusError,
    BusThrottled,
    BusUnreachable,
    EntityNotFound,
    MessageTooLarge,
)

LARGE = 5000


class Service:
    """What the service would see and answer: the errors of `answers`, None for a success, then successes."""

    def __init__(self, answers: Sequence[Exception | None] = (), limit: int = 100_000) -> None:
        self.answers = deque(answers)
        self.limit = limit
        self.refuses: frozenset[str] = frozenset()
        self.refuses_to_open: deque[Exception | None] = deque()
        self.transfers: list[list[str]] = []
        self.opened = 0
        self.closed = 0
        self.busy = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    def arrived(self) -> list[str]:
        return [id for transfer in self.transfers for id in transfer]

    def sender(self) -> "Sender":
        return Sender(self)

    def outbox(self) -> Outbox:
        return Outbox("payments", self.sender)


class Sender:
    """As fragile as the SDK's: one call at a time, and only when it is open."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.state = "new"

    async def __aenter__(self) -> "Sender":
        assert self.state == "new"
        await asyncio.sleep(0)
        if self.service.refuses_to_open and (error := self.service.refuses_to_open.popleft()) is not None:
            raise error
        self.state = "open"
        self.service.opened += 1
        return self

    async def create_message_batch(self) -> ServiceBusMessageBatch:
        return ServiceBusMessageBatch(max_size_in_bytes=self.service.limit)

    async def send_messages(self, what: ServiceBusMessage | ServiceBusMessageBatch) -> None:
        service = self.service
        assert self.state == "open"
        assert not service.busy
        service.busy = True
        service.asked.set()
        try:
            await service.gate.wait()
            await asyncio.sleep(0)
            messages = what._messages if isinstance(what, ServiceBusMessageBatch) else [what]
            ids = [message.message_id for message in messages]
            if service.refuses.intersection(ids):
                raise MessageSizeExceededError
            if service.answers and (error := service.answers.popleft()) is not None:
                raise error
            service.transfers.append(ids)
        finally:
            service.busy = False

    async def close(self) -> None:
        self.state = "closed"
        self.service.closed += 1


def message(id: str, size: int = 10) -> ServiceBusMessage:
    return ServiceBusMessage(b"x" * size, message_id=id)


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "PAUSES_S", (0.0, 0.0))


async def test_first_sends_that_race_open_one_sender_and_go_as_one_batch() -> None:
    service = Service()
    outbox = service.outbox()
    await asyncio.gather(*(outbox.send([message(str(number))]) for number in range(10)))
    assert service.opened == 1
    assert service.transfers == [[str(number) for number in range(10)]]


async def test_what_waits_while_another_is_sent_goes_in_one_batch_after_it() -> None:
    service = Service()
    outbox = service.outbox()
    service.gate.clear()
    first = asyncio.create_task(outbox.send([message("first")]))
    await service.asked.wait()
    rest = [asyncio.create_task(outbox.send([message(f"{n}a"), message(f"{n}b")])) for n in range(3)]
    await asyncio.sleep(0)
    service.gate.set()
    await asyncio.gather(first, *rest)
    assert service.transfers == [["first"], ["0a", "0b", "1a", "1b", "2a", "2b"]]
    assert service.opened == 1


async def test_no_more_calls_than_the_loop_can_bear_go_in_one_batch() -> None:
    service = Service()
    outbox = service.outbox()
    await asyncio.gather(*(outbox.send([message(str(number))]) for number in range(MOST_CALLS + 1)))
    assert [len(transfer) for transfer in service.transfers] == [MOST_CALLS, 1]


async def test_a_full_batch_is_split_between_calls_and_never_within_one() -> None:
    service = Service(limit=3 * LARGE)
    outbox = service.outbox()
    calls = [["a"], ["b", "c"], ["d", "e"], ["f"]]
    await asyncio.gather(*(outbox.send([message(id, LARGE - 500) for id in ids]) for ids in calls))
    assert service.transfers == [["a", "b", "c"], ["d", "e", "f"]]


async def test_a_call_that_no_batch_can_hold_is_refused_and_the_others_arrive() -> None:
    service = Service(limit=2 * LARGE)
    outbox = service.outbox()
    calls = [["a"], ["b", "c", "d"], ["e"]]
    outcomes = await asyncio.gather(
        *(outbox.send([message(id, LARGE - 500) for id in ids]) for ids in calls), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), MessageTooLarge, type(None)]
    assert service.arrived() == ["a", "e"]
    assert service.closed == 0


async def test_a_message_that_the_service_does_not_take_fails_alone() -> None:
    service = Service()
    service.refuses = frozenset("b")
    outbox = service.outbox()
    outcomes = await asyncio.gather(*(outbox.send([message(id)]) for id in "abc"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), MessageTooLarge, type(None)]
    assert service.transfers == [["a"], ["c"]]


async def test_what_the_sdk_cannot_encode_fails_alone() -> None:
    service = Service()
    outbox = service.outbox()
    strange = ServiceBusMessage(b"", message_id="b", application_properties={"a": object()})  # type: ignore[dict-item]
    outcomes = await asyncio.gather(
        outbox.send([message("a"), message("z")]),
        outbox.send([strange, message("c")]),
        outbox.send([message("d")]),
        return_exceptions=True,
    )
    assert outcomes[0] is None
    assert isinstance(outcomes[1], Exception)
    assert outcomes[2] is None
    assert service.arrived() == ["a", "z", "d"]


async def test_a_broken_sender_is_closed_and_its_message_sent_by_a_new_one() -> None:
    service = Service([None, ServiceBusConnectionError()])
    outbox = service.outbox()
    await outbox.send([message("a")])
    await outbox.send([message("b")])
    await outbox.close()
    assert service.transfers == [["a"], ["b"]]
    assert (service.opened, service.closed) == (2, 2)


async def test_an_endpoint_that_stays_away_is_unreachable_for_each_of_its_callers() -> None:
    service = Service()
    service.refuses_to_open.extend(ServiceBusConnectionError() for _ in range(3))
    outbox = service.outbox()
    outcomes = await asyncio.gather(*(outbox.send([message(id)]) for id in "abc"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [BusUnreachable] * 3
    assert len(set(map(id, outcomes))) == 3
    await outbox.send([message("d")])
    assert service.transfers == [["d"]]


async def test_a_timeout_was_long_enough_and_the_sender_is_not_trusted_any_more() -> None:
    service = Service([OperationTimeoutError()])
    outbox = service.outbox()
    with pytest.raises(BusUnreachable):
        await outbox.send([message("a")])
    await outbox.send([message("b")])
    assert service.opened == 2
    assert service.transfers == [["b"]]


async def test_a_busy_service_is_asked_again_by_the_same_sender_and_not_for_long() -> None:
    service = Service([ServiceBusServerBusyError(), None] + [ServiceBusServerBusyError()] * 3)
    outbox = service.outbox()
    await outbox.send([message("a")])
    with pytest.raises(BusThrottled):
        await outbox.send([message("b")])
    assert service.opened == 1
    assert service.transfers == [["a"]]


async def test_access_that_ran_out_on_a_kept_connection_is_asked_for_once_more() -> None:
    service = Service([None, ServiceBusAuthenticationError()])
    outbox = service.outbox()
    await outbox.send([message("a")])
    await outbox.send([message("b")])
    assert service.opened == 2


async def test_access_that_is_denied_at_the_opening_is_not_asked_for_again() -> None:
    service = Service()
    service.refuses_to_open.append(ServiceBusAuthenticationError())
    with pytest.raises(BusAccessDenied):
        await service.outbox().send([message("a")])
    assert service.opened == 0


async def test_an_entity_that_is_not_there_is_not_looked_for_again() -> None:
    service = Service()
    service.refuses_to_open.extend([MessagingEntityNotFoundError(), AssertionError("asked again")])
    outbox = service.outbox()
    outcomes = await asyncio.gather(*(outbox.send([message(id)]) for id in "ab"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EntityNotFound] * 2


async def test_a_caller_who_is_cancelled_while_waiting_sends_nothing_and_disturbs_nobody() -> None:
    service = Service()
    outbox = service.outbox()
    service.gate.clear()
    first = asyncio.create_task(outbox.send([message("first")]))
    await service.asked.wait()
    gone = asyncio.create_task(outbox.send([message("gone")]))
    last = asyncio.create_task(outbox.send([message("last")]))
    await asyncio.sleep(0)
    gone.cancel()
    first.cancel()  # it is being sent: it arrives, and the one after it is not held up
    await asyncio.sleep(0)
    service.gate.set()
    await last
    assert service.transfers == [["first"], ["last"]]
    assert first.cancelled()
    assert gone.cancelled()


async def test_closing_waits_for_what_is_sent_and_another_send_opens_it_again() -> None:
    service = Service()
    outbox = service.outbox()
    under_way = [asyncio.create_task(outbox.send([message(id)])) for id in "ab"]
    await asyncio.sleep(0)
    await outbox.close()
    await asyncio.gather(*under_way)
    assert (service.opened, service.closed) == (1, 1)
    await outbox.send([message("c")])
    assert service.arrived() == ["a", "b", "c"]


ANSWERS = st.sampled_from(
    [
        None,
        None,
        None,
        ServiceBusConnectionError(),
        ServiceBusServerBusyError(),
        OperationTimeoutError(),
        MessageSizeExceededError(),
        ServiceBusAuthenticationError(),
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.lists(st.integers(1, 1500), min_size=1, max_size=4), min_size=1, max_size=12),
    limit=st.integers(1000, 6000),
    answers=st.lists(ANSWERS, max_size=15),
    cancelled=st.sets(st.integers(0, 11), max_size=3),
    yields=st.lists(st.integers(0, 3), min_size=12, max_size=12),
)
def test_what_a_caller_is_told_is_what_became_of_its_messages(
    sizes: list[list[int]],
    limit: int,
    answers: list[Exception | None],
    cancelled: set[int],
    yields: list[int],
) -> None:
    async def run() -> None:
        service = Service(answers, limit)
        outbox = service.outbox()
        tasks: list[asyncio.Task[None]] = []
        for number, call in enumerate(sizes):
            messages = [message(f"{number}.{place}", size) for place, size in enumerate(call)]
            tasks.append(asyncio.create_task(outbox.send(messages)))
            for _ in range(yields[number]):
                await asyncio.sleep(0)
        for number in cancelled:
            if number < len(tasks):
                tasks[number].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(asyncio.CancelledError):
            await outbox.close()
        arrived = service.arrived()
        assert len(arrived) == len(set(arrived))
        for number, (call, outcome) in enumerate(zip(sizes, outcomes, strict=True)):
            ids = [f"{number}.{place}" for place in range(len(call))]
            found = [transfer for transfer in service.transfers if set(ids) & set(transfer)]
            if outcome is None:
                assert len(found) == 1
            if found:  # whole, in order, in one transfer
                place = found[0].index(ids[0])
                assert found[0][place : place + len(ids)] == ids
            if isinstance(outcome, BusError):
                assert not found
            else:
                assert outcome is None or isinstance(outcome, asyncio.CancelledError)
        assert service.closed == service.opened

    asyncio.run(run())
