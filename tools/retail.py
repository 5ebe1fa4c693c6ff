"""Invoices of the Online Retail data set (UCI Machine Learning Repository, CC BY 4.0) as orders.

Read are the columns of REQUIRED_COLUMNS, by name and in any order; the rest, the date among them, is not
looked at, so either date layout in which the file goes around will do. An invoice that is no order is skipped
under the first reason of SKIP_REASONS that applies. Nothing is corrected, but blanks around cells go.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from tools.api import Address, Line, NewOrder

REQUIRED_COLUMNS = ("InvoiceNo", "StockCode", "Quantity", "UnitPrice", "CustomerID", "Country")

OTHER_NAMES = {"Invoice": "InvoiceNo", "Price": "UnitPrice", "Customer ID": "CustomerID"}
"""Column names of Online Retail II, the second edition of the data set."""

SKIP_REASONS = (
    "cancellation",
    "no_customer",
    "several_customers",
    "non_positive_quantity",
    "non_positive_price",
    "fraction_of_a_penny",
    "invalid_code",
    "over_the_limits",
)
"""In the order in which they are looked for. An invoice number that starts with C is a cancellation.
`invalid_code`: a stock code or customer that the API cannot take as an id; `over_the_limits`: more lines,
pieces or money than it takes."""

MAX_LINES = 1_000
MAX_QUANTITY = 1_000_000
MAX_UNIT_PRICE = 100_000_000
_CODE = re.compile(r"[^/\\#?\x00-\x1f\x7f]{1,64}")

COUNTRY_CODES = {
    "Australia": "AU",
    "Austria": "AT",
    "Bahrain": "BH",
    "Belgium": "BE",
    "Bermuda": "BM",
    "Brazil": "BR",
    "Canada": "CA",
    "Channel Islands": "JE",
    "Cyprus": "CY",
    "Czech Republic": "CZ",
    "Denmark": "DK",
    "EIRE": "IE",
    "Finland": "FI",
    "France": "FR",
    "Germany": "DE",
    "Greece": "GR",
    "Hong Kong": "HK",
    "Iceland": "IS",
    "Israel": "IL",
    "Italy": "IT",
    "Japan": "JP",
    "Korea": "KR",
    "Lebanon": "LB",
    "Lithuania": "LT",
    "Malta": "MT",
    "Netherlands": "NL",
    "Nigeria": "NG",
    "Norway": "NO",
    "Poland": "PL",
    "Portugal": "PT",
    "RSA": "ZA",
    "Saudi Arabia": "SA",
    "Singapore": "SG",
    "Spain": "ES",
    "Sweden": "SE",
    "Switzerland": "CH",
    "Thailand": "TH",
    "USA": "US",
    "United Arab Emirates": "AE",
    "United Kingdom": "GB",
    "West Indies": "JM",
}
UNKNOWN_COUNTRY = "ZZ"
"""ISO 3166 leaves ZZ to its users; the file also has `Unspecified` and `European Community`."""


class InvalidFile(ValueError):
    """The file is not in the layout; the message names the line and the column."""


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """`unit_price` in pounds."""

    stock_code: str
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Invoice:
    """`customers` are the distinct customer ids of its lines, the absent one as an empty text."""

    number: str
    country: str
    customers: frozenset[str]
    lines: tuple[InvoiceLine, ...]


@dataclass(slots=True)
class _Draft:
    country: str
    customers: set[str] = field(default_factory=set)
    lines: list[InvoiceLine] = field(default_factory=list)


def read_invoices(path: Path) -> list[Invoice]:
    """In the order in which their first lines stand in the file. Raises InvalidFile, OSError."""
    reader = csv.reader(io.StringIO(_text(path.read_bytes()), newline=""), strict=True)
    drafts: dict[str, _Draft] = {}
    try:
        columns = _columns(next(reader, []))
        for cells in reader:
            if not cells:
                continue
            where = f"line {reader.line_num}"
            if len(cells) != len(columns.header):
                raise InvalidFile(f"{where}: {len(cells)} columns, the header has {len(columns.header)}")
            number, code, quantity, price, customer, country = (
                cells[index].strip() for index in columns.positions
            )
            if not number:
                raise InvalidFile(f"{where}: InvoiceNo: is empty")
            draft = drafts.setdefault(number, _Draft(country))
            draft.customers.add(customer)
            draft.lines.append(
                InvoiceLine(code, _whole(quantity, where), _price(price, where)),
            )
    except csv.Error as error:
        raise InvalidFile(f"line {reader.line_num}: not CSV: {error}") from error
    return [
        Invoice(number, draft.country, frozenset(draft.customers), tuple(draft.lines))
        for number, draft in drafts.items()
    ]


def skip_reason(invoice: Invoice) -> str | None:
    """Why the invoice is no order, None when it is one."""
    prices = [line.unit_price for line in invoice.lines]
    quantities = [line.quantity for line in invoice.lines]
    codes = [*invoice.customers, *(line.stock_code for line in invoice.lines)]
    found: Mapping[str, bool] = {
        "cancellation": invoice.number.upper().startswith("C"),
        "no_customer": "" in invoice.customers,
        "several_customers": len(invoice.customers) > 1,
        "non_positive_quantity": min(quantities) <= 0,
        "non_positive_price": min(prices) <= 0,
        "fraction_of_a_penny": any(price * 100 % 1 for price in prices),
        "invalid_code": not all(_CODE.fullmatch(code) for code in codes),
        "over_the_limits": (
            len(invoice.lines) > MAX_LINES
            or max(quantities) > MAX_QUANTITY
            or max(prices) * 100 > MAX_UNIT_PRICE
        ),
    }
    return next((reason for reason in SKIP_REASONS if found[reason]), None)


def order_of(invoice: Invoice, customer: str | None = None) -> NewOrder:
    """The invoice, which has no `skip_reason`, as an order. `customer` stands in for one that the file lacks.

    Lines stay as they are: the same stock code may stand on several, each at its own price.
    """
    [customer_id] = [customer] if customer is not None else invoice.customers
    return NewOrder(
        customer_id=customer_id,
        lines=tuple(
            Line(line.stock_code, line.quantity, int(line.unit_price * 100)) for line in invoice.lines
        ),
        shipping_address=Address(
            name=f"Customer {customer_id}",
            street="not in the file",
            city="not in the file",
            postal_code="-",
            country=COUNTRY_CODES.get(invoice.country, UNKNOWN_COUNTRY),
        ),
    )


def stock_needed(orders: Iterable[NewOrder]) -> Counter[str]:
    """Pieces by SKU."""
    needed: Counter[str] = Counter()
    for order in orders:
        for line in order.lines:
            needed[line.sku] += line.quantity
    return needed


@dataclass(frozen=True, slots=True)
class _Columns:
    header: list[str]
    positions: list[int]


def _text(content: bytes) -> str:
    """The file goes around as UTF-8, with or without a byte order mark, and as Latin-1."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _columns(header: list[str]) -> _Columns:
    names = [OTHER_NAMES.get(name.strip(), name.strip()) for name in header]
    missing = [name for name in REQUIRED_COLUMNS if name not in names]
    if missing:
        raise InvalidFile(
            f"line 1: no column {', '.join(missing)}; found: {', '.join(names)[:200] or 'nothing'}"
        )
    return _Columns(names, [names.index(name) for name in REQUIRED_COLUMNS])


def _whole(text: str, where: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise InvalidFile(f"{where}: Quantity: {text[:40]!r} is not a whole number")
    return int(text)


def _price(text: str, where: str) -> Decimal:
    if not re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", text):
        raise InvalidFile(f"{where}: UnitPrice: {text[:40]!r} is not a number")
    return Decimal(text)
