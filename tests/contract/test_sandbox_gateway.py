"""The sandbox gateway keeps the contract of the port."""

import pytest

from adapters.sandbox.gateway import SandboxGateway
from services.payments.gateway import PaymentGateway
from tests.contract.gateway_suite import GatewaySuite, order
from tests.fakes import FakeBus, FakeClock, FakeDocuments

__all__ = ["order"]


class TestSandboxGateway(GatewaySuite):
    ok = "tok_ok"
    declined = "tok_declined"
    action = "tok_action_abandoned"
    unknown = "tok_unknown"

    @pytest.fixture
    async def gateway(self) -> PaymentGateway:
        clock = FakeClock()
        return SandboxGateway(FakeDocuments(clock), FakeBus(clock), clock)
