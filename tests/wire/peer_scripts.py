"""Runs the scripts in tests/wire/peers that drive an endpoint with an SDK for JavaScript."""

import asyncio
import json
from typing import Any

from tests.wire.node_peers import PEERS, installed

DEADLINE_S = 60.0


class Scenarios:
    """What each scenario of a script found out, by its name."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self._by_name = {line["name"]: line for line in lines}

    def __getitem__(self, name: str) -> Any:
        found = self._by_name[name]
        assert "broken" not in found, found["broken"]
        return found["facts"]


async def run(script: str, *arguments: str) -> Scenarios:
    """Skips the test without Node. The script ends by itself, or is ended at the deadline."""
    await asyncio.to_thread(installed)
    process = await asyncio.create_subprocess_exec(
        "node",
        script,
        *arguments,
        cwd=PEERS,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return Scenarios([json.loads(line) for line in output.splitlines()])
