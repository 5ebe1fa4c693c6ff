"""The documents suite on the emulator's engine, for the adapters that end there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from emulator.documents.engine import DocumentsEngine
from emulator.documents.schema import SCHEMA
from emulator.documents.topology import load_containers
from emulator.metrics import Metrics
from emulator.store import Store
from tests.contract.documents_suite import DocumentsSuite

TOPOLOGY = Path(__file__).parents[2] / "topology" / "cosmos.json"


class HandClock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


class EngineSuite(DocumentsSuite):
    """`documents` is left to the adapter, over `engine`."""

    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[DocumentsEngine]:
        store = Store(tmp_path / "store", schema=SCHEMA, synchronous="OFF")
        self.clock = HandClock()
        yield DocumentsEngine(store, self.clock, load_containers(TOPOLOGY), Metrics())
        await store.close()

    async def let_pass(self, seconds: float) -> None:
        self.clock.now += seconds
