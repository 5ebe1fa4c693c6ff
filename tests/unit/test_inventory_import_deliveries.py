"""The chunks of an import, delivered twice, late and in any order, lost, and cut short by crashes."""

import asyncio
from datetime import timedelta
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.blobs import BlobsUnavailable
from core.bus import BusUnreachable
from core.documents import DocumentsUnavailable
from emulator.simulation import run_simulated
from services.inventory import handlers, imports
from services.inventory.importing import resume_overdue
from services.inventory.imports import CHUNK, OVERDUE_AFTER, find
from services.inventory.movements import Receipt, book, movement_id
from tests.fakes import START
from tests.import_support import CONTENT, Shop, chunk, crashes, file_of, no_fault
from tests.inventory_support import Crash, check_ledger, crash_before, interleavings

LATER = START + OVERDUE_AFTER


@pytest.fixture
async def shop():
    return await Shop().stock()


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
    point = 0
    while True:
        shop = await Shop().stock()
        import_id = await shop.start(content)
        shop.fault(crash_before(point))
        crashed = await crashes(shop.work())
        shop.fault(no_fault)
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
        point += 1
    assert point > 8


async def test_a_crash_while_it_is_accepted_is_made_good_by_the_same_request():
    point, crashed = 0, True
    while crashed:
        shop = await Shop().stock()
        shop.fault(crash_before(point))
        crashed = await crashes(shop.start())
        point += 1
        shop.fault(no_fault)
        shop.take()
        import_id = await shop.start()
        await shop.work()
        assert (await shop.report(import_id))["status"] == "completed"
        assert await shop.on_hand("a", "d") == [7, 9]
        assert shop.blobs.blobs == {}
    assert point > 3


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
    assert await crashes(shop.work())
    shop.blobs.before = no_fault
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
    faulty.before = no_fault
    import_id = await shop.start()
    await shop.work()
    assert (await shop.report(import_id))["status"] == "completed"


async def test_a_movement_that_comes_between_two_deliveries_stays(shop):
    import_id = await shop.start(b"sku,on_hand\na,7\n")
    await shop.work()
    await book(shop.documents, "a", "meanwhile", Receipt(1), START)

    await shop.handle(chunk(import_id, 1))

    assert await shop.on_hand("a") == [8]


async def _commit(documents):
    await handlers.commit(documents, "ord-1", START)


def _crash_on(name):
    async def before(request):
        if request == name:
            raise Crash(request)

    return before


type Action = tuple[str, int]

deliveries = st.tuples(st.just("deliver"), st.integers(1, 4))
cut_short = st.tuples(st.sampled_from(["crash", "post"]), st.integers(0, 30))
others = st.tuples(st.sampled_from(["timer", "remove", "lose"]), st.just(0))


@given(st.lists(st.one_of(deliveries, deliveries, cut_short, others), max_size=20))
@settings(max_examples=150, deadline=None)
def test_whatever_happens_each_row_is_booked_once_and_the_import_ends(actions: list[Action]) -> None:
    with mock.patch.object(imports, "CHUNK", 3):
        asyncio.run(_import_with(actions))


async def _import_with(actions: list[Action]) -> None:
    """`deliver` a chunk, sent or not; let the work `crash` at a request, or the `post`; `remove` the file;
    `lose` all messages."""
    shop = await Shop().stock()
    file = file_of(10)
    import_id = await shop.start(file)
    for action, number in actions:
        match action:
            case "deliver":
                await shop.handle(chunk(import_id, number))
            case "crash" | "post":
                shop.fault(crash_before(number))
                await crashes(shop.work() if action == "crash" else shop.start(file))
                shop.fault(no_fault)
            case "timer":
                shop.clock.advance(OVERDUE_AFTER.total_seconds())
                await resume_overdue(shop.documents, shop.bus, shop.clock.now())
            case "remove":
                shop.blobs.blobs.clear()
            case "lose":
                shop.take()
                shop.queue.clear()
        check_ledger(shop.documents)
    await shop.work()
    shop.clock.advance(OVERDUE_AFTER.total_seconds())
    await resume_overdue(shop.documents, shop.bus, shop.clock.now())
    await shop.work()
    if (await shop.report(import_id))["status"] == "stopped":
        await shop.start(file)
        await shop.work()
    found = await shop.report(import_id)
    assert (found["status"], found["booked"], found["failed"], found["waiting"]) == ("completed", 10, 0, 0)
    assert await shop.on_hand(*(f"sku-{n}" for n in range(10))) == list(range(1, 11))
    assert shop.blobs.blobs == {}
    check_ledger(shop.documents)
