"""A process of test_store_processes.py: `python -m tests.emulator.store_process ROLE FOLDER INSTANCE`.

Writes numbers that no other instance writes, each with the moment of its turn, and says each on its standard
output once it was acknowledged.
"""

import asyncio
import os
import sys
import time
from functools import partial
from pathlib import Path

from emulator.store import Store, Transaction
from emulator.turnstile import Turnstile
from tests.emulator.store_support import SCHEMA

WRITERS = 8
NUMBERS_PER_INSTANCE = 10_000_000


def timed(n: int, transaction: Transaction) -> None:
    """With the nanoseconds of the monotonic clock, which all processes share."""
    transaction.execute("INSERT INTO numbers VALUES (?, ?)", (n, time.monotonic_ns()))


async def write_on(store: Store, instance: int) -> None:
    """From a line on the standard input on, until killed."""
    os.write(1, b"ready\n")
    await asyncio.to_thread(sys.stdin.readline)
    highest = instance * NUMBERS_PER_INSTANCE
    for (found,) in store.read(
        "SELECT max(n) FROM numbers WHERE n BETWEEN ? AND ?", (highest, highest + NUMBERS_PER_INSTANCE - 1)
    ):
        highest = found or highest
    unused = iter(range(highest + 1, highest + NUMBERS_PER_INSTANCE))

    async def writer() -> None:
        for n in unused:
            await store.write(partial(timed, n))
            os.write(1, f"{n}\n".encode())

    await asyncio.gather(*(writer() for _ in range(WRITERS)))


def sit_in_the_turn(_: Transaction) -> None:
    os.write(1, b"in the turn\n")
    time.sleep(3600)


async def main(role: str, folder: Path, instance: int) -> None:
    store = Store(folder / "store", schema=SCHEMA, turn=Turnstile(folder))
    if role == "sit":
        await store.write(sit_in_the_turn)
    else:
        await write_on(store, instance)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
