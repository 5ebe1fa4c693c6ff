"""The documents engine, as its tests have it; other tests of engines have fixtures of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from emulator.documents.engine import DocumentsEngine
from emulator.documents.schema import SCHEMA
from emulator.metrics import Metrics
from emulator.store import Store
from tests.emulator.documents_support import CONTAINERS, HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path / "store.db", schema=SCHEMA)
    yield store
    await store.close()


@pytest.fixture
def engine(store: Store, clock: HandClock) -> DocumentsEngine:
    return DocumentsEngine(store, clock, CONTAINERS, Metrics())
