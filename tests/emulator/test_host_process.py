"""`python -m emulator start` with real processes: start, stop, crash, and why it may not start."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.emulator.hosting import APPS

pytestmark = pytest.mark.slow

ROOT = APPS.parents[2]
PATIENCE_S = 30.0


@dataclass
class Emulator:
    process: subprocess.Popen[str]
    url: str
    state: Path

    def children(self) -> list[int]:
        """Process ids of the instances."""
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(line) for line in found.stdout.split()]

    def wait_for_line(self, text: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if text in line:
                return line
        raise AssertionError(f"it ended without saying {text!r}")


def command(app: Path, state: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "emulator", "start", "--app", str(app), "--state", str(state), *options]


@contextlib.contextmanager
def running(state: Path, *options: str) -> Iterator[Emulator]:
    process = subprocess.Popen(
        command(APPS / "served", state, "--port", "0", *options),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    emulator = Emulator(process, "", state)
    try:
        emulator.url = emulator.wait_for_line("ready: ").strip().removeprefix("ready: ")
        yield emulator
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def refused(app: Path, state: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(app, state, *options),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


async def ask(emulator: Emulator, path: str, method: str = "GET") -> str:
    """On a connection of its own, so that the kernel deals it to any instance."""
    async with aiohttp.ClientSession() as client, client.request(method, emulator.url + path) as answer:
        assert answer.status < 300, (answer.status, path)
        return await answer.text()


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.05)


def admin(emulator: Emulator, number: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(str(emulator.state / f"instance-{number}.sock"))
    )


async def test_two_instances_serve_one_port_and_sigterm_finishes_what_is_in_hand(tmp_path: Path) -> None:
    with running(tmp_path / "state", "--instances", "2") as emulator:
        answers = await asyncio.gather(*(ask(emulator, "/api/pid") for _ in range(60)))
        assert {int(pid) for pid in answers} == set(emulator.children())
        slow = asyncio.create_task(ask(emulator, "/api/pid?seconds=1"))
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(admin(emulator, number)) for number in (0, 1)]
            busy = False
            while not busy:
                if slow.done():  # before anybody looked
                    slow = asyncio.create_task(ask(emulator, "/api/pid?seconds=1"))
                found = [await (await client.get("http://x/metrics")).json() for client in clients]
                busy = any(each["in_flight"] for each in found)
        emulator.process.send_signal(signal.SIGTERM)
        assert int(await slow) > 0
        assert await asyncio.to_thread(emulator.process.wait, PATIENCE_S) == 0
    assert not list((tmp_path / "state").glob("instance-*.sock"))


async def test_one_of_two_killed_loses_nothing_and_runs_again(tmp_path: Path) -> None:
    with running(tmp_path / "state", "--instances", "2") as emulator:
        before = emulator.children()
        await asyncio.gather(*(ask(emulator, f"/api/send/{n * 20}/20", "POST") for n in range(10)))
        os.kill(before[0], signal.SIGKILL)
        await asyncio.to_thread(emulator.wait_for_line, "ended with code -9")
        await asyncio.to_thread(emulator.wait_for_line, "runs again")
        done: dict[str, int] = {}
        deadline = time.monotonic() + PATIENCE_S
        while len(done) < 200:
            assert time.monotonic() < deadline, f"{len(done)} of 200"
            done = json.loads(await ask(emulator, "/api/done"))
        assert before[1] in set(done.values())
        after = emulator.children()
        assert before[0] not in after
        assert len(after) == 2


async def test_without_restart_the_survivor_goes_on_alone(tmp_path: Path) -> None:
    with running(tmp_path / "state", "--instances", "2", "--no-restart") as emulator:
        dead, alive = emulator.children()
        os.kill(dead, signal.SIGKILL)
        await asyncio.to_thread(emulator.wait_for_line, "ended with code -9")
        answers = await asyncio.gather(*(ask(emulator, "/api/pid") for _ in range(10)))
        assert {int(pid) for pid in answers} == {alive}


async def test_when_all_instances_have_ended_it_ends_too(tmp_path: Path) -> None:
    with running(tmp_path / "state", "--no-restart") as emulator:
        (child,) = emulator.children()
        os.kill(child, signal.SIGKILL)
        assert await asyncio.to_thread(emulator.process.wait, PATIENCE_S) == 1


async def test_the_port_can_be_used_again_at_once(tmp_path: Path) -> None:
    port = "0"
    for _ in range(2):
        with running(tmp_path / "state", "--port", port) as emulator:
            async with aiohttp.ClientSession() as client:  # its idle connection is closed by the emulator
                async with client.get(f"{emulator.url}/api/pid") as answer:
                    assert answer.status == 200
                port = emulator.url.rsplit(":", 1)[1]
                emulator.process.terminate()
                assert await asyncio.to_thread(emulator.process.wait, PATIENCE_S) == 0


async def test_instances_end_with_their_supervisor_and_the_folder_is_free_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running(state) as emulator:
        (child,) = emulator.children()
        assert "in use by another emulator" in refused(APPS / "served", state, "--port", "0").stderr
        emulator.process.kill()
        await until(
            lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text()
        )
    with running(state) as emulator:
        assert int(await ask(emulator, "/api/pid")) != child


@pytest.mark.parametrize("options", [(), ("--no-in-process-rpc", "--no-fast-timestamps")])
async def test_durable_functions_run_with_and_without_the_shortcuts(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with running(tmp_path / "state", *options) as emulator:
        links = json.loads(await ask(emulator, "/api/add/a-1", "POST"))
        assert links["statusQueryGetUri"].startswith(emulator.url)
        status: dict[str, object] = {}
        deadline = time.monotonic() + PATIENCE_S
        while status.get("runtimeStatus") != "Completed":
            assert time.monotonic() < deadline, status
            status = json.loads(await ask(emulator, "/runtime/webhooks/durabletask/instances/a-1"))
        assert status["output"] == 3


async def test_the_admin_socket_counts_and_breaks_things(tmp_path: Path) -> None:
    with running(tmp_path / "state") as emulator:
        await ask(emulator, "/api/done")
        async with admin(emulator, 0) as client:
            metrics = await (await client.get("http://x/metrics")).json()
            assert metrics["counts"]["documents.http"] == {"done": 1}
            assert metrics["cpu_seconds"] > 0
            assert metrics["loop_lag"].keys() == {"p50_ms", "p99_ms", "max_ms"}
            assert (await client.post("http://x/metrics/reset")).status == 204
            assert (await (await client.get("http://x/metrics")).json())["counts"] == {}
            for wrong in ("[]", "{", '{"documents_seconds": -1}', '{"disk_seconds": 1}'):
                assert (await client.post("http://x/faults", data=wrong)).status == 400
            assert (await client.post("http://x/faults", data='{"documents_seconds": 30}')).status == 204
            assert (await client.get("http://x/nothing")).status == 404
        async with aiohttp.ClientSession() as client, client.get(f"{emulator.url}/api/done") as answer:
            assert answer.status == 500


def test_a_broken_app_is_refused_with_the_workers_message(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(
        "import azure.functions as func\nraise ValueError('no such luck')\n"
    )
    result = refused(tmp_path, tmp_path / "state", "--port", "0", "--instances", "2")
    assert result.returncode == 1
    assert "ValueError: no such luck" in result.stderr
    assert result.stderr.count("no such luck") == 2, "the message, and the line of the app, once each"
    assert "Traceback" not in result.stderr
    assert "emulator/" not in result.stderr


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = refused(APPS / "served", tmp_path / "state", "--port", str(port))
    assert result.returncode == 2
    assert result.stderr == (
        f"emulator: port {port} on 127.0.0.1 cannot be used (Address already in use): give another --port\n"
    )


def test_a_folder_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / "store.sqlite3")) as db:
        db.execute("PRAGMA user_version=99")
    result = refused(APPS / "served", tmp_path / "state", "--port", "0")
    assert result.returncode == 2
    assert "newer version" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--instances", "0"), "1 to 16 instances"), (("--port", "99999"), "a port is 0 to 65535")],
)
def test_an_option_that_is_wrong_is_refused(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    result = refused(APPS / "served", tmp_path / "state", *options)
    assert result.returncode == 2
    assert message in result.stderr
