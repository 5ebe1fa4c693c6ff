"""A TCP proxy that breaks connections, so that a client loses them as it does when a network fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

_CHUNK = 65536


class CuttingProxy:
    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.cuts = 0
        self._target_port = target_port
        self._pairs: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []

    def cut(self, chance: Random, number: int) -> None:
        """So many connections at most, with whatever they have under way."""
        for pair in chance.sample(self._pairs, min(number, len(self._pairs))):
            self.cuts += 1
            for writer in pair:
                writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()  # nobody listens: as refused
            return
        pair = (writer, there)
        self._pairs.append(pair)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, there))
                both.create_task(_pump(there_reader, writer))
        finally:
            self._pairs.remove(pair)
            for each in pair:
                each.close()

    async def end(self) -> None:
        """All connections, once no more are accepted."""
        while self._pairs:
            for pair in self._pairs:
                for writer in pair:
                    writer.transport.abort()
            await asyncio.sleep(0)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def cutting_proxy(target_port: int) -> AsyncIterator[CuttingProxy]:
    """To a port of this machine."""
    proxy = CuttingProxy(target_port)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            await proxy.end()
