"""The rows of a CSV file of stock (RFC 4180): what each asks for, or which rule it breaks.

The first row names the columns: `sku`, and either `quantity` (pieces that came in) or `on_hand` (a stock-take
found so many), and perhaps `reference`. In any order and case; blanks around a cell do not count.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from services.inventory.stock import MAX_ON_HAND

MAX_BYTES = 16 * 1024 * 1024
MAX_ROWS = 100_000

type Column = Literal["quantity", "on_hand"]

_LEAST: Mapping[str, int] = {"quantity": 1, "on_hand": 0}
_COLUMNS = ("sku", *_LEAST, "reference")


@dataclass(frozen=True, slots=True)
class Row:
    """`number` counts the rows of the file as a spreadsheet does: the header is row 1."""

    number: int
    sku: str
    pieces: int
    reference: str | None


@dataclass(frozen=True, slots=True)
class RowError:
    """`field` is a column, or `row` when it concerns all of it."""

    row: int
    field: str
    rule: str


@dataclass(frozen=True, slots=True)
class File:
    """`column` is what `pieces` of the rows are. `rows` are read once, as they are asked for, and raise
    InvalidFile where the file turns out to be none: not UTF-8, not CSV, no rows or too many."""

    column: Column
    rows: Iterator[Row | RowError]


class InvalidFile(Exception):
    """The file as a whole cannot be read."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


def parse(content: bytes, check_sku: Callable[[str], object], check_text: Callable[[str], object]) -> File:
    """`check_sku` and `check_text` raise ValueError with the rule that a SKU and a reference break.

    Raises InvalidFile: too large, or a header that is not one.
    """
    if len(content) > MAX_BYTES:
        raise InvalidFile("body", f"must be at most {MAX_BYTES} bytes")
    records = _records(content)
    first = next(records, None)
    if first is None:
        raise InvalidFile("header", "must be the first row")
    header = [name.strip().lower() for name in first]
    column = _column(header)
    return File(column, _rows(records, header, column, check_sku, check_text))


class _BrokenRule(Exception):
    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


def _records(content: bytes) -> Iterator[list[str]]:
    """Raises InvalidFile."""
    lines = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline="")
    reader = csv.reader(lines, strict=True)
    try:
        yield from reader
    except UnicodeDecodeError:
        raise InvalidFile("body", f"must be UTF-8, is not at byte {_first_bad_byte(content)}") from None
    except csv.Error as error:
        raise InvalidFile(
            "body", f"must be CSV (RFC 4180), is not at line {reader.line_num}: {error}"
        ) from error


def _first_bad_byte(content: bytes) -> int:
    """The reader knows only where in its buffer."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.start
    raise AssertionError("the file is UTF-8 after all")


def _column(header: Sequence[str]) -> Column:
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise InvalidFile("header", "must part the columns by commas (RFC 4180)")
    unknown = [name for name in header if name not in _COLUMNS]
    if unknown:
        raise InvalidFile("header", f"must name no other columns than {', '.join(_COLUMNS)}")
    if len(set(header)) < len(header):
        raise InvalidFile("header", "must name each column once")
    columns = [name for name in _LEAST if name in header]
    if "sku" not in header or len(columns) != 1:
        raise InvalidFile("header", "must name the column sku, and either quantity or on_hand")
    return cast(Column, columns[0])


def _rows(
    records: Iterator[Sequence[str]],
    header: Sequence[str],
    column: Column,
    check_sku: Callable[[str], object],
    check_text: Callable[[str], object],
) -> Iterator[Row | RowError]:
    """Rows with nothing in them do not count."""
    found = 0
    first: dict[str, int] = {}
    for number, cells in enumerate(records, start=2):
        if not any(cells):
            continue
        found += 1
        if found > MAX_ROWS:
            raise InvalidFile("body", f"must have 1 to {MAX_ROWS} rows after the header, has more")
        if len(cells) != len(header):
            rule = f"must have {len(header)} cells as the header has, not {len(cells)}"
            yield RowError(number, "row", rule)
            continue
        try:
            row = _row(number, dict(zip(header, cells, strict=True)), column, check_sku, check_text)
        except _BrokenRule as broken:
            yield RowError(number, broken.field, broken.rule)
            continue
        if first.setdefault(row.sku, number) != number:
            yield RowError(number, "sku", f"must be in one row only, is in row {first[row.sku]}")
        else:
            yield row
    if found == 0:
        raise InvalidFile("body", f"must have 1 to {MAX_ROWS} rows after the header, not 0")


def _row(
    number: int,
    cells: Mapping[str, str],
    column: Column,
    check_sku: Callable[[str], object],
    check_text: Callable[[str], object],
) -> Row:
    sku, pieces, reference = (cells.get(name, "").strip() for name in ("sku", column, "reference"))
    _check("sku", sku, check_sku)
    if reference:
        _check("reference", reference, check_text)
    least = _LEAST[column]
    is_number = pieces.isascii() and pieces.isdecimal() and len(pieces) <= len(str(MAX_ON_HAND))
    if not is_number or not least <= int(pieces) <= MAX_ON_HAND:
        raise _BrokenRule(column, f"must be a whole number from {least} to {MAX_ON_HAND}")
    return Row(number, sku, int(pieces), reference or None)


def _check(field: str, value: str, check: Callable[[str], object]) -> None:
    try:
        check(value)
    except ValueError as error:
        raise _BrokenRule(field, str(error)) from error
