"""Independent requests at the same time, but not too many."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence


async def gather_bounded[T](call: Callable[[T], Awaitable[None]], items: Sequence[T], limit: int) -> None:
    """Await `call(item)` for every item, `limit` at a time.

    All are tried; then the error, or the group of the errors, is raised.
    """
    if len(items) == 1:
        await call(items[0])
        return
    errors: list[Exception] = []
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            try:
                await call(item)
            except Exception as error:
                errors.append(error)

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(limit, len(items))):
            workers.create_task(work())
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(items)} failed", errors)
