"""The embedded documents adapter keeps the contract of the port."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.embedded.documents import EmbeddedDocuments
from core.documents import Documents, DocumentsUnavailable, TooManyRequests
from emulator.documents.engine import DocumentsEngine
from emulator.documents.schema import SCHEMA
from emulator.documents.topology import load_containers
from emulator.metrics import Metrics
from emulator.store import Store
from tests.contract.documents_suite import STREAM, DocumentsSuite, item

TOPOLOGY = Path(__file__).parents[2] / "topology" / "cosmos.json"


class HandClock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


class TestEmbeddedDocuments(DocumentsSuite):
    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[DocumentsEngine]:
        store = Store(tmp_path / "store", schema=SCHEMA, synchronous="OFF")
        self.clock = HandClock()
        yield DocumentsEngine(store, self.clock, load_containers(TOPOLOGY), Metrics())
        await store.close()

    @pytest.fixture
    def documents(self, engine: DocumentsEngine) -> Documents:
        return EmbeddedDocuments(lambda: engine)

    async def let_pass(self, seconds: float) -> None:
        self.clock.now += seconds

    async def test_faults_of_the_engine_are_the_ports_transient_errors(
        self, documents: Documents, engine: DocumentsEngine
    ) -> None:
        engine.fail_until(self.clock.now + 30)
        with pytest.raises(DocumentsUnavailable):
            await documents.create("orders", STREAM, item())
        engine.fail_until(self.clock.now + 30, retry_after_s=1.5)
        with pytest.raises(TooManyRequests) as caught:
            await documents.read("orders", STREAM, "1")
        assert caught.value.retry_after_s == 1.5
