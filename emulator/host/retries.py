"""A function run until it succeeds or its retry policy gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from azure_functions_runtime.bindings.datumdef import Datum

from emulator.host.functions import Function
from emulator.host.invocations import Invocations
from emulator.host.worker import InvocationFailed


class Stopping(Exception):
    """The instance stops: the function is left unfinished."""


async def run_with_retries(
    invocations: Invocations,
    function: Function,
    inputs: Sequence[tuple[str, Datum]],
    stopping: asyncio.Event,
) -> bool:
    """Whether it succeeded in the end; without a policy there is one attempt. Raises Stopping.

    The count of retries lives in memory only, as in Azure: after a restart it begins again.
    """
    policy = function.retry
    retry = 0
    while True:
        try:
            await invocations.run(
                function,
                inputs,
                retry_count=retry,
                max_retry_count=policy.max_retry_count if policy else 0,
            )
        except InvocationFailed:
            retry += 1
            if policy is None or not policy.allows(retry):
                return False
        else:
            return True
        await pause(policy.delay(retry), stopping)


async def pause(seconds: float, stopping: asyncio.Event) -> None:
    """Raises Stopping, at once when it is so."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
    raise Stopping
