"""Listens for AMQP connections."""

from __future__ import annotations

import asyncio

from emulator.clock import Clock
from emulator.metrics import Metrics
from emulator.servicebus.engine import ServiceBusEngine
from emulator.store import Store
from emulator.wire.amqp.connection import Connection
from emulator.wire.amqp.errors import FORCED
from emulator.wire.amqp.mailboxes import Mailboxes
from emulator.wire.amqp.nodes import Namespace
from emulator.wire.amqp.pipe import Limits
from emulator.wire.amqp.replies import Error

_BACKLOG = 1024


class AmqpServer:
    """On a started engine, in its event loop."""

    def __init__(
        self,
        engine: ServiceBusEngine,
        store: Store,
        clock: Clock,
        key: str,
        *,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """`key` is what tokens are signed with."""
        self._namespace = Namespace(engine, Mailboxes(engine, store), clock, key)
        self._metrics = metrics or Metrics()
        self._limits = limits or Limits()
        self._connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> None:
        """Other processes may listen on the port: the kernel deals connections out. Raises OSError."""
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._namespace, self._limits, self._metrics, self._connections),
            host,
            port,
            reuse_port=True,
            backlog=_BACKLOG,
        )

    @property
    def port(self) -> int:
        """Where it listens; 0 when it does not."""
        sockets = self._listener.sockets if self._listener is not None else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def close(self, patience_s: float = 5.0) -> None:
        """Take nothing more, answer for so long what is in hand, and tell the peers that it ends."""
        if self._listener is not None:
            self._listener.close()
        self._namespace.mailboxes.stop()
        connections = list(self._connections)
        for connection in connections:
            connection.stop_reading()
        if connections:
            await asyncio.wait(
                [asyncio.ensure_future(connection.finish_work()) for connection in connections],
                timeout=patience_s,
            )
        for connection in connections:
            connection.end(Error(FORCED, "The emulator stops."))
        while self._connections and patience_s > 0:
            await asyncio.sleep(0.01)
            patience_s -= 0.01
        for connection in list(self._connections):
            connection.abort()
