"""What the bench makes of a run's raw figures."""

import math
from random import Random
from typing import Any

import orjson
import pytest

from tools.bench import Ended, Result, Sent, Usage, evaluate, percentile, usage_between
from tools.load import LINES, order_body, schedule

WINDOW = (100.0, 160.0)
NO_USAGE = Usage(cpu_s=0.0, loop_lag_p99_ms=0.0, counts={})


def result(sent: list[Sent], ended: list[Ended], usage: Usage = NO_USAGE) -> Result:
    return evaluate(2, WINDOW, 105.0, sent, ended, usage, violations=0)


def test_only_completions_inside_the_window_count() -> None:
    sent = [Sent(98.0, "early"), Sent(99.0, "a"), Sent(120.0, "b"), Sent(130.0, "c"), Sent(159.0, "late")]
    ended = [
        Ended("early", "completed", 99.9),
        Ended("a", "completed", 100.0),
        Ended("b", "completed", 122.0),
        Ended("c", "cancelled", 131.0),
        Ended("late", "completed", 160.0),
    ]
    assert result(sent, ended).orders_completed_per_minute == 2.0


def test_latency_runs_from_the_scheduled_send() -> None:
    sent = [Sent(100.0 + number, str(number)) for number in range(10)]
    ended = [Ended(str(number), "completed", 100.0 + number + number / 10) for number in range(10)]
    found = result(sent, ended)
    assert (found.p50_s, found.p95_s, found.p99_s) == (0.4, 0.9, 0.9)


def test_accepted_are_the_orders_scheduled_within_the_window() -> None:
    sent = [Sent(99.0, "a"), Sent(100.0, "b"), Sent(101.0, None), Sent(160.0, "c")]
    assert result(sent, []).orders_accepted_per_minute == 1.0


def test_figures_per_order_are_counters_by_completed_orders() -> None:
    sent = [Sent(100.0, "a"), Sent(100.0, "b")]
    ended = [Ended("a", "completed", 101.0), Ended("b", "completed", 101.0)]
    counts = {
        "documents.http": {"orders": 2},
        "documents.serviceBus": {"payments": 4},
        "documents.activity": {"orders": 6},
        "documents.timer": {"orders": 2},
        "documents.cosmosDB": {"order-list": 10, "leases": 100},
        "messages": {"inventory": 2, "order-events": 10},
        "durable": {"activity": 16, "timer": 6},
    }
    found = result(sent, ended, Usage(cpu_s=0.02, loop_lag_p99_ms=3.5, counts=counts))
    assert found.cpu_ms_per_order == 10.0
    assert found.loop_lag_p99_ms == 3.5
    assert found.handler_document_requests_per_order == 7.0
    assert found.projection_document_requests_per_order == 5.0
    assert found.bus_messages_per_order == 6.0
    assert found.durable_actions_per_order == 11.0


def test_without_a_completion_the_figures_per_order_are_infinite() -> None:
    found = result([], [])
    assert (found.orders_completed_per_minute, found.p99_s, found.cpu_ms_per_order) == (
        0.0,
        math.inf,
        math.inf,
    )


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (95, 95), (99, 99), (100, 100)])
def test_a_percentile_is_the_value_that_so_many_are_not_above(percent: int, value: int) -> None:
    assert percentile(range(1, 101), percent) == value


def metrics(cpu: float, lag: float, **counts: dict[str, int]) -> dict[str, Any]:
    return {"cpu_seconds": cpu, "loop_lag": {"p99_ms": lag}, "counts": counts}


def test_usage_is_the_difference_over_the_window_of_all_instances() -> None:
    before = [metrics(1.0, 9.0, messages={"payments": 1}), metrics(2.0, 9.0)]
    after = [metrics(1.5, 3.0, messages={"payments": 4}), metrics(2.25, 4.0, durable={"timer": 2})]
    usage = usage_between(before, after)
    assert (usage.cpu_s, usage.loop_lag_p99_ms) == (0.75, 4.0)
    assert (usage.total("messages"), usage.total("durable"), usage.total("none")) == (3, 2, 0)


def test_the_result_has_the_keys_that_readers_of_the_file_expect() -> None:
    assert list(Result.__dataclass_fields__) == [
        "instances",
        "seconds",
        "offered_per_s",
        "orders_accepted_per_minute",
        "orders_completed_per_minute",
        "p50_s",
        "p95_s",
        "p99_s",
        "cpu_ms_per_order",
        "loop_lag_p99_ms",
        "handler_document_requests_per_order",
        "projection_document_requests_per_order",
        "bus_messages_per_order",
        "durable_actions_per_order",
        "violations",
    ]


def test_load_is_offered_at_the_rate_and_the_same_for_the_same_seed() -> None:
    times = list(schedule(100.0, 60.0, Random(7)))
    assert len(times) == pytest.approx(6000, rel=0.05)
    assert times == sorted(times)
    assert times == list(schedule(100.0, 60.0, Random(7)))
    assert times[-1] < 60.0


def test_an_order_of_the_load_has_lines_of_different_skus() -> None:
    for number in range(50):
        lines = orjson.loads(order_body(number, Random(number)))["lines"]
        assert len({line["sku"] for line in lines}) == LINES
