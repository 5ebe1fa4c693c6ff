import pytest

from core.envelope import from_json
from services.inventory import handlers
from services.inventory.csv_rows import MAX_BYTES
from tests.fakes import FakeBus
from tests.unit.http_support import Api, broken_rules, content

CSV = {"content-type": "text/csv; charset=utf-8"}
FILE = "\ufeffsku,on_hand,reference\r\nA,7,\r\nB,x,\r\n".encode()


async def work(api):
    for message in api.bus.sent["inventory"]:
        await handlers.handle_command(api.documents, FakeBus(), api.clock, from_json(message.body))


async def test_a_file_is_accepted_and_its_report_tells_how_far_it_is():
    api = Api()
    response = await api.call("import_inventory", FILE, headers=CSV)
    accepted = content(response)
    route = {"import_id": accepted["id"]}

    assert response.status_code == 202
    assert response.headers["Location"] == f"/api/inventory/imports/{accepted['id']}"
    assert (accepted["status"], accepted["waiting"]) == ("running", 1)
    assert content(await api.call("get_inventory_import", route=route)) == accepted
    await work(api)

    response = await api.call("get_inventory_import", route=route)
    assert response.status_code == 200
    assert {name: content(response)[name] for name in ("status", "rows", "booked", "failed", "errors")} == {
        "status": "completed",
        "rows": 2,
        "booked": 1,
        "failed": 1,
        "errors": [{"row": 3, "field": "on_hand", "rule": "must be a whole number from 0 to 1000000000"}],
    }
    assert content(await api.call("get_inventory", route={"sku": "A"}))["on_hand"] == 7


async def test_the_same_file_is_the_same_import_unless_a_key_says_otherwise():
    api = Api()
    ids = []
    for headers in (CSV, CSV, {**CSV, "idempotency-key": "k-1"}, {**CSV, "idempotency-key": "k-1"}):
        ids.append(content(await api.call("import_inventory", FILE, headers=headers))["id"])

    assert ids[0] == ids[1] != ids[2] == ids[3]
    other = await api.call("import_inventory", FILE + b"C,1,\n", headers={**CSV, "idempotency-key": "k-1"})
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("body", "headers", "status", "field"),
    [
        (FILE, {}, 415, "Content-Type"),
        (FILE, {"content-type": "application/json"}, 415, "Content-Type"),
        (b" " * (MAX_BYTES + 1), CSV, 413, "body"),
        (b"", CSV, 400, "header"),
        (b"sku,price\nA,1\n", CSV, 400, "header"),
        (b"sku,quantity\n\xff,1\n", CSV, 400, "body"),
        (FILE, {**CSV, "idempotency-key": ""}, 400, "Idempotency-Key"),
    ],
)
async def test_what_is_no_file_of_stock_is_refused_and_changes_nothing(body, headers, status, field):
    api = Api()
    response = await api.call("import_inventory", body, headers=headers)

    assert response.status_code == status
    assert list(broken_rules(response)) == [field]
    assert api.documents.requests == []
    assert api.bus.sent == {}


async def test_a_reference_may_have_as_many_characters_as_elsewhere():
    api = Api()
    rows = [b"A,1," + b"r" * 200, b"B,1," + b"r" * 201]
    response = await api.call("import_inventory", b"sku,quantity,reference\n" + b"\n".join(rows), headers=CSV)

    assert [(error["row"], error["field"]) for error in content(response)["errors"]] == [(3, "reference")]


async def test_an_import_that_nobody_knows_is_not_found():
    assert (await Api().call("get_inventory_import", route={"import_id": "imp-x"})).status_code == 404
