import csv
import io
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.inventory.csv_rows import MAX_BYTES, MAX_ROWS, Column, InvalidFile, Row, RowError, parse
from services.inventory.stock import MAX_ON_HAND
from triggers.http.bodies import identifier
from triggers.http.inventory_imports import reference

NUMBER = f"must be a whole number from 1 to {MAX_ON_HAND}"


@dataclass
class Rows:
    column: Column
    good: list[Row]
    errors: list[RowError]


def rows_of(content):
    file = parse(content, identifier, reference)
    rows = list(file.rows)
    good = [row for row in rows if isinstance(row, Row)]
    return Rows(file.column, good, [row for row in rows if isinstance(row, RowError)])


def read(text):
    return rows_of(text.encode())


def test_rows_are_read_with_their_numbers():
    rows = read("sku,quantity,reference\nTEAPOT,5,note 12\nCUP,1,\n")

    assert rows.column == "quantity"
    assert rows.good == [Row(2, "TEAPOT", 5, "note 12"), Row(3, "CUP", 1, None)]
    assert rows.errors == []


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffsku,on_hand\nA,0\n",
        "SKU , On_Hand\r\n A , 0 \r\n",
        "on_hand,sku\n0,A",
        '"sku","on_hand"\n"A","0"\n',
        "sku,on_hand\n\n\nA,0\n\n",
        "sku,on_hand\n,\nA,0\n",
    ],
)
def test_a_byte_order_mark_case_blanks_quotes_and_empty_rows_do_not_matter(text):
    [row] = read(text).good
    assert (row.sku, row.pieces) == ("A", 0)


def test_quotes_commas_and_line_breaks_are_parts_of_a_cell():
    rows = read('sku,quantity,reference\n"A, ""big""",1,"a, b"\nB,2,"two\nlines"\nC,3,\n')

    assert rows.good == [Row(2, 'A, "big"', 1, "a, b"), Row(4, "C", 3, None)]
    assert rows.errors == [RowError(3, "reference", "must not be blank or contain control characters")]


@pytest.mark.parametrize(
    ("row", "field", "rule"),
    [
        ("A,0", "quantity", NUMBER),
        ("A,-1", "quantity", NUMBER),
        ("A,1.5", "quantity", NUMBER),
        ("A,1e3", "quantity", NUMBER),
        ("A,٣", "quantity", NUMBER),
        ("A,", "quantity", NUMBER),
        ("A,1000000001", "quantity", NUMBER),
        ("A," + "9" * 5000, "quantity", NUMBER),
        ("A", "row", "must have 2 cells as the header has, not 1"),
        ("A,1,2", "row", "must have 2 cells as the header has, not 3"),
        (",1", "sku", "must be 1 to 64 characters"),
        ("a/b,1", "sku", "must be 1 to 64 characters"),
        ("s" * 65 + ",1", "sku", "must be 1 to 64 characters"),
    ],
)
def test_a_row_that_breaks_a_rule_is_named_and_the_others_are_good(row, field, rule):
    rows = read(f"sku,quantity\nGOOD,1\n{row}\nFINE,2\n")

    [error] = rows.errors
    assert (error.row, error.field) == (3, field)
    assert error.rule.startswith(rule)
    assert [good.sku for good in rows.good] == ["GOOD", "FINE"]


def test_a_sku_is_in_one_row_only():
    rows = read("sku,quantity\nA,1\nB,1\nA,2\nA,x\n")

    assert [(good.number, good.sku) for good in rows.good] == [(2, "A"), (3, "B")]
    assert rows.errors == [
        RowError(4, "sku", "must be in one row only, is in row 2"),
        RowError(5, "quantity", NUMBER),
    ]


@pytest.mark.parametrize(
    ("content", "field", "rule"),
    [
        (b"", "header", "must be the first row"),
        (b"sku,quantity\n", "body", "must have 1 to"),
        (b"sku,quantity\n,\n\n", "body", "must have 1 to"),
        (b"sku\nA\n", "header", "either quantity or on_hand"),
        (b"quantity\n1\n", "header", "must name the column sku"),
        (b"sku,quantity,on_hand\nA,1,1\n", "header", "either quantity or on_hand"),
        (b"sku,quantity,price\nA,1,1\n", "header", "no other columns"),
        (b"sku,quantity,sku\nA,1,1\n", "header", "each column once"),
        (b"A,1\n", "header", "no other columns"),
        (b"sku;quantity\nA;1\n", "header", "by commas"),
        (b"sku\tquantity\nA\t1\n", "header", "by commas"),
        ("sku,quantity\nÄ,1\n".encode("latin-1"), "body", "must be UTF-8, is not at byte 13"),
        (b'sku,quantity\n"A,1\n', "body", "must be CSV"),
        (b'sku,quantity\n"A"b,1\n', "body", "must be CSV"),
        (b"sku,quantity\n" + b"a" * 200_000 + b",1\n", "body", "must be CSV"),
        (b" " * (MAX_BYTES + 1), "body", "must be at most"),
        (b"sku,quantity\n" + b"A,1\n" * (MAX_ROWS + 1), "body", f"must have 1 to {MAX_ROWS} rows"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_rule(content, field, rule):
    with pytest.raises(InvalidFile) as refused:
        rows_of(content)

    assert refused.value.field == field
    assert rule in refused.value.rule


skus = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="/\\#?"),
    min_size=1,
    max_size=20,
)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=30)


@given(st.dictionaries(skus, st.tuples(st.integers(1, MAX_ON_HAND), texts), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_what_the_csv_module_writes_is_read_back(stock):
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["sku", "quantity", "reference"])
    for sku, (quantity, note) in stock.items():
        writer.writerow([sku, quantity, note])

    rows = read(file.getvalue())

    assert rows.errors == []
    assert {row.sku: (row.pieces, row.reference or "") for row in rows.good} == stock


@given(st.one_of(st.binary(max_size=300), st.text('sku,quantity"\n\r\0 A1', max_size=120).map(str.encode)))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_rows_or_refused_and_every_row_is_accounted_for(content):
    for start in (b"", b"sku,quantity\n"):
        try:
            rows = rows_of(start + content)
        except InvalidFile:
            continue
        else:
            numbers = [row.number for row in rows.good] + [error.row for error in rows.errors]
            assert len(numbers) == len(set(numbers)) >= 1
            assert all(1 <= row.pieces <= MAX_ON_HAND for row in rows.good)
