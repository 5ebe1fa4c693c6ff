"""The ports on the engines of the embedded emulator, for an app that it hosts."""

from dataclasses import dataclass
from datetime import UTC, datetime

from adapters.embedded.blobs import EmbeddedBlobs
from adapters.embedded.bus import EmbeddedBus
from adapters.embedded.documents import EmbeddedDocuments
from core.blobs import Blobs
from core.bus import Bus
from core.clock import Clock
from core.documents import Documents
from emulator import engines


class EmbeddedClock(Clock):
    """The emulator's clock: real, or simulated in tests."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(engines.current().clock.time(), UTC)


@dataclass(frozen=True)
class Adapters:
    documents: Documents
    bus: Bus
    blobs: Blobs
    clock: Clock


def connect() -> Adapters:
    """Engines are looked up at each call: a test can restart them beneath an app that is indexed already."""
    return Adapters(EmbeddedDocuments(), EmbeddedBus(), EmbeddedBlobs(), EmbeddedClock())
