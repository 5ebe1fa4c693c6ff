"""The tables of all engines and of the host, in the one store."""

from emulator.documents.schema import SCHEMA as DOCUMENTS
from emulator.durable.schema import SCHEMA as DURABLE
from emulator.servicebus.schema import SCHEMA as SERVICE_BUS

TIMERS = (
    """CREATE TABLE host_timers (
        function TEXT PRIMARY KEY,
        schedule TEXT NOT NULL,
        last REAL,
        next REAL NOT NULL,
        owner TEXT NOT NULL DEFAULT '',
        leased_until REAL NOT NULL DEFAULT 0
    ) WITHOUT ROWID""",
)

SCHEMA: tuple[str, ...] = (*DOCUMENTS, *SERVICE_BUS, *DURABLE, *TIMERS)
