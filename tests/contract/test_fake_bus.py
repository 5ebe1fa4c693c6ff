"""The fake that unit tests use keeps the contract of the port."""

from collections.abc import Sequence

import pytest

from core.bus import Bus, OutgoingMessage
from tests.contract.bus_suite import BusSuite
from tests.fakes import FakeBus


class TestFakeBus(BusSuite):
    @pytest.fixture
    def bus(self) -> Bus:
        return FakeBus()

    async def arrived(self, bus: Bus, queue: str) -> Sequence[OutgoingMessage]:
        assert isinstance(bus, FakeBus)
        arrived, bus.sent[queue] = bus.sent[queue], []
        return [message for message in arrived if message.scheduled_for is None]

    async def put_dead_letter(
        self, bus: Bus, path: str, message: OutgoingMessage, reason: str, description: str
    ) -> None:
        assert isinstance(bus, FakeBus)
        bus.dead_letter(path, message, reason, description)
