"""The fake that unit tests use keeps the contract of the port."""

import pytest

from core.blobs import Blob, Blobs
from tests.contract.blobs_suite import BlobsSuite
from tests.fakes import FakeClock
from tests.fakes_blobs import FakeBlobs


class TestFakeBlobs(BlobsSuite):
    @pytest.fixture
    def blobs(self) -> Blobs:
        self.clock = FakeClock()
        self.fake = FakeBlobs(self.clock)
        return self.fake

    async def fetch(self, url: str) -> Blob | None:
        return self.fake.open(url)

    async def expire(self, url: str) -> None:
        self.clock.advance(3)
