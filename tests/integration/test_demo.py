"""`make demo` as a newcomer runs it, and its board on a terminal."""

import io
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rich.console import Console

from tools.demo import CASES
from tools.demo_board import Board, steps_of
from tools.emulator_process import ADAPTERS, PROJECT


def made(adapters: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.demo", "--adapters", adapters],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def demos() -> Mapping[str, subprocess.CompletedProcess[str]]:
    """Side by side, since most of what they do is to wait for a carrier that never answers."""
    with ThreadPoolExecutor() as threads:
        return dict(zip(ADAPTERS, threads.map(made, ADAPTERS), strict=True))


@pytest.fixture(params=ADAPTERS)
def demo(
    request: pytest.FixtureRequest, demos: Mapping[str, subprocess.CompletedProcess[str]]
) -> subprocess.CompletedProcess[str]:
    return demos[request.param]


@pytest.mark.slow
def test_the_demo_ends_with_every_order_as_expected_and_nothing_violated(
    demo: subprocess.CompletedProcess[str],
) -> None:
    assert demo.stderr == ""
    assert demo.stdout.splitlines()[-1] == "demo: 10 orders, 5 completed, 5 cancelled, 0 violations"
    assert demo.returncode == 0


@pytest.mark.slow
def test_the_demo_says_what_each_order_shows_and_how_it_moves(
    demo: subprocess.CompletedProcess[str],
) -> None:
    for case in CASES:
        [shown] = re.findall(rf"^order (ord-\w+) shows {re.escape(case.shows)}$", demo.stdout, re.MULTILINE)
        moves = re.findall(rf"^order {shown} (\w+) -> (\w+) \(\d+\.\d\d s\)$", demo.stdout, re.MULTILINE)
        assert moves[0][0] == "created"
        assert case.status in {after for _, after in moves}
        assert [after for _, after in moves[:-1]] == [before for before, _ in moves[1:]]


@pytest.mark.slow
def test_the_demo_shows_a_delivery_a_return_low_stock_and_the_mails(
    demo: subprocess.CompletedProcess[str],
) -> None:
    for said in (
        r"order ord-\w+ delivered by the carrier",
        r"return ord-\w+-r1 completed: 650 GBP \(minor units\) paid back",
        r"stock of CUP is low: \d+ available, threshold 95",
        r"mail to ada@example\.com: Your order ord-\w+ was delivered",
        r"mail to ada@example\.com: £6\.50 given back for ord-\w+-r1",
        r"mail to shop@example\.com: CUP runs low",
    ):
        assert re.search(rf"^{said}$", demo.stdout, re.MULTILINE), said


@pytest.mark.slow
def test_the_demo_writes_no_control_characters_into_a_pipe(demo: subprocess.CompletedProcess[str]) -> None:
    assert re.findall(r"[^\n\x20-\x7e£]", demo.stdout) == []


HISTORY: list[dict[str, Any]] = [
    {"type": "orders.created", "time": "2026-01-01T00:00:00+00:00"},
    {"type": "orders.inventory_reserved", "time": "2026-01-01T00:00:00.250000+00:00"},
    {"type": "orders.payment_processed", "time": "2026-01-01T00:00:01+00:00"},
]


def test_steps_are_named_and_timed_from_the_history() -> None:
    assert [(step.name, step.seconds) for step in steps_of(HISTORY)] == [
        ("created", 0.0),
        ("inventory_reserved", 0.25),
        ("payment_processed", 0.75),
    ]


@pytest.mark.parametrize("told", [(1, 2, 2, 3), (2, 3), (3,)])
def test_a_piped_board_writes_each_step_once_however_late_it_is_told(told: tuple[int, ...]) -> None:
    written = io.StringIO()
    board = Board(Console(file=written))
    with board.open():
        board.add("ord-1", "a path")
        for known in told:
            board.update("ord-1", HISTORY[:known])
    assert written.getvalue().splitlines() == [
        "order ord-1 shows a path",
        "order ord-1 created -> inventory_reserved (0.25 s)",
        "order ord-1 inventory_reserved -> payment_processed (0.75 s)",
    ]


def test_a_board_on_a_terminal_is_one_table() -> None:
    written = io.StringIO()
    board = Board(Console(file=written, force_terminal=True, width=120))
    with board.open():
        board.add("ord-1", "a path")
        board.update("ord-1", HISTORY)
    assert "ord-1" in written.getvalue()
    assert "payment_processed" in written.getvalue()
    assert " -> " not in written.getvalue()
