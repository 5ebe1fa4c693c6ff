"""The engines of one emulator process, and which of them the app's embedded adapters talk to.

A module-level value because the hosted app is imported by name and finds the engines by itself. Set when an
instance starts, and again when a test restarts the engines under an app that is already indexed.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from emulator.blobs import BlobsEngine
from emulator.clock import Clock
from emulator.metrics import Metrics
from emulator.store import Store

if TYPE_CHECKING:
    from emulator.documents.engine import DocumentsEngine
    from emulator.servicebus.engine import ServiceBusEngine


@dataclass(frozen=True)
class Engines:
    store: Store
    documents: DocumentsEngine
    bus: ServiceBusEngine
    clock: Clock
    random: Random
    metrics: Metrics
    blobs: BlobsEngine


_current: Engines | None = None


def use(engines: Engines | None) -> None:
    global _current  # noqa: PLW0603  (see the module's docstring)
    _current = engines


def current() -> Engines:
    """Raises RuntimeError outside an emulator."""
    if _current is None:
        raise RuntimeError("the embedded adapters work inside `python -m emulator start` only")
    return _current
