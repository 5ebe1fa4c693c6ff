"""Told on each channel, once but for a crash after the send, however deliveries interleave and die."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.envelope import from_json
from emulator.simulation import run_simulated
from services.notifications.channels import SendRefused
from services.notifications.handlers import handle_command
from services.notifications.sending import InFlight
from services.notifications.telling import tell
from tests.fakes import FakeBus, FakeDocuments, FakeLoopClock
from tests.interleaving import (
    Action,
    Gates,
    at_each_gate,
    crash_at,
    overtake_at,
    run_schedule,
    schedules,
)
from tests.notification_support import ADA, NOTICE, FakeChannel, notifier, statuses, with_profile

DELIVERIES = ["event", "queue"]


class World:
    """Delivers the event, and with `queue` everything that is queued and due."""

    def __init__(self, email_refuses: bool = False) -> None:
        self.gates = Gates(lambda delivery, n: "go")
        self.clock = FakeLoopClock()
        self.documents = FakeDocuments(self.clock)
        self.bus = FakeBus(self.clock)
        self.channels = {name: FakeChannel(self.gates) for name in ("email", "sms", "push")}
        self.to = notifier(self.documents, self.bus, self.clock, self.channels)
        if email_refuses:
            self.channels["email"].outcome = self._refuse

    @staticmethod
    def _refuse(message) -> None:
        raise SendRefused("550 no such user")

    async def start(self) -> None:
        await with_profile(self.documents, ADA.__replace__(push=()))
        self.documents.before = self.documents.after = self.gates
        self.bus.before = self.bus.after = self.gates

    async def handle(self, name: str) -> None:
        if name == "event":
            await tell(self.to, NOTICE)
            return
        for message in list(self.bus.sent["notifications"]):
            if message.scheduled_for is None or message.scheduled_for <= self.clock.now():
                await handle_command(self.to, from_json(message.body))
                if message in self.bus.sent["notifications"]:
                    self.bus.sent["notifications"].remove(message)

    async def rest(self) -> None:
        for _ in range(60):
            if not self.bus.sent["notifications"]:
                return
            with suppress(InFlight):
                await self.handle("queue")
            await asyncio.sleep(40)
        raise AssertionError("the notifications never come to rest")

    def sent(self, name: str) -> int:
        return len(self.channels[name].sent)


@pytest.mark.parametrize("email_refuses", [False, True])
def test_a_crash_at_any_port_call_tells_the_customer_and_twice_only_if_it_struck_after_the_send(
    email_refuses,
):
    async def scenario(nth: int) -> bool:
        world = World(email_refuses)
        await world.start()
        there = await crash_at(world.gates, nth, world.handle, DELIVERIES)
        await world.rest()
        ends = {name: found[-1] for name, found in statuses(world.documents).items()}
        told = "sms" if email_refuses else "email"
        assert ends == ({"email": "failed", "sms": "sent"} if email_refuses else {"email": "sent"})
        assert 1 <= world.sent(told) <= 2
        assert 1 <= world.sent("email") <= 2
        return there

    at_each_gate(scenario, more_than=15)


@pytest.mark.parametrize("pause_s", [0.0, 5.0, 40.0])
@pytest.mark.parametrize(("slow", "others"), [("event", ["event", "queue"]), ("queue", ["event", "queue"])])
def test_a_delivery_overtaken_at_any_port_call_sends_once_while_the_provider_answers_in_time(
    slow, others, pause_s
):
    async def scenario(nth: int) -> bool:
        world = World()
        await world.start()
        if slow == "queue":
            await world.handle("event")
        there = await overtake_at(world.gates, nth, world.handle, slow, others, pause_s)
        await world.rest()
        assert statuses(world.documents)["email"][-1] == "sent"
        if pause_s < 30.0:
            assert world.sent("email") == 1
        else:
            assert 1 <= world.sent("email") <= 2
        return there

    at_each_gate(scenario)


@settings(max_examples=100, deadline=None)
@given(actions=schedules(DELIVERIES), email_refuses=st.booleans())
def test_any_interleaving_of_deliveries_and_crashes_tells_the_customer(
    actions: list[Action], email_refuses: bool
):
    async def scenario() -> None:
        world = World(email_refuses)
        await world.start()
        delivered = await run_schedule(world.gates, world.handle, actions)
        await world.rest()
        if "event" in delivered:
            ends = {name: found[-1] for name, found in statuses(world.documents).items()}
            assert ends == ({"email": "failed", "sms": "sent"} if email_refuses else {"email": "sent"})

    run_simulated(scenario())
