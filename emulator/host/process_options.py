"""What the supervisor hands to each process it starts."""

from dataclasses import asdict, dataclass

import orjson

DRAIN_SECONDS = 20.0
"""How long an instance may go on with what is in hand once it was told to stop."""


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    app: str
    state: str
    store: str
    host: str
    port: int
    number: int
    instances: int
    fast_timestamps: bool
    in_process_rpc: bool
    log_level: str
    amqp_port: int | None
    """None, as `cosmos_port`, without wire endpoints."""
    cosmos_port: int | None
    status_fd: int
    """Where the one line goes."""
    supervisor_fd: int
    """Ends when the supervisor does."""

    def as_json(self) -> str:
        return orjson.dumps(asdict(self)).decode()
