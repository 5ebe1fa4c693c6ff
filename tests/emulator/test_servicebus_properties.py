"""Random operations against the model: same messages in the same order, same refusals, same accounts."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from emulator.clock import LoopClock
from emulator.servicebus.accounting import accounting
from emulator.servicebus.errors import MessageLockLost, MessageNotFound
from emulator.servicebus.messages import LockedMessage, Message
from emulator.simulation import SimulatedLoop
from tests.emulator.servicebus_model import Copy, Model
from tests.emulator.servicebus_support import ALL, DEAD, SHIPPED, TOPOLOGY, Bus, opened

MARGIN_S = 0.0137
"""Each step of time is a bit more than whole seconds: no check falls on the very moment at which something
ends, where the engine, which acts in the millisecond after it, and the model may differ."""

RECEIVABLE = [path + suffix for path in ("work", "notes", ALL, SHIPPED) for suffix in ("", DEAD)]
picks = st.integers(0, 1000)


class ServiceBus(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner(loop_factory=SimulatedLoop)
        self.clock = LoopClock(self.runner.get_loop())
        self.model = Model(TOPOLOGY, self.clock.time())
        self.sent = 0
        self.held: list[tuple[str, LockedMessage]] = []
        self.scheduled: list[tuple[str, int, Copy]] = []
        self.deferred: list[tuple[str, int, Copy]] = []
        self.last_number: dict[str, int] = {}
        self.open()

    def open(self) -> None:
        self.stack = AsyncExitStack()
        self.bus: Bus = self.runner.run(self.stack.enter_async_context(opened(self.folder, clock=self.clock)))

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)

    @initialize(number=st.integers(1, 3))
    def begin_with_some_messages(self, number: int) -> None:
        for entity in ("work", "notes", "events"):
            self.send(entity, list("xyz"[:number]), "shipped", None, None)

    @rule(
        entity=st.sampled_from(["work", "notes", "events"]),
        ids=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3),
        subject=st.sampled_from(["created", "shipped"]),
        time_to_live_s=st.none() | st.integers(1, 90),
        delay_s=st.none() | st.integers(-5, 60),
    )
    def send(
        self, entity: str, ids: list[str], subject: str, time_to_live_s: int | None, delay_s: int | None
    ) -> None:
        messages = []
        for message_id in ids:
            self.sent += 1
            scheduled_for = None if delay_s is None else self.clock.time() + delay_s
            messages.append(
                Message(
                    str(self.sent).encode(),
                    message_id,
                    subject,
                    time_to_live_s=time_to_live_s,
                    scheduled_for=scheduled_for,
                )
            )
        numbers = self.runner.run(self.bus.engine.send(entity, messages))
        for message, number in zip(messages, numbers, strict=True):
            copy = self.model.send(entity, message)
            if copy is not None:
                self.scheduled.append((entity, number, copy))

    def receivable(self, pick: int) -> str:
        """Mostly where something is free."""
        free = sorted({copy.path for copy in self.model.copies if copy.state == "ready"})
        paths = free if free and pick % 5 else RECEIVABLE
        return paths[pick % len(paths)]

    def valid_locks(self) -> Iterator[tuple[str, LockedMessage]]:
        return (each for each in self.held if self.model.held(each[0], each[1].lock_token))

    @rule(pick=picks, limit=st.integers(1, 4), delete=st.sampled_from([False, False, False, True]))
    def receive(self, pick: int, limit: int, delete: bool) -> None:
        path = self.receivable(pick)
        if delete:
            taken = self.runner.run(self.bus.engine.receive_and_delete(path, limit))
            gone = self.model.receive_and_delete(path, limit)
            assert [each.body for each in taken] == [copy.message.body for copy in gone]
            return
        messages = self.runner.run(self.bus.engine.receive(path, limit, "test"))
        expected = self.model.receive(path, limit)
        assert [each.body for each in messages] == [copy.message.body for copy in expected]
        for message, copy in zip(messages, expected, strict=True):
            assert message.delivery_count == copy.deliveries
            assert message.dead_letter_reason == copy.reason
            copy.token = message.lock_token
            self.held.append((path, message))
        numbers = [message.sequence_number for message in messages]
        assert numbers == sorted(set(numbers))

    @precondition(lambda self: any(copy.state == "deferred" for _, _, copy in self.deferred))
    @rule(some=st.lists(picks, min_size=1, max_size=2), delete=st.booleans())
    def receive_deferred(self, some: list[int], delete: bool) -> None:
        """Sometimes of another queue, or what is locked, expired or gone: such numbers stay in `deferred`."""
        there = [each for each in self.deferred if each[2].state == "deferred"]
        latest = (there if some[0] % 5 else self.deferred)[-6:]
        wanted = {
            number: (path, copy) for path, number, copy in (latest[pick % len(latest)] for pick in some)
        }
        path = next(path for path, _ in wanted.values())
        copies = [copy for _, copy in wanted.values()]
        engine, allowed = self.bus.engine, self.model.take_deferred(path, copies)
        try:
            if delete:
                messages = self.runner.run(engine.receive_and_delete_deferred(path, list(wanted)))
            else:
                messages = self.runner.run(engine.receive_deferred(path, list(wanted), "test"))
        except MessageNotFound:
            assert not allowed
            return
        assert allowed
        assert [each.sequence_number for each in messages] == list(wanted)
        for message, copy in zip(messages, copies, strict=True):
            assert (message.body, message.delivery_count) == (copy.message.body, copy.deliveries)
            assert message.state == "deferred"
            if isinstance(message, LockedMessage):
                self.model.lock_deferred(copy)
                copy.token = message.lock_token
                self.held.append((path, message))
            else:
                self.model.complete(copy)

    @precondition(lambda self: any(self.valid_locks()))
    @rule(
        pick=picks,
        how=st.sampled_from(
            ["complete", "complete", "abandon", "release", "defer", "defer", "dead_letter", "renew"]
        ),
    )
    def settle(self, pick: int, how: str) -> None:
        """Sometimes with a lock that is used up or over: such locks stay in `held`."""
        some = list(self.valid_locks()) if pick % 5 else self.held
        path, message = some[-1 - pick % min(len(some), 8)]
        if how == "dead_letter" and path.endswith(DEAD):
            return
        token = message.lock_token
        copy = self.model.held(path, token)
        extra = ("test", "") if how == "dead_letter" else ()
        try:
            self.runner.run(getattr(self.bus.engine, how)(path, [token], *extra))
        except MessageLockLost:
            assert copy is None
        else:
            assert copy is not None
            getattr(self.model, how)(copy, *extra[:1])
            if how == "defer":
                self.deferred.append((path, message.sequence_number, copy))

    @precondition(lambda self: any(copy in self.model.copies for _, _, copy in self.scheduled))
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        entity, number, copy = self.scheduled[pick % len(self.scheduled)]
        try:
            self.runner.run(self.bus.engine.cancel_scheduled(entity, [number]))
        except MessageNotFound:
            assert copy not in self.model.copies
        else:
            self.model.cancel(copy)

    @rule(seconds=st.sampled_from([1, 1, 2, 5, 12, 25, 40]))
    def advance(self, seconds: int) -> None:
        self.runner.run(asyncio.sleep(seconds + MARGIN_S))
        self.model.advance(seconds + MARGIN_S)

    @rule(down_s=st.sampled_from([0, 0, 1, 12, 40]))
    def restart(self, down_s: int) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.run(asyncio.sleep(down_s + MARGIN_S))
        self.open()
        self.model.advance(down_s + MARGIN_S, asleep=True)

    @invariant()
    def the_accounts_are_those_of_the_model_and_nothing_is_missing(self) -> None:
        accounts = accounting(self.bus.store.read)
        expected = self.model.accounts()
        assert {path: accounts[path] for path in expected} == expected
        assert [path for path, account in accounts.items() if account.missing] == []

    @invariant()
    def peeking_shows_every_message_in_its_place(self) -> None:
        for path in ("work", "events", ALL, ALL + DEAD):
            copies = sorted(
                (copy for copy in self.model.copies if copy.path == path), key=lambda each: each.place
            )
            peeked = self.bus.engine.peek(path, 0, 1000)
            assert [each.body for each in peeked] == [copy.message.body for copy in copies]
            assert [each.state for each in peeked] == [
                "deferred" if copy.deferred else "scheduled" if copy.state == "scheduled" else "active"
                for copy in copies
            ]


TestServiceBus = ServiceBus.TestCase
TestServiceBus.settings = settings(
    max_examples=70,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
