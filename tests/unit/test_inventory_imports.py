from datetime import timedelta

import pytest

from core.bus import BusUnreachable
from core.contracts import InvalidContract
from core.documents import DocumentsUnavailable
from core.envelope import from_json, wrap
from emulator.simulation import run_simulated
from services.inventory import handlers
from services.inventory.csv_rows import MAX_BYTES, MAX_ROWS, parse
from services.inventory.history import read_history
from services.inventory.imports import CHUNK, UnknownImport, accept, report
from services.inventory.messages import ImportChunk
from services.inventory.movements import Receipt, book, movement_id
from services.inventory.stock import KeyReused, UnknownSku, read_stock
from tests.fakes import START, FakeBus, FakeClock, FakeDocuments
from tests.inventory_support import Crash, check_ledger, crash_before, interleavings, reserve, stocked
from triggers.http.bodies import identifier
from triggers.http.inventory_imports import reference

CONTENT = b"sku,on_hand\na,7\nb,4\nc,x\nd,9\n"


def parsed(content):
    return parse(content, identifier, reference)


async def start(documents, bus, content=CONTENT, key=None):
    return await accept(documents, bus, key, content, parsed(content), START)


def commands(bus):
    return [from_json(message.body) for message in bus.sent["inventory"]]


async def handle(documents, command):
    await handlers.handle_command(documents, FakeBus(), FakeClock(), command)


async def on_hand(documents, *skus):
    found = []
    for sku in skus:
        try:
            found.append((await read_stock(documents, sku)).on_hand)
        except UnknownSku:
            found.append(None)
    return found


@pytest.fixture
async def documents():
    """Of `a` 5 pieces; of `b` 8, of which an order holds 6, so that 4 cannot be counted."""
    documents = await stocked(FakeDocuments(), {"a": 5, "b": 8})
    await handlers.execute(documents, reserve("ord-1", {"b": 6}), START)
    documents.requests.clear()
    return documents


async def test_an_import_is_accepted_in_one_request_and_booked_by_its_messages(documents):
    bus = FakeBus()
    import_id = await start(documents, bus)
    assert documents.requests == ["batch stock-imports"]
    before = await report(documents, import_id)

    for command in commands(bus):
        await handle(documents, command)

    assert (before["status"], before["rows"], before["booked"], before["waiting"]) == ("running", 4, 0, 3)
    after = await report(documents, import_id)
    assert (after["status"], after["booked"], after["failed"], after["waiting"]) == ("completed", 2, 2, 0)
    assert after["errors"] == [
        {"row": 3, "field": "on_hand", "rule": "4 is below the 6 that orders hold"},
        {"row": 4, "field": "on_hand", "rule": "must be a whole number from 0 to 1000000000"},
    ]
    assert await on_hand(documents, "a", "b", "c", "d") == [7, 8, None, 9]
    check_ledger(documents)


async def test_its_movements_are_in_the_ledger_with_their_reference(documents):
    bus = FakeBus()
    import_id = await start(documents, bus, b"sku,quantity,reference\na,7,note 12\nz,1,\n")
    for command in commands(bus):
        await handle(documents, command)

    newest = (await read_history(documents, "a", 10, None))["items"][0]
    assert (newest["type"], newest["quantity"], newest["reference"]) == ("receipt", 7, "note 12")
    [first] = (await read_history(documents, "z", 10, None))["items"]
    assert first["reference"] == f"import {import_id}"


async def test_a_large_file_goes_in_chunks(documents):
    bus = FakeBus()
    content = b"sku,quantity\n" + b"".join(b"sku-%d,%d\n" % (n, n + 1) for n in range(2 * CHUNK + 50))

    import_id = await start(documents, bus, content)
    assert [command.data.number for command in commands(bus)] == [1, 2, 3]
    await handle(documents, commands(bus)[1])
    middle = await report(documents, import_id)
    assert (middle["status"], middle["booked"], middle["waiting"]) == ("running", CHUNK, CHUNK + 50)
    for command in commands(bus):
        await handle(documents, command)

    assert (await report(documents, import_id))["status"] == "completed"
    assert await on_hand(documents, "sku-0", "sku-249") == [1, 250]


@pytest.mark.parametrize("cell", ["\\" * 199, '""' * 99, "é" * 100, "🫖" * 50])
async def test_the_largest_file_fits_into_one_batch_and_one_send(documents, cell):
    row = f'%d,x,"{cell}"\n'
    content = b"sku,quantity,reference\n"
    content += b"".join((row % n).encode() for n in range(MAX_ROWS))[: MAX_BYTES - len(content)]
    content = content[: content.rindex(b"\n") + 1]
    rows = parsed(content.replace(b",x,", b",1,"))
    assert len(rows.good) > 1000

    for asked in (rows, parsed(content)):
        await accept(documents, FakeBus(), f"k-{len(asked.errors)}", content, asked, START)


async def test_the_most_rows_fit_whether_good_or_bad(documents):
    for pieces in (b"1", b""):
        content = b"sku,quantity\n" + b"".join(b"%d,%s\n" % (n, pieces) for n in range(MAX_ROWS))
        bus = FakeBus()
        import_id = await start(documents, bus, content)
        found = await report(documents, import_id)
        assert found["rows"] == MAX_ROWS
        assert (found["waiting"], len(found["errors"])) in {(MAX_ROWS, 0), (0, 1000)}


async def test_a_file_without_a_good_row_is_completed_at_once(documents):
    bus = FakeBus()
    import_id = await start(documents, bus, b"sku,quantity\na,x\n")

    found = await report(documents, import_id)
    assert (found["status"], found["failed"]) == ("completed", 1)
    assert commands(bus) == []


async def test_the_same_file_again_is_the_same_import_and_sends_what_is_not_done(documents):
    content = b"sku,quantity\n" + b"".join(b"sku-%d,1\n" % n for n in range(2 * CHUNK))
    bus = FakeBus()
    first = await start(documents, bus, content)
    await handle(documents, commands(bus)[0])
    again = FakeBus()

    assert await start(documents, again, content) == first
    assert [command.data.number for command in commands(again)] == [2]
    for command in commands(again):
        await handle(documents, command)
    last = FakeBus()
    await start(documents, last, content)
    assert commands(last) == []
    assert await on_hand(documents, "sku-0", "sku-150") == [1, 1]


async def test_a_key_makes_the_same_file_another_import_and_belongs_to_one_file(documents):
    content = b"sku,quantity\na,1\n"
    for key in (None, "monday", "tuesday", "monday"):
        bus = FakeBus()
        await start(documents, bus, content, key)
        for command in commands(bus):
            await handle(documents, command)

    assert await on_hand(documents, "a") == [8]
    with pytest.raises(KeyReused):
        await start(documents, FakeBus(), b"sku,quantity\na,2\n", "monday")


async def test_a_chunk_that_is_done_costs_one_request(documents):
    bus = FakeBus()
    await start(documents, bus)
    [command] = commands(bus)
    await handle(documents, command)
    documents.requests.clear()

    await handle(documents, command)

    assert documents.requests == ["read stock-imports"]


async def test_a_crash_in_front_of_any_request_is_made_good_by_the_redelivery():
    crashes = 0
    while True:
        documents = await stocked(FakeDocuments(), {"a": 5, "b": 8})
        await handlers.execute(documents, reserve("ord-1", {"b": 6}), START)
        bus = FakeBus()
        import_id = await start(documents, bus)
        [command] = commands(bus)
        documents.before = crash_before(crashes)
        crashed = await _crashes(handle(documents, command))
        documents.before = _free
        check_ledger(documents)
        await book(documents, "a", "meanwhile", Receipt(1), START)
        await handle(documents, command)
        found = await report(documents, import_id)
        assert (found["status"], found["booked"], found["failed"]) == ("completed", 2, 2)
        assert (await on_hand(documents, "a"))[0] in {7, 8}  # the receipt came before the count, or after it
        check_ledger(documents)
        assert len([item for item in documents.items("inventory", "d") if item["kind"] == "movement"]) == 1
        if not crashed:
            break
        crashes += 1
    assert crashes > 8


async def test_a_crash_while_it_is_accepted_is_made_good_by_the_same_request():
    for crash in range(2):
        documents = await stocked(FakeDocuments(), {"a": 5})
        bus = FakeBus(before=_crash) if crash else FakeBus()
        documents.before = _free if crash else crash_before(0)
        assert await _crashes(start(documents, bus))
        documents.before = _free
        again = FakeBus()
        await start(documents, again)
        assert len(commands(again)) == 1


async def test_two_deliveries_of_a_chunk_end_alike_in_every_order():
    """One of them finds that a row is refused, and then stock is released: the other must find the same."""
    rows = b"sku,on_hand\nb,4\n"
    setup = FakeBus()
    ends = set()

    async def prepare(documents):
        await stocked(documents, {"b": 8})
        await handlers.execute(documents, reserve("ord-1", {"b": 6}), START)
        await start(documents, setup, rows)

    def deliveries(documents):
        command = commands(setup)[0]
        return [handle(documents, command), handle(documents, command), _commit(documents)]

    async def finish(documents):
        [item] = [item for item in documents.items("stock-imports") if item["kind"] == "chunk"]
        [outcome] = [
            one
            for one in documents.items("inventory", "b")
            if one["id"] == movement_id(f"{item['import_id']}:2")
        ]
        assert item["status"] == "done"
        assert (item["booked"], outcome["kind"]) in {(1, "movement"), (0, "refused")}
        check_ledger(documents)
        ends.add(item["booked"])

    await interleavings(prepare, deliveries, finish)
    assert ends == {0, 1}


async def test_a_chunk_that_is_not_there_can_never_be_handled(documents):
    with pytest.raises(InvalidContract, match="no chunk 7"):
        await handle(documents, chunk("imp-x", 7))
    with pytest.raises(InvalidContract, match="id: must be"):
        await handle(documents, chunk("imp-x", 7, id="imp-x:inventory.import_chunk:8"))


async def test_an_import_that_nobody_knows_has_no_report(documents):
    with pytest.raises(UnknownImport):
        await report(documents, "imp-x")


def test_outages_are_waited_out():
    async def scenario():
        documents = await stocked(FakeDocuments(), {"a": 5})
        bus = FakeBus()
        import_id = await start(documents, bus, b"sku,on_hand\na,7\nd,9\n")
        failed = []

        async def fail_often(request):
            if len(failed) < 10 and request.endswith("inventory"):
                failed.append(request)
                raise DocumentsUnavailable("for the moment")

        documents.before = fail_often
        await handle(documents, commands(bus)[0])
        documents.before = _free
        assert len(failed) == 10
        assert (await report(documents, import_id))["booked"] == 2

    run_simulated(scenario())


async def test_messages_that_could_not_be_sent_are_sent_by_the_same_request(documents):
    async def fail(request):
        raise BusUnreachable("for the moment")

    with pytest.raises(BusUnreachable):
        await start(documents, FakeBus(before=fail))
    bus = FakeBus()
    await start(documents, bus)
    assert len(commands(bus)) == 1


async def test_it_is_forgotten_after_thirty_days_and_then_books_nothing_again():
    clock = FakeClock()
    documents = await stocked(FakeDocuments(clock), {"a": 5})
    for _ in range(2):
        bus = FakeBus()
        import_id = await start(documents, bus, b"sku,quantity\na,1\n")
        for command in commands(bus):
            await handle(documents, command)
        assert await on_hand(documents, "a") == [6]
        clock.advance(timedelta(days=31).total_seconds())
    with pytest.raises(UnknownImport):
        await report(documents, import_id)


def chunk(import_id, number, id=None):
    return wrap(
        ImportChunk(import_id, number),
        id=id or f"{import_id}:inventory.import_chunk:{number}",
        source="inventory",
        subject=import_id,
        time=START,
        correlation_id=import_id,
        causation_id=import_id,
    )


async def _commit(documents):
    await handlers.commit(documents, "ord-1", START)


async def _crashes(work):
    try:
        await work
    except Crash:
        return True
    except BaseExceptionGroup as group:
        return group.split(Crash)[1] is None
    return False


async def _crash(request):
    raise Crash(request)


async def _free(request):
    return
