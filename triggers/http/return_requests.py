"""The bodies of the return API."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Protocol, Self

import orjson
from pydantic import Field, model_validator

from services.orders.return_commands import InspectReturn, RequestReturn
from services.orders.return_events import InspectedLine, ReturnLine
from triggers.http.bodies import Body, Text

MAX_LINES = 1000
"""As many as an order may have."""

type LineNumber = Annotated[int, Field(ge=1, le=MAX_LINES)]
type Pieces = Annotated[int, Field(ge=0, le=1_000_000)]


class Numbered(Protocol):
    @property
    def line(self) -> int: ...


def _each_once(lines: Sequence[Numbered]) -> None:
    twice = [number for number, times in Counter(line.line for line in lines).items() if times > 1]
    if twice:
        raise ValueError(f"lines: line {twice[0]} is there twice, each must be once")


class LineToReturn(Body):
    """`line` counts the order's lines from 1."""

    line: LineNumber
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]
    reason: Text


class ReturnGoods(Body):
    lines: Annotated[list[LineToReturn], Field(min_length=1, max_length=MAX_LINES)]

    @model_validator(mode="after")
    def _lines_differ(self) -> Self:
        _each_once(self.lines)
        return self

    def command(self, key: str, window_s: float) -> RequestReturn:
        digest = hashlib.sha256(orjson.dumps(self.model_dump(), option=orjson.OPT_SORT_KEYS)).hexdigest()
        lines = tuple(ReturnLine(line.line, line.quantity, line.reason) for line in self.lines)
        return RequestReturn(lines, key, digest, window_s)


class LineInspected(Body):
    """`refunded`: the pieces that are paid back; those that came back when it is left out."""

    line: LineNumber
    restocked: Pieces = 0
    written_off: Pieces = 0
    refunded: Pieces | None = None


class InspectGoods(Body):
    lines: Annotated[list[LineInspected], Field(min_length=1, max_length=MAX_LINES)]

    @model_validator(mode="after")
    def _lines_differ(self) -> Self:
        _each_once(self.lines)
        return self

    def command(self, return_id: str) -> InspectReturn:
        ordered = sorted(self.lines, key=lambda line: line.line)
        return InspectReturn(return_id, tuple(_inspected(line) for line in ordered))


def _inspected(line: LineInspected) -> InspectedLine:
    came = line.restocked + line.written_off
    refunded = came if line.refunded is None else line.refunded
    return InspectedLine(line.line, line.restocked, line.written_off, refunded)


class WithReason(Body):
    reason: Text


class ByHand(Body):
    note: Text
