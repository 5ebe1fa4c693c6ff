"""The tables of all engines and of the host, in the one store."""

from emulator.documents.schema import SCHEMA as DOCUMENTS
from emulator.servicebus.schema import SCHEMA as SERVICE_BUS

SCHEMA: tuple[str, ...] = (*DOCUMENTS, *SERVICE_BUS)
