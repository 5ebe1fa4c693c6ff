"""Real invoices through the real app on a real emulator."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.retail_sample import SAMPLE, needs_sample
from tools.api import connect
from tools.emulator_process import ADAPTERS, PROJECT, running
from tools.retail import order_of, read_invoices, stock_needed
from tools.scratch import settle

DIRTY = """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,85123A,HOLDER,6,01/12/2010 08:26,2.55,17850,United Kingdom
1,85123A,HOLDER,4,01/12/2010 08:26,2.10,17850,United Kingdom
2,POST,POSTAGE,1,01/12/2010 08:26,18,12583,France
2,BANK CHARGES,"Bank, charges",1,01/12/2010 08:26,15,12583,France
C3,85123A,HOLDER,-6,01/12/2010 08:26,2.55,17850,United Kingdom
4,22139,,56,01/12/2010 08:26,0,,United Kingdom
5,22139,,56,01/12/2010 08:26,0,17850,United Kingdom
"""


def replay(file: Path, timeout_s: float, adapters: str = "embedded") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.replay", str(file), "--adapters", adapters],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("adapters", ADAPTERS)
def test_a_dirty_file_is_replayed_and_every_skip_is_counted_by_reason(adapters: str, tmp_path: Path) -> None:
    file = tmp_path / "dirty.csv"
    file.write_text(DIRTY)
    done = replay(file, 120, adapters)
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == (
        "replay: 5 invoices, 2 orders, 2 completed, 0 cancelled, 1 returned, "
        "2 skipped (no_customer=1 non_positive_price=1), 0 violations"
    )
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (DIRTY.replace("Quantity", "Amount"), "line 1: no column Quantity"),
        (DIRTY.replace("-6", "six"), "line 6: Quantity: 'six' is not a whole number"),
    ],
)
def test_a_file_in_another_layout_is_refused_before_anything_is_started(
    tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(content)
    done = replay(file, 60)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_missing_file_is_named() -> None:
    done = replay(Path("/nowhere/retail.csv"), 60)
    assert (done.returncode, done.stderr) == (2, "replay: /nowhere/retail.csv: No such file or directory\n")


@pytest.mark.slow
@needs_sample
def test_the_sample_replays_with_307_orders_and_nothing_violated() -> None:
    done = replay(SAMPLE, 240)
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == (
        "replay: 400 invoices, 307 orders, 307 completed, 0 cancelled, 4 returned, "
        "89 skipped (cancellation_of_no_order=31 no_customer=58), 0 violations"
    )


@pytest.mark.slow
@needs_sample
async def test_an_order_of_593_lines_completes(tmp_path: Path) -> None:
    [invoice] = [invoice for invoice in read_invoices(SAMPLE) if invoice.number == "536876"]
    order = order_of(invoice, customer="stand-in")
    assert len(order.lines) == 593
    async with running(tmp_path / "state") as emulator, connect(emulator.url) as api:
        await api.load_stock(stock_needed([order]))
        accepted = await api.submit(order, invoice.number)
        ended = await api.finished(accepted)
        assert ended.status == "completed", ended.reason
        assert await settle(emulator.state, [accepted.id]) == []
