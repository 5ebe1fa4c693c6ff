"""One JSON object per line; one trace from the request to the last message."""

import asyncio
import io
import logging

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.telemetry import (
    CHATTY,
    JsonFormatter,
    bind,
    child_traceparent,
    configure_logging,
    log,
    parse_traceparent,
    root_traceparent,
)

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def lines():
    """A logger, and what it wrote, as JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("orderflow.test")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger, lambda: [orjson.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)


def test_a_line_carries_what_is_bound_and_what_is_given(lines):
    logger, written = lines
    with bind(order_id="ord-1", correlation_id="ord-1", traceparent=HEADER):
        log(logger, logging.INFO, "charge recorded", payment_id="pay-1", attempt=2)
    (line,) = written()
    assert line.pop("time").startswith("20")
    assert line == {
        "level": "INFO",
        "logger": "orderflow.test",
        "message": "charge recorded",
        "order_id": "ord-1",
        "correlation_id": "ord-1",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "payment_id": "pay-1",
        "attempt": 2,
    }


def test_what_is_bound_ends_with_its_block_and_nests(lines):
    logger, written = lines
    with bind(order_id="ord-1", correlation_id="c"):
        with bind(order_id="ord-2"):
            log(logger, logging.INFO, "inner")
        log(logger, logging.INFO, "outer")
    log(logger, logging.INFO, "none")
    assert [(line.get("order_id"), line.get("correlation_id")) for line in written()] == [
        ("ord-2", "c"),
        ("ord-1", "c"),
        (None, None),
    ]


async def test_tasks_do_not_see_what_others_bind(lines):
    logger, written = lines

    async def work(order_id: str) -> None:
        with bind(order_id=order_id):
            await asyncio.sleep(0)
            log(logger, logging.INFO, order_id)

    await asyncio.gather(*(work(f"ord-{n}") for n in range(3)))
    assert all(line["order_id"] == line["message"] for line in written())


def test_a_line_below_the_level_is_not_written(lines):
    logger, written = lines
    log(logger, logging.DEBUG, "too much")
    assert written() == []


def test_an_exception_stays_one_line(lines):
    logger, written = lines
    try:
        int("two\nlines")
    except ValueError:
        logger.exception("failed: %s", "badly")
    (line,) = written()
    assert line["message"] == "failed: badly"
    assert "ValueError: invalid literal" in line["exception"]
    assert "\n" in line["exception"]


def test_a_field_that_json_does_not_know_is_written_as_text(lines):
    logger, written = lines
    log(logger, logging.INFO, "odd", key=b"bytes", names={1: "one"}, broken="\ud800")
    (line,) = written()
    assert (line["key"], line["names"], line["broken"]) == ("b'bytes'", {"1": "one"}, "?")


def test_configuring_twice_writes_each_line_once(capsys):
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        configure_logging("INFO")
        configure_logging("WARNING")
        logging.getLogger("orderflow.twice").warning("here")
        logging.getLogger("orderflow.twice").info("not here")
        assert [orjson.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == ["here"]
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.mark.parametrize(
    ("level", "shown"),
    [("DEBUG", ["info", "warning", "error"]), ("INFO", ["warning", "error"]), ("ERROR", ["error"])],
)
def test_the_sdks_tell_of_each_request_only_when_everything_is_asked_for(capsys, level, shown):
    root = logging.getLogger()
    handlers, before = list(root.handlers), root.level
    try:
        configure_logging(level)
        for sdk in CHATTY:
            logger = logging.getLogger(f"{sdk}.requests")
            logger.info("info")
            logger.warning("warning")
            logger.error("error")
        lines = [orjson.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]
        assert lines == shown * len(CHATTY)
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)
        for sdk in CHATTY:
            logging.getLogger(sdk).setLevel(logging.NOTSET)


def test_a_traceparent_is_parsed_and_written_back():
    parent = parse_traceparent(HEADER)
    assert parent is not None
    assert (parent.trace_id, parent.span_id) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    assert str(parent) == HEADER


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        HEADER.upper(),
        HEADER + "-00",
        HEADER + "\n",
        "01" + HEADER[2:],
        "00-" + "0" * 32 + HEADER[35:],
        HEADER[:36] + "0" * 16 + "-01",
    ],
)
def test_an_invalid_traceparent_is_ignored(header):
    assert parse_traceparent(header) is None
    assert child_traceparent(header, "charge") == ""


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_child_continues_the_trace_in_a_span_of_its_own_the_same_at_each_replay(seed, name):
    root = root_traceparent(seed)
    child = child_traceparent(root, name)
    assert parse_traceparent(child) is not None
    assert child[:35] == root[:35]
    assert child != root
    assert child == child_traceparent(root_traceparent(seed), name)
