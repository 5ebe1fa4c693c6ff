"""The rows of a CSV file of stock (RFC 4180): what each asks for, or which rule it breaks.

The first row names the columns: `sku`, and either `quantity` (pieces that came in) or `on_hand` (a stock-take
found so many), and perhaps `reference`. In any order and case; blanks around a cell do not count.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from services.inventory.stock import MAX_ON_HAND

MAX_BYTES = 512 * 1024
MAX_ROWS = 5000
"""An import is one transactional batch: rows, errors and all must fit into one."""

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
class Rows:
    """`column` is what `pieces` of the rows are."""

    column: Column
    good: Sequence[Row]
    errors: Sequence[RowError]


class InvalidFile(Exception):
    """The file as a whole cannot be read."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


def parse(content: bytes, check_sku: Callable[[str], object], check_text: Callable[[str], object]) -> Rows:
    """`check_sku` and `check_text` raise ValueError with the rule that a SKU and a reference break.

    Raises InvalidFile: not UTF-8, not CSV, a header that is not one, no rows or too many.
    """
    if len(content) > MAX_BYTES:
        raise InvalidFile("body", f"must be at most {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidFile("body", f"must be UTF-8, is not at byte {error.start}") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        records = list(reader)
    except csv.Error as error:
        raise InvalidFile(
            "body", f"must be CSV (RFC 4180), is not at line {reader.line_num}: {error}"
        ) from error
    if not records:
        raise InvalidFile("header", "must be the first row")
    header = [name.strip().lower() for name in records[0]]
    column = _column(header)
    numbered = [(number, cells) for number, cells in enumerate(records[1:], start=2) if any(cells)]
    if not 1 <= len(numbered) <= MAX_ROWS:
        raise InvalidFile("body", f"must have 1 to {MAX_ROWS} rows after the header, not {len(numbered)}")
    good: list[Row] = []
    errors: list[RowError] = []
    first: dict[str, int] = {}
    for number, cells in numbered:
        try:
            row = _row(number, dict(zip(header, cells, strict=True)), column, check_sku, check_text)
        except _BrokenRule as broken:
            errors.append(RowError(number, broken.field, broken.rule))
        except ValueError:
            rule = f"must have {len(header)} cells as the header has, not {len(cells)}"
            errors.append(RowError(number, "row", rule))
        else:
            if row.sku in first:
                errors.append(RowError(number, "sku", f"must be in one row only, is in row {first[row.sku]}"))
            else:
                first[row.sku] = number
                good.append(row)
    return Rows(column, good, errors)


class _BrokenRule(Exception):
    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


def _column(header: Sequence[str]) -> Column:
    unknown = [name for name in header if name not in _COLUMNS]
    if unknown:
        raise InvalidFile("header", f"must name no other columns than {', '.join(_COLUMNS)}")
    if len(set(header)) < len(header):
        raise InvalidFile("header", "must name each column once")
    columns = [name for name in _LEAST if name in header]
    if "sku" not in header or len(columns) != 1:
        raise InvalidFile("header", "must name the column sku, and either quantity or on_hand")
    return cast(Column, columns[0])


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
