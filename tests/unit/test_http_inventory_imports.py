import pytest

from core.envelope import from_json
from services.inventory.csv_rows import MAX_BYTES
from services.inventory.importing import import_chunk
from tests.unit.http_support import Api, broken_rules, content

CSV = {"content-type": "text/csv; charset=utf-8"}
FILE = "\ufeffsku,on_hand,reference\r\nA,7,\r\nB,x,\r\n".encode()


async def work(api):
    while messages := api.bus.sent.pop("inventory", []):
        for message in messages:
            await import_chunk(api.documents, api.bus, api.blobs, from_json(message.body), api.clock.now())


async def test_a_file_is_accepted_and_its_report_tells_how_far_it_is():
    api = Api()
    response = await api.call("import_inventory", FILE, headers=CSV)
    accepted = content(response)
    route = {"import_id": accepted["id"]}

    assert response.status_code == 202
    assert response.headers["Location"] == f"/api/inventory/imports/{accepted['id']}"
    assert (accepted["status"], accepted["waiting"]) == ("running", 2)
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


async def test_a_file_that_is_sent_again_is_accepted_while_it_is_booked_and_then_only_reported():
    api = Api()
    found = []
    for _ in range(2):
        found.append(await api.call("import_inventory", FILE, headers=CSV))
    await work(api)
    found.append(await api.call("import_inventory", FILE, headers=CSV))

    assert [response.status_code for response in found] == [202, 202, 200]
    assert len({response.headers["Location"] for response in found}) == 1
    assert content(found[2])["status"] == "completed"
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
    await work(api)

    route = {"import_id": content(response)["id"]}
    errors = content(await api.call("get_inventory_import", route=route))["errors"]
    assert [(error["row"], error["field"]) for error in errors] == [(3, "reference")]


async def test_all_refused_rows_are_listed_page_by_page():
    api = Api()
    body = b"sku,quantity\n" + b"".join(b"%d,x\n" % n for n in range(150))
    route = {"import_id": content(await api.call("import_inventory", body, headers=CSV))["id"]}
    await work(api)

    rows, params = [], {"limit": "70"}
    while True:
        page = content(await api.call("list_inventory_import_errors", route=route, query=params))
        rows += [error["row"] for error in page["items"]]
        if page["continuation"] is None:
            break
        params["continuation"] = page["continuation"]
    assert rows == list(range(2, 152))


async def test_what_looks_like_a_card_number_is_refused_in_its_row_and_kept_nowhere():
    api = Api()
    body = b"sku,quantity,reference\nA,1,4242 4242 4242 4242\n4242424242424242,1,\nB,4242424242424242,\n"
    response = await api.call("import_inventory", body, headers=CSV)
    kept = [blob.content for blob in api.blobs.blobs.values()]
    await work(api)

    errors = content(await api.call("get_inventory_import", route={"import_id": content(response)["id"]}))
    assert [(error["row"], error["field"]) for error in errors["errors"]] == [
        (2, "reference"),
        (3, "sku"),
        (4, "quantity"),
    ]
    assert len(kept) == 1
    assert b"4242" not in kept[0]
    assert "4242" not in str(api.documents.items("stock-imports"))


async def test_an_import_that_nobody_knows_is_not_found():
    for function in ("get_inventory_import", "list_inventory_import_errors"):
        assert (await Api().call(function, route={"import_id": "imp-x"})).status_code == 404


async def test_a_continuation_of_another_query_is_refused():
    api = Api()
    route = {"import_id": content(await api.call("import_inventory", FILE, headers=CSV))["id"]}
    response = await api.call("list_inventory_import_errors", route=route, query={"continuation": "x"})

    assert response.status_code == 400
    assert list(broken_rules(response)) == ["continuation"]
