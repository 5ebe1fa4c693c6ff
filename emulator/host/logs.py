"""Log lines as JSON, one a line, on stderr, for an app that sets up no logging of its own."""

import logging
import sys
from datetime import UTC, datetime

import orjson


class JsonFormatter(logging.Formatter):
    """`extra={"fields": {...}}` become members of the line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def start_logging(level: str) -> logging.Handler:
    """Before the app is imported, so that what it logs meanwhile is shown."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    # These say at INFO what is of interest to nobody who runs an app.
    for name in ("azure.functions", "asyncio", "aiohttp"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return handler


def yield_to_the_app(handler: logging.Handler) -> None:
    """When the app has set up logging by itself, its handlers show the emulator's lines too."""
    root = logging.getLogger()
    if len(root.handlers) > 1:
        root.removeHandler(handler)
