"""How an Online Retail file becomes orders, and what the replay says of it."""

from collections import Counter
from pathlib import Path

import pytest

from tests.retail_sample import SAMPLE, needs_sample
from tools.api import OrderView
from tools.replay import Plan, plain_progress, plan, summary
from tools.retail import (
    SKIP_REASONS,
    InvalidFile,
    Invoice,
    order_of,
    read_invoices,
    skip_reason,
    stock_needed,
)
from tools.retail_returns import GoodsBack

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def written(tmp_path: Path, *rows: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    file = tmp_path / "retail.csv"
    file.write_text("\r\n".join([header, *rows, ""]), encoding=encoding, newline="")
    return file


def invoices(tmp_path: Path, *rows: str, header: str = HEADER, encoding: str = "utf-8") -> list[Invoice]:
    return read_invoices(written(tmp_path, *rows, header=header, encoding=encoding))


def row(
    number: str = "536365",
    code: str = "85123A",
    quantity: str = "6",
    price: str = "2.55",
    customer: str = "17850",
    country: str = "United Kingdom",
) -> str:
    return f"{number},{code},LANTERN,{quantity},01/12/2010 08:26,{price},{customer},{country}"


def test_an_invoice_becomes_one_order_with_its_lines_as_they_are(tmp_path: Path) -> None:
    [invoice] = invoices(tmp_path, row(), row(code="POST", quantity="1", price="18"), row(price="2.10"))
    order = order_of(invoice)
    assert [(line.sku, line.quantity, line.unit_price) for line in order.lines] == [
        ("85123A", 6, 255),
        ("POST", 1, 1800),
        ("85123A", 6, 210),
    ]
    assert (order.customer_id, order.currency, order.shipping_address.country) == ("17850", "GBP", "GB")


def test_stock_is_needed_for_all_lines_of_a_sku_together(tmp_path: Path) -> None:
    found = invoices(tmp_path, row(), row(quantity="4"), row("536366", code="BANK CHARGES", quantity="1"))
    assert stock_needed(map(order_of, found)) == {"85123A": 10, "BANK CHARGES": 1}


def test_invoices_come_in_the_order_of_their_first_lines(tmp_path: Path) -> None:
    found = invoices(tmp_path, row("2"), row("1"), row("2"))
    assert [(invoice.number, len(invoice.lines)) for invoice in found] == [("2", 2), ("1", 1)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_each_encoding_in_which_the_file_goes_around_is_read(tmp_path: Path, encoding: str) -> None:
    assert len(invoices(tmp_path, row().replace("LANTERN", "LANTERN £5"), encoding=encoding)) == 1


def test_quoted_cells_may_hold_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    [invoice] = invoices(tmp_path, row().replace("LANTERN", '"LANTERN, 12"" \nBLUE"'))
    assert invoice.lines[0].quantity == 6


@pytest.mark.parametrize("date", ["01/12/2010 08:26", "2010-12-01 08:26:00", "12/1/2010 8:26"])
def test_every_date_layout_is_taken_since_dates_are_not_read(tmp_path: Path, date: str) -> None:
    assert len(invoices(tmp_path, row().replace("01/12/2010 08:26", date))) == 1


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    header = "Country,CustomerID,UnitPrice,Quantity,StockCode,InvoiceNo"
    [invoice] = invoices(tmp_path, "France,12583,3.75,24,22728,536370", header=header)
    assert (invoice.number, invoice.country, invoice.customers) == ("536370", "France", {"12583"})


def test_the_columns_of_the_second_edition_are_known(tmp_path: Path) -> None:
    header = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"
    assert len(invoices(tmp_path, row(), header=header)) == 1


@pytest.mark.parametrize(
    ("reason", "rows"),
    [
        ("cancellation", [row("C536379", quantity="-1", customer="")]),
        ("no_customer", [row(customer="", quantity="-1")]),
        ("several_customers", [row(), row(customer="17851")]),
        ("non_positive_quantity", [row(), row(quantity="0", price="0")]),
        ("non_positive_price", [row(), row(price="0.0")]),
        ("non_positive_price", [row(price="-11062.06")]),
        ("fraction_of_a_penny", [row(price="0.001")]),
        ("invalid_code", [row(code="A/B")]),
        ("invalid_code", [row(customer="17850#")]),
        ("invalid_code", [row(code="")]),
        ("over_the_limits", [row(quantity="1000001")]),
        ("over_the_limits", [row(price="1000000.01")]),
        ("over_the_limits", [row()] * 1001),
        (None, [row(), row(code="gift_0001_20")]),
    ],
)
def test_an_invoice_that_is_no_order_is_skipped_for_the_first_reason(
    tmp_path: Path, reason: str | None, rows: list[str]
) -> None:
    [invoice] = invoices(tmp_path, *rows)
    assert skip_reason(invoice) == reason


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "line 1: no column InvoiceNo, StockCode, Quantity"),
        (HEADER.replace("Quantity", "Amount"), "line 1: no column Quantity; found: InvoiceNo"),
        (HEADER.replace(",", ";"), "line 1: no column InvoiceNo"),
        (f"{HEADER}\n{row(quantity='many')}", "line 2: Quantity: 'many' is not a whole number"),
        (f"{HEADER}\n{row()}\n{row(quantity='1.5')}", "line 3: Quantity: '1.5' is not"),
        (f"{HEADER}\n{row(price='NaN')}", "line 2: UnitPrice: 'NaN' is not a number"),
        (f"{HEADER}\n{row(price='1e3')}", "line 2: UnitPrice: '1e3' is not a number"),
        (f"{HEADER}\n{row(number=' ')}", "line 2: InvoiceNo: is empty"),
        (f"{HEADER}\n{row()},more", "line 2: 9 columns, the header has 8"),
        (f"{HEADER}\n536365,1", "line 2: 2 columns, the header has 8"),
        (f'{HEADER}\n"536365', "line 2: not CSV"),
    ],
)
def test_a_file_in_another_layout_is_refused_naming_line_and_column(
    tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(content)
    with pytest.raises(InvalidFile) as refused:
        read_invoices(file)
    assert said in str(refused.value)


def test_a_country_without_a_code_gets_the_users_code_of_iso_3166(tmp_path: Path) -> None:
    [invoice] = invoices(tmp_path, row(country="Unspecified"))
    assert order_of(invoice).shipping_address.country == "ZZ"


def test_skips_are_counted_by_reason_in_the_order_of_the_reasons(tmp_path: Path) -> None:
    rows = [row("1"), row("2", price="0"), row("C3"), row("4", customer=""), row("C5")]
    planned = plan(invoices(tmp_path, *rows))
    assert list(planned.orders) == ["1"]
    assert list(planned.skipped.items()) == [
        ("cancellation_that_sells", 2),
        ("no_customer", 1),
        ("non_positive_price", 1),
    ]


def test_a_cancelled_invoice_is_a_return_of_the_latest_order_that_has_all_of_it(tmp_path: Path) -> None:
    rows = [
        *(row("1"), row("2"), row("2", quantity="4", price="2.10"), row("2", code="B", quantity="1")),
        *(row("C3", quantity="-2"), row("C3", code="B", quantity="-1")),
        row("C4", quantity="-5"),  # of order 2 only 4 are left at this price
        row("C5", quantity="-1", price="2.10"),
    ]
    planned = plan(invoices(tmp_path, *rows))
    assert [(goods.number, goods.invoice, dict(goods.pieces)) for goods in planned.returns] == [
        ("C3", "2", {1: 2, 3: 1}),
        ("C4", "1", {1: 5}),
        ("C5", "2", {2: 1}),
    ]
    assert (planned.skipped, planned.invoices) == ({}, 5)


def test_a_return_takes_from_several_lines_of_a_stock_code_at_one_price(tmp_path: Path) -> None:
    rows = [row("1", quantity="2"), row("1", quantity="3"), row("C2", quantity="-4")]
    [goods] = plan(invoices(tmp_path, *rows)).returns
    assert goods.pieces == {1: 2, 2: 2}


@pytest.mark.parametrize(
    ("cancelled", "reason"),
    [
        (row("C2", customer="", quantity="-1"), "cancellation_without_customer"),
        (row("C2", quantity="1"), "cancellation_that_sells"),
        (row("C2", quantity="-7"), "cancellation_of_no_order"),
        (row("C2", quantity="-1", price="2.54"), "cancellation_of_no_order"),
        (row("C2", quantity="-1", code="D"), "cancellation_of_no_order"),
        (row("C2", quantity="-1", customer="1"), "cancellation_of_no_order"),
    ],
)
def test_a_cancelled_invoice_that_fits_no_order_is_skipped_under_its_reason(
    tmp_path: Path, cancelled: str, reason: str
) -> None:
    planned = plan(invoices(tmp_path, row("1"), cancelled))
    assert (planned.returns, planned.skipped) == ([], {reason: 1})


def test_an_order_that_comes_after_the_cancellation_is_not_meant(tmp_path: Path) -> None:
    planned = plan(invoices(tmp_path, row("C1", quantity="-1"), row("2")))
    assert planned.skipped == {"cancellation_of_no_order": 1}


def test_the_summary_counts_everything() -> None:
    ends = [OrderView("a", "completed", 6), OrderView("b", "cancelled", 4), OrderView("c", "completed", 6)]
    orders = Plan(
        {str(number): _ANY_ORDER for number in range(3)}, [GoodsBack("C9", "1", {1: 1})], {"no_customer": 2}
    )
    assert summary(orders, ends, 1, 0) == (
        "replay: 6 invoices, 3 orders, 2 completed, 1 cancelled, 1 returned, 2 skipped (no_customer=2), "
        "0 violations"
    )
    assert summary(Plan({}, [], {}), [], 0, 4) == (
        "replay: 0 invoices, 0 orders, 0 completed, 0 cancelled, 0 returned, 0 skipped, 4 violations"
    )


_ANY_ORDER = order_of(Invoice("1", "EIRE", frozenset({"c"}), ()))


def test_plain_progress_says_rate_and_time_left_now_and_then() -> None:
    now = 0.0
    lines: list[str] = []
    advance = plain_progress(40, every_s=2.0, clock=lambda: now, write=lines.append)
    for _ in range(40):
        now += 0.1
        advance()
    assert lines == [
        "replay: 20 of 40 orders, 10.0/s, 2 s left",
        "replay: 40 of 40 orders, 10.0/s, 0 s left",
    ]


@needs_sample
def test_the_sample_has_307_orders_4_returns_and_89_skips() -> None:
    found = read_invoices(SAMPLE)
    planned = plan(found)
    assert (planned.invoices, len(planned.orders), len(planned.returns)) == (400, 307, 4)
    assert planned.skipped == {"cancellation_of_no_order": 31, "no_customer": 58}
    assert Counter(map(skip_reason, found)).keys() <= {None, *SKIP_REASONS}
    assert sum(stock_needed(planned.orders.values()).values()) == 64_769
