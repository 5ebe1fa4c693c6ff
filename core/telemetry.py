"""Structured logs and trace context.

One JSON object per line: time, level, logger, message, the bound order_id, correlation_id and trace_id, and
the fields of the call. Never log bodies, addresses or payment methods.

    log(logger, logging.INFO, "charge recorded", payment_id=..., attempt=2)
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from types import TracebackType

import orjson

from core.card_numbers import may_hold_card_number, redacted

_context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default={})  # noqa: B039  (never mutated)


class bind:
    """While the block runs, every log line of this task carries these fields (empty ones are left out)."""

    __slots__ = ("_fields", "_token")

    def __init__(self, *, order_id: str = "", correlation_id: str = "", traceparent: str = "") -> None:
        fields = dict(_context.get())
        if order_id:
            fields["order_id"] = order_id
        if correlation_id:
            fields["correlation_id"] = correlation_id
        if traceparent:
            fields["trace_id"] = traceparent[3:35]
        self._fields = fields

    def __enter__(self) -> None:
        self._token: Token[Mapping[str, str]] = _context.set(self._fields)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _context.reset(self._token)


def log(logger: logging.Logger, level: int, message: str, **fields: object) -> None:
    """`fields` become members of the line. Costs nothing but the call when the level is off."""
    if logger.isEnabledFor(level):
        logger.log(level, message, extra={"fields": fields}, stacklevel=2)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_context.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            text = orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS)
            if may_hold_card_number(text):
                text = orjson.dumps(redacted(orjson.loads(text), gtin=True))
            return text.decode()
        except TypeError:  # a lone surrogate, which orjson refuses
            told = json.loads(json.dumps(line, default=str))
            safe = json.dumps(redacted(told, gtin=True), ensure_ascii=False)
            return safe.encode(errors="replace").decode()


CHATTY = ("azure.core", "azure.cosmos", "azure.identity", "azure.servicebus", "azure.storage")
"""SDKs that write lines for each request at INFO."""


def configure_logging(level: str) -> None:
    """Send the app's log lines to stdout. Calling it again only changes the level."""
    root = logging.getLogger()
    if not any(isinstance(handler.formatter, JsonFormatter) for handler in root.handlers):
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonFormatter())
        root.addHandler(handler)
    root.setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel("WARNING" if level == "INFO" else level)


_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """W3C Trace Context, version 00. `str()` is the header."""

    trace_id: str
    span_id: str
    flags: str = "01"

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def parse_traceparent(header: str) -> TraceParent | None:
    """None for what is not a valid header; such a header is ignored, as the recommendation says."""
    match = _TRACEPARENT.fullmatch(header)
    if match is None or match[1] == "0" * 32 or match[2] == "0" * 16:
        return None
    return TraceParent(match[1], match[2], match[3])


def root_traceparent(seed: str) -> str:
    """A new trace. Derived from a business key, so that a repeat of the work is found under the same
    trace.
    """
    digest = blake2b(seed.encode(), digest_size=24).hexdigest()
    return str(TraceParent(digest[:32], digest[32:]))


def child_traceparent(traceparent: str, name: str) -> str:
    """The next span of the same trace, derived from the parent and `name` (replays must not draw at random).

    An invalid parent has no child: "".
    """
    parent = parse_traceparent(traceparent)
    if parent is None:
        return ""
    span = blake2b(f"{traceparent}/{name}".encode(), digest_size=8).hexdigest()
    return f"00-{parent.trace_id}-{span}-{parent.flags}"
