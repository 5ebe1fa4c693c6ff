"""Where documents, messages and blobs are kept."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.blobs import Blobs
from core.bus import Bus
from core.clock import Clock
from core.documents import Documents
from core.settings import Settings


@dataclass(frozen=True, slots=True)
class Infrastructure:
    documents: Documents
    bus: Bus
    blobs: Blobs
    clock: Clock


def connect(settings: Settings, environment: Mapping[str, str]) -> Infrastructure:
    """The engines of the emulator that hosts the app, or Azure's services through the SDKs.

    Imported by choice, so that what is deployed needs no emulator, and the emulator alone no Azure data SDK.
    """
    if settings.adapters == "azure":
        from adapters import azure  # noqa: PLC0415

        there = azure.connect(environment)
        return Infrastructure(there.documents, there.bus, there.blobs, there.clock)
    from adapters import embedded  # noqa: PLC0415

    here = embedded.connect()
    return Infrastructure(here.documents, here.bus, here.blobs, here.clock)
