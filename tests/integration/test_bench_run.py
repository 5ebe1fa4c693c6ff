"""The bench on a small load, and the budget of one completed order, on a real emulator."""

import time
from pathlib import Path

import pytest

from tools import bench_wire
from tools.api import Line, NewOrder, connect
from tools.bench import Sent, drained, ended_orders, evaluate, measure, observe, usage_between
from tools.emulator_process import running, with_adapters
from tools.scratch import settle

ORDERS = 20


@pytest.mark.slow
async def test_the_bench_measures_a_small_load_on_two_instances() -> None:
    result = await measure(2, rate=10.0, warm_up_s=1.0, seconds=3.0)
    assert result.violations == 0
    assert result.instances == 2
    assert result.orders_accepted_per_minute > 0
    assert result.orders_completed_per_minute > 0
    assert 0 < result.p50_s <= result.p95_s <= result.p99_s < 60
    assert result.cpu_ms_per_order > 0


@pytest.mark.slow
async def test_the_bench_over_the_wire_counts_cpu_requests_and_bytes() -> None:
    settings, options = with_adapters("azure")
    observed = await observe(1, 3.0, 1.0, 3.0, settings=settings, options=options)
    result = bench_wire.evaluate(1, 3.0, observed)
    assert result.violations == 0
    assert result.orders_completed_per_minute > 0
    assert result.cpu_ms_per_order > 0
    # An order makes some thirty requests; one that is not yet over at the edge of the window counts in part.
    assert 10 < result.document_requests_per_order < 100
    assert result.document_bytes_per_order > 1000 * result.document_requests_per_order
    assert 5 < result.bus_messages_per_order < 30
    assert result.bus_bytes_per_order > 200 * result.bus_messages_per_order


@pytest.mark.slow
async def test_a_completed_order_of_two_lines_stays_within_its_budget(tmp_path: Path) -> None:
    """Counted from the first submit until everything rests; one order at a time, so none shares a request."""
    state = tmp_path / "state"
    async with running(state) as emulator:
        async with connect(emulator.url) as api:
            await api.load_stock({"A": 1000, "B": 1000})
            assert await settle(state, ()) == []
            await emulator.reset_metrics(0)
            before, began = await emulator.metrics(0), time.time()
            sent = []
            for number in range(ORDERS):
                accepted = await api.submit(
                    NewOrder(f"customer-{number}", (Line("A", 1, 500), Line("B", 2, 250))), f"budget-{number}"
                )
                sent.append(Sent(time.time(), accepted.id))
                await drained(state, len(sent), pause_s=0.02)
        assert await settle(state, [order.order_id for order in sent if order.order_id is not None]) == []
        after, over = await emulator.metrics(0), time.time()
    spent = evaluate(1, (began, over), 0.0, sent, ended_orders(state), usage_between([before], [after]), 0)
    assert spent.orders_completed_per_minute > 0
    assert spent.handler_document_requests_per_order <= 24
    assert spent.projection_document_requests_per_order <= 10
    assert spent.bus_messages_per_order <= 11
    assert spent.durable_actions_per_order <= 15
