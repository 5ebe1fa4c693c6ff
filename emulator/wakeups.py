"""Tells the other processes on a store what became ready, by Unix datagrams in the state folder.

A datagram may be lost (a peer is busy, dead, or not there yet): the engines' scan each second is the net.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from emulator.store import Peers

_DATAGRAM_BYTES = 32 * 1024


class Wakeups(Peers):
    """Instance `instance` of `instances`, counted from 0; each has the socket `wake-<instance>.sock`."""

    def __init__(self, folder: Path, instance: int, instances: int) -> None:
        # Through the folder's descriptor: a socket's address has at most 107 bytes, a path may have more.
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._own = folder / f"wake-{instance}.sock"
        self._peers = [self._address(number) for number in range(instances) if number != instance]
        self._own.unlink(missing_ok=True)  # of an instance that was killed
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(self._address(instance))
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, wake: Callable[[str], None]) -> None:
        """Call `wake`, on the running loop, with each name that a peer tells; see `Store.wake_from_peer`."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._receive, wake)

    def tell(self, names: Iterable[str]) -> None:
        for datagram in _datagrams(names):
            for peer in self._peers:
                try:
                    self._socket.sendto(datagram, peer)
                except (BlockingIOError, ConnectionRefusedError, FileNotFoundError):
                    # Busy, so it has work; dead; not started yet. It will scan.
                    continue

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
        self._socket.close()
        self._own.unlink(missing_ok=True)
        os.close(self._folder)

    def _address(self, instance: int) -> str:
        return f"/proc/self/fd/{self._folder}/wake-{instance}.sock"

    def _receive(self, wake: Callable[[str], None]) -> None:
        names: dict[str, None] = {}
        while True:
            try:
                datagram = self._socket.recv(2 * _DATAGRAM_BYTES)
            except BlockingIOError:
                break
            names.update(dict.fromkeys(datagram.decode().split("\n")))
        for name in names:
            wake(name)


def _datagrams(names: Iterable[str]) -> Iterable[bytes]:
    lines: list[str] = []
    size = 0
    for name in names:
        if size + len(name) >= _DATAGRAM_BYTES:
            yield "\n".join(lines).encode()
            lines, size = [], 0
        lines.append(name)
        size += 4 * len(name) + 1
    if lines:
        yield "\n".join(lines).encode()
