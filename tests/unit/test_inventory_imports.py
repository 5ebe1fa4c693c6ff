from collections.abc import Awaitable
from datetime import timedelta

import pytest

from core.blobs import BlobsUnavailable
from core.bus import BusUnreachable
from core.contracts import InvalidContract
from core.documents import DocumentsUnavailable
from core.envelope import from_json, wrap
from emulator.simulation import run_simulated
from services.inventory import handlers
from services.inventory.csv_rows import MAX_ROWS, InvalidFile, parse
from services.inventory.history import read_history
from services.inventory.import_report import SHOWN_ERRORS, read_errors, report
from services.inventory.importing import import_chunk, resume_overdue
from services.inventory.imports import CHUNK, OVERDUE_AFTER, UnknownImport, accept, find
from services.inventory.messages import ImportChunk
from services.inventory.movements import Receipt, book, movement_id
from services.inventory.stock import KeyReused, UnknownSku, read_stock
from tests.fakes import START, FakeBus, FakeClock, FakeDocuments
from tests.fakes_blobs import FakeBlobs
from tests.inventory_support import Crash, check_ledger, crash_before, interleavings, reserve, stocked
from triggers.change_feed.inventory import project_changes
from triggers.http.bodies import identifier
from triggers.http.inventory_imports import reference

CONTENT = b"sku,on_hand\na,7\nb,4\nc,x\nd,9\n"
LATER = START + OVERDUE_AFTER


class Shop:
    """Of `a` 5 pieces; of `b` 8, of which an order holds 6, so that 4 cannot be counted."""

    def __init__(self, documents=None):
        self.clock = FakeClock()
        self.documents = documents or FakeDocuments(self.clock)
        self.bus = FakeBus()
        self.blobs = FakeBlobs(self.clock)
        self.queue = []

    async def stock(self):
        await stocked(self.documents, {"a": 5, "b": 8})
        await handlers.execute(self.documents, reserve("ord-1", {"b": 6}), START)
        self.documents.requests.clear()
        return self

    async def start(self, content=CONTENT, key=None):
        file = parse(content, identifier, reference)
        return await accept(self.documents, self.bus, self.blobs, key, content, file, self.clock.now())

    def take(self):
        """The commands that were sent, and are not in the queue any more then."""
        sent = [from_json(message.body) for message in self.bus.sent["inventory"]]
        self.bus.sent.clear()
        return sent

    async def handle(self, command):
        await import_chunk(self.documents, self.bus, self.blobs, command, self.clock.now())

    async def work(self):
        """Until no message is left; one that was not handled to its end stays. Answers the numbers of the
        chunks."""
        numbers = []
        self.queue += self.take()
        while self.queue:
            await self.handle(self.queue[0])
            numbers.append(self.queue.pop(0).data.number)
            self.queue += self.take()
        return numbers

    async def report(self, import_id):
        return await report(self.documents, import_id)

    async def on_hand(self, *skus):
        found = []
        for sku in skus:
            try:
                found.append((await read_stock(self.documents, sku)).on_hand)
            except UnknownSku:
                found.append(None)
        return found


@pytest.fixture
async def shop():
    return await Shop().stock()


def file_of(rows):
    return b"sku,quantity\n" + b"".join(b"sku-%d,%d\n" % (n, n + 1) for n in range(rows))


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


async def test_chunks_that_come_twice_and_in_any_order_book_each_row_once(shop):
    import_id = await shop.start(file_of(3 * CHUNK))
    shop.take()
    for number in (2, 1, 3, 1, 2, 3, 3, 1):
        await shop.handle(chunk(import_id, number))
        check_ledger(shop.documents)
    await shop.work()

    found = await shop.report(import_id)
    assert (found["status"], found["booked"], found["failed"]) == ("completed", 3 * CHUNK, 0)
    assert await shop.on_hand("sku-0", "sku-98", "sku-200") == [1, 99, 201]
    assert shop.blobs.blobs == {}


async def test_a_chunk_that_was_overtaken_costs_one_request_and_sends_nothing(shop):
    import_id = await shop.start(file_of(3 * CHUNK))
    await shop.work()
    shop.documents.requests.clear()

    await shop.handle(chunk(import_id, 1))

    assert shop.documents.requests == ["read stock-imports"]
    assert shop.take() == []


async def test_a_chunk_whose_next_message_may_be_lost_sends_it_again(shop):
    import_id = await shop.start(file_of(2 * CHUNK))
    [first] = shop.take()
    await shop.handle(first)
    shop.take()

    await shop.handle(first)

    assert [command.data.number for command in shop.take()] == [2]
    assert (await shop.report(import_id))["booked"] == CHUNK


@pytest.mark.parametrize("content", [CONTENT, file_of(CHUNK + 1)])
async def test_a_crash_in_front_of_any_request_is_made_good_by_the_redelivery(content):
    crashes = 0
    while True:
        shop = await Shop().stock()
        import_id = await shop.start(content)
        crash = crash_before(crashes)
        shop.documents.before = shop.bus.before = shop.blobs.before = crash
        crashed = await _crashes(shop.work())
        shop.documents.before = shop.bus.before = shop.blobs.before = _free
        check_ledger(shop.documents)
        await shop.work()
        told = await shop.report(import_id)
        assert told["status"] == "completed"
        assert (told["booked"], told["failed"]) == ((2, 2) if content is CONTENT else (CHUNK + 1, 0))
        assert shop.blobs.blobs == {}
        assert (await find(shop.documents, import_id)).due_at is None
        check_ledger(shop.documents)
        if not crashed:
            break
        crashes += 1
    assert crashes > 8


async def test_a_crash_while_it_is_accepted_is_made_good_by_the_same_request():
    crashes, crashed = 0, True
    while crashed:
        shop = await Shop().stock()
        shop.documents.before = shop.bus.before = shop.blobs.before = crash_before(crashes)
        crashed = await _crashes(shop.start())
        crashes += 1
        shop.documents.before = shop.bus.before = shop.blobs.before = _free
        shop.take()
        import_id = await shop.start()
        await shop.work()
        assert (await shop.report(import_id))["status"] == "completed"
        assert await shop.on_hand("a", "d") == [7, 9]
        assert shop.blobs.blobs == {}
    assert crashes > 3


async def test_what_lost_its_message_is_sent_again_by_the_timer(shop):
    import_id = await shop.start(file_of(2 * CHUNK))
    await shop.handle(shop.take()[0])
    shop.take()
    assert await resume_overdue(shop.documents, shop.bus, LATER - timedelta(seconds=1)) == 0

    assert await resume_overdue(shop.documents, shop.bus, LATER) == 1
    assert await resume_overdue(shop.documents, shop.bus, LATER) == 0
    assert await shop.work() == [2]
    assert (await shop.report(import_id))["booked"] == 2 * CHUNK
    assert await resume_overdue(shop.documents, shop.bus, LATER + timedelta(days=1)) == 0


async def test_the_timer_has_a_file_removed_whose_last_delivery_crashed_after_booking(shop):
    import_id = await shop.start()
    shop.blobs.before = _crash_on("delete blob")
    assert await _crashes(shop.work())
    shop.blobs.before = _free
    assert (await shop.report(import_id))["status"] == "completed"
    assert len(shop.blobs.blobs) == 1

    shop.queue.clear()

    await resume_overdue(shop.documents, shop.bus, LATER)
    assert await shop.work() == [1]
    assert shop.blobs.blobs == {}
    assert await resume_overdue(shop.documents, shop.bus, LATER + timedelta(days=1)) == 0


async def test_an_import_whose_file_is_lost_stops_and_goes_on_when_it_is_sent_again(shop):
    import_id = await shop.start(file_of(2 * CHUNK))
    await shop.handle(shop.take()[0])
    shop.blobs.blobs.clear()

    assert await shop.work() == [2]
    told = await shop.report(import_id)
    assert (told["status"], told["booked"], told["waiting"]) == ("stopped", CHUNK, CHUNK)
    assert await resume_overdue(shop.documents, shop.bus, LATER + timedelta(days=1)) == 0

    assert await shop.start(file_of(2 * CHUNK)) == import_id
    assert (await shop.report(import_id))["status"] == "running"
    assert await shop.work() == [2]
    told = await shop.report(import_id)
    assert (told["status"], told["booked"]) == ("completed", 2 * CHUNK)
    assert shop.blobs.blobs == {}


async def test_two_deliveries_of_a_chunk_end_alike_in_every_order():
    """One of them finds that a row is refused, and then stock is released: the other must find the same."""
    rows = b"sku,on_hand\nb,4\n"
    setup = Shop()
    ends = set()

    async def prepare(documents):
        setup.documents = documents
        await setup.stock()
        await setup.start(rows)

    def deliveries(documents):
        shop = Shop(documents)
        shop.blobs.blobs.update(blobs)
        return [shop.handle(command), shop.handle(command), _commit(documents)]

    async def finish(documents):
        item = next(item for item in documents.items("stock-imports") if item["kind"] == "import")
        key = movement_id(f"{item['import_id']}:2")
        [outcome] = [one for one in documents.items("inventory", "b") if one["id"] == key]
        assert (item["next"], item["booked"] + item["failed"]) == (2, 1)
        assert (item["booked"], outcome["kind"]) in {(1, "movement"), (0, "refused")}
        check_ledger(documents)
        ends.add(item["booked"])

    probe = await Shop().stock()
    await probe.start(rows)
    [command], blobs = probe.take(), dict(probe.blobs.blobs)
    await interleavings(prepare, deliveries, finish)
    assert ends == {0, 1}


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


def test_outages_are_waited_out():
    async def scenario():
        shop = await Shop().stock()
        import_id = await shop.start(b"sku,on_hand\na,7\nd,9\n")
        failed = []

        async def fail_often(request):
            if len(failed) < 10 and request.endswith("inventory"):
                failed.append(request)
                raise DocumentsUnavailable("for the moment")

        shop.documents.before = fail_often
        await shop.work()
        assert len(failed) == 10
        assert (await shop.report(import_id))["booked"] == 2

    run_simulated(scenario())


@pytest.mark.parametrize("error", [BlobsUnavailable("for the moment"), BusUnreachable("for the moment")])
async def test_what_could_not_be_stored_or_sent_is_by_the_same_request(shop, error):
    async def fail(request):
        raise error

    faulty = shop.blobs if isinstance(error, BlobsUnavailable) else shop.bus
    faulty.before = fail
    with pytest.raises(type(error)):
        await shop.start()
    faulty.before = _free
    import_id = await shop.start()
    await shop.work()
    assert (await shop.report(import_id))["status"] == "completed"


async def test_it_is_forgotten_after_thirty_days_and_then_books_nothing_again(shop):
    for _ in range(2):
        import_id = await shop.start(b"sku,quantity\na,1\n")
        await shop.work()
        assert await shop.on_hand("a") == [6]
        shop.clock.advance(timedelta(days=31).total_seconds())
    with pytest.raises(UnknownImport):
        await shop.report(import_id)


async def test_a_movement_that_comes_between_two_deliveries_stays(shop):
    import_id = await shop.start(b"sku,on_hand\na,7\n")
    await shop.work()
    await book(shop.documents, "a", "meanwhile", Receipt(1), START)

    await shop.handle(chunk(import_id, 1))

    assert await shop.on_hand("a") == [8]


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


async def _crashes(work: Awaitable[object]) -> bool:
    try:
        await work
    except Crash:
        return True
    except BaseExceptionGroup as group:
        return group.split(Crash)[1] is None
    return False


def _crash_on(name):
    async def before(request):
        if request == name:
            raise Crash(request)

    return before


async def _free(request):
    return
