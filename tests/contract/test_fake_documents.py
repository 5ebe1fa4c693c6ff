"""The fake that unit tests use keeps the contract of the port."""

import pytest

from core.documents import Documents
from tests.contract.documents_suite import DocumentsSuite
from tests.fakes import FakeClock, FakeDocuments


class TestFakeDocuments(DocumentsSuite):
    @pytest.fixture
    def documents(self) -> Documents:
        self.clock = FakeClock()
        return FakeDocuments(self.clock)

    async def let_pass(self, seconds: float) -> None:
        self.clock.advance(seconds)
