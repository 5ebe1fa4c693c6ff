"""What an import of stock books, refuses and tells."""

from datetime import timedelta

import pytest

from core.contracts import InvalidContract
from services.inventory.csv_rows import MAX_ROWS, InvalidFile
from services.inventory.history import read_history
from services.inventory.import_report import SHOWN_ERRORS, read_errors
from services.inventory.imports import CHUNK, UnknownImport, find
from services.inventory.stock import KeyReused
from tests.import_support import Shop, chunk, file_of
from tests.inventory_support import check_ledger
from triggers.change_feed.inventory import project_changes


@pytest.fixture
async def shop():
    return await Shop().stock()


async def test_an_import_is_accepted_and_booked_by_its_messages(shop):
    import_id = await shop.start()
    before = await shop.report(import_id)
    assert (before["status"], before["rows"], before["booked"], before["waiting"]) == ("running", 4, 0, 4)
    assert list(shop.blobs.blobs) == [f"imports/{import_id}.jsonl"]

    assert await shop.work() == [1]

    after = await shop.report(import_id)
    assert (after["status"], after["booked"], after["failed"], after["waiting"]) == ("completed", 2, 2, 0)
    assert after["errors"] == [
        {"row": 3, "field": "on_hand", "rule": "4 is below the 6 that orders hold"},
        {"row": 4, "field": "on_hand", "rule": "must be a whole number from 0 to 1000000000"},
    ]
    assert await shop.on_hand("a", "b", "c", "d") == [7, 8, None, 9]
    assert shop.blobs.blobs == {}
    check_ledger(shop.documents)


async def test_what_becomes_of_its_rows_is_put_on_record_once(shop):
    import_id = await shop.start()
    await shop.work()
    await shop.handle(chunk(import_id, 1))
    for _ in range(2):
        await project_changes(shop.documents, shop.bus, shop.documents.items("inventory"))

    entries = [item for item in shop.documents.items("audit") if item["kind"] == "entry"]
    named = [item for item in entries if import_id in str(item) and item["stream"] != import_id]
    assert sorted((item["stream"], item["outcome"], item["command"]) for item in named) == [
        ("a", "accepted", "inventory.adjustment"),
        ("b", "refused", "inventory.count"),
        ("d", "accepted", "inventory.adjustment"),
    ]
    [refused] = [item for item in named if item["outcome"] == "refused"]
    assert refused["data"]["rule"] == "4 is below the 6 that orders hold"
    assert (refused["data"]["asked"]["on_hand"], refused["correlation_id"]) == (4, import_id)
    shown = (await read_history(shop.documents, "b", 10, None))["items"]
    assert [entry["type"] for entry in shown] == ["receipt"]


async def test_its_movements_are_in_the_ledger_with_their_reference(shop):
    import_id = await shop.start(b"sku,quantity,reference\na,7,note 12\nz,1,\n")
    await shop.work()

    newest = (await read_history(shop.documents, "a", 10, None))["items"][0]
    assert (newest["type"], newest["quantity"], newest["reference"]) == ("receipt", 7, "note 12")
    [first] = (await read_history(shop.documents, "z", 10, None))["items"]
    assert first["reference"] == f"import {import_id}"


async def test_a_large_file_goes_chunk_after_chunk_with_one_message_at_a_time(shop):
    import_id = await shop.start(file_of(2 * CHUNK + 50))
    [first] = shop.take()
    await shop.handle(first)
    middle = await shop.report(import_id)
    assert (middle["status"], middle["booked"], middle["waiting"]) == ("running", CHUNK, CHUNK + 50)

    assert await shop.work() == [2, 3]

    assert (await shop.report(import_id))["status"] == "completed"
    assert await shop.on_hand("sku-0", "sku-98", "sku-99", "sku-247") == [1, 99, 100, 248]
    assert shop.blobs.blobs == {}


async def test_whole_chunks_leave_no_empty_one_behind(shop):
    await shop.start(file_of(2 * CHUNK))
    assert await shop.work() == [1, 2]


async def test_the_largest_file_is_kept_in_one_document_and_read_chunk_by_chunk(shop):
    import_id = await shop.start(file_of(MAX_ROWS))
    found = await find(shop.documents, import_id)
    [blob] = shop.blobs.blobs.values()
    sizes = [end - start for start, end in zip((0, *found.ends), found.ends, strict=False)]
    assert (found.rows, len(found.ends), sum(sizes)) == (MAX_ROWS, 1011, len(blob.content))
    assert max(sizes) < 5000
    shop.documents.requests.clear()

    await shop.handle(chunk(import_id, 1))
    assert shop.documents.requests.count("batch stock-imports") == 1
    assert shop.documents.requests.count("batch inventory") == CHUNK
    await shop.handle(chunk(import_id, 1011))
    assert await shop.on_hand("sku-0", "sku-98", "sku-99", "sku-99999") == [1, 99, None, MAX_ROWS]


async def test_a_chunk_of_errors_alone_fits_into_one_batch_and_all_can_be_read(shop):
    content = b"sku,quantity\n" + b"".join(b"%d,x\n" % n for n in range(2 * CHUNK + 1))
    import_id = await shop.start(content)
    assert await shop.work() == [1, 2, 3]

    found = await shop.report(import_id)
    assert (found["status"], found["failed"], len(found["errors"])) == (
        "completed",
        2 * CHUNK + 1,
        SHOWN_ERRORS,
    )
    rows, continuation = [], None
    while True:
        page = await read_errors(shop.documents, import_id, 60, continuation)
        rows += [error["row"] for error in page["items"]]
        continuation = page["continuation"]
        if continuation is None:
            break
    assert rows == list(range(2, 2 * CHUNK + 3))


async def test_a_file_that_turns_out_to_be_none_leaves_nothing_behind(shop):
    for content in (file_of(CHUNK + 3) + b'"A,1\n', file_of(CHUNK + 3) + b"\xff,1\n", file_of(MAX_ROWS + 1)):
        with pytest.raises(InvalidFile):
            await shop.start(content)
    assert shop.documents.requests == []
    assert shop.blobs.blobs == {}
    assert shop.take() == []


async def test_the_same_file_again_is_the_same_import_and_starts_nothing_twice(shop):
    first = await shop.start(file_of(2 * CHUNK))
    assert await shop.start(file_of(2 * CHUNK)) == first
    one, other = shop.take()
    await shop.handle(one)
    await shop.handle(other)
    shop.documents.requests.clear()
    assert await shop.start(file_of(2 * CHUNK)) == first
    own = [request for request in shop.documents.requests if not request.endswith("audit")]
    assert own == ["create stock-imports", "read stock-imports"]

    await shop.work()
    assert await shop.start(file_of(2 * CHUNK)) == first
    assert shop.take() == []
    assert shop.blobs.blobs == {}
    found = await shop.report(first)
    assert (found["status"], found["booked"]) == ("completed", 2 * CHUNK)
    assert await shop.on_hand("sku-0", "sku-150") == [1, 151]


async def test_a_key_makes_the_same_file_another_import_and_belongs_to_one_file(shop):
    for key in (None, "monday", "tuesday", "monday"):
        await shop.start(b"sku,quantity\na,1\n", key)
        await shop.work()

    assert await shop.on_hand("a") == [8]
    with pytest.raises(KeyReused):
        await shop.start(b"sku,quantity\na,2\n", "monday")


async def test_a_chunk_that_is_not_there_can_never_be_handled(shop):
    import_id = await shop.start()
    with pytest.raises(InvalidContract, match="no chunk 2"):
        await shop.handle(chunk(import_id, 2))
    with pytest.raises(InvalidContract, match="no import"):
        await shop.handle(chunk("imp-x", 1))
    with pytest.raises(InvalidContract, match="id: must be"):
        await shop.handle(chunk("imp-x", 7, id="imp-x:inventory.import_chunk:8"))


async def test_an_import_that_nobody_knows_has_no_report(shop):
    for asked in (shop.report("imp-x"), read_errors(shop.documents, "imp-x", 10, None)):
        with pytest.raises(UnknownImport):
            await asked


async def test_it_is_forgotten_after_thirty_days_and_then_books_nothing_again(shop):
    for _ in range(2):
        import_id = await shop.start(b"sku,quantity\na,1\n")
        await shop.work()
        assert await shop.on_hand("a") == [6]
        shop.clock.advance(timedelta(days=31).total_seconds())
    with pytest.raises(UnknownImport):
        await shop.report(import_id)
