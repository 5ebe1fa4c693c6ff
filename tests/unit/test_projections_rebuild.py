import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.documents import BadDocumentRequest
from core.read_models import Progress, rebuild
from emulator.simulation import run_simulated
from services.inventory import handlers
from services.inventory.movements import set_on_hand
from services.inventory.stock_projection import STOCK_LEVELS
from services.orders.list_projection import ORDER_LIST, Customers
from services.orders.views import read_order
from tests.fakes import START, FakeBus, FakeDocuments
from tests.inventory_support import reserve, stocked
from tests.order_support import CANCELLATION, COMPLETION, append, events, place
from triggers.change_feed.inventory import project_changes as project_stock_changes
from triggers.change_feed.orders import project_changes

ROWS = "order-list"


async def _rebuild(documents, model, page_size=3):
    total = Progress(0, 0, 0, 0, None)
    continuation = None
    while True:
        page = await rebuild(documents, model, continuation, page_size)
        total = Progress(
            total.checked + page.checked,
            total.written + page.written,
            total.removed + page.removed,
            total.broken + page.broken,
            page.continuation,
        )
        continuation = page.continuation
        if continuation is None:
            return total


async def _check_rows(documents, orders):
    rows = {row["id"]: row for row in documents.items(ROWS)}
    assert rows.keys() == set(orders)
    assert len(documents.items(ROWS)) == len(rows)
    for order_id, row in rows.items():
        order = await read_order(documents, order_id)
        for field in ("customer_id", "status", "version", "currency", "total", "created_at", "updated_at"):
            assert row[field] == order[field]


@pytest.fixture
async def documents():
    documents = FakeDocuments()
    for number in range(8):
        history = COMPLETION[: number % 4] if number % 2 else CANCELLATION[: number % 5]
        await append(documents, f"ord-{number}", place(f"ord-{number}", f"customer-{number % 3}"), *history)
    return documents


ORDERS = [f"ord-{number}" for number in range(8)]


async def test_a_fresh_read_model_is_made_of_the_events(documents):
    progress = await _rebuild(documents, ORDER_LIST)

    await _check_rows(documents, ORDERS)
    assert progress == Progress(checked=16, written=8, removed=0, broken=0, continuation=None)


async def test_a_second_rebuild_writes_nothing(documents):
    await _rebuild(documents, ORDER_LIST)

    assert await _rebuild(documents, ORDER_LIST) == Progress(16, 0, 0, 0, None)


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 1},
        {"version": 999},
        {"version": "many"},
        {"status": "completely lost"},
        {"total": 1},
        {"note": "not ours"},
    ],
)
async def test_a_stale_or_damaged_row_is_repaired(documents, damage):
    await _rebuild(documents, ORDER_LIST)
    (row,) = [row for row in documents.items(ROWS) if row["id"] == "ord-5"]
    if all(row.get(field) == value for field, value in damage.items()):
        raise AssertionError("this damages nothing")
    row = {field: value for field, value in row.items() if field[0] != "_"}
    await documents.replace(ROWS, row["customer_id"], {**row, **damage})

    assert (await _rebuild(documents, ORDER_LIST)).written == 1
    await _check_rows(documents, ORDERS)
    assert all("note" not in row for row in documents.items(ROWS))


async def test_rows_without_a_stream_and_under_another_customer_are_removed(documents):
    await _rebuild(documents, ORDER_LIST)
    await documents.create(ROWS, "bob", {"id": "ord-ghost", "customer_id": "bob", "version": 3})
    await documents.create(ROWS, "bob", {"id": "ord-1", "customer_id": "bob", "version": 1})

    # In one page: the fake's continuation counts rows, so it would skip one after a removal.
    assert (await _rebuild(documents, ORDER_LIST, 100)).removed == 2
    await _check_rows(documents, ORDERS)


async def test_a_stream_that_cannot_be_read_is_counted_and_does_not_stop_the_others(documents):
    (first, *_) = events(documents, "ord-3")
    broken = {field: value for field, value in first.items() if field[0] != "_"}
    await documents.replace("orders", "ord-3", {**broken, "data": {}})

    progress = await _rebuild(documents, ORDER_LIST)

    assert progress.broken == 1
    assert progress.written == 7


async def test_a_page_is_what_was_asked_for(documents):
    first = await rebuild(documents, ORDER_LIST, None, 5)
    second = await rebuild(documents, ORDER_LIST, first.continuation, 5)

    assert (first.checked, second.checked) == (5, 3)
    assert second.continuation == "rows:"


@pytest.mark.parametrize("continuation", ["rows", "x", "rows:{}", "sources:1"])
async def test_a_continuation_of_something_else_is_refused(documents, continuation):
    if continuation == "rows":  # the beginning of the second half, without its colon
        assert (await rebuild(documents, ORDER_LIST, continuation)).checked == 0
        return
    with pytest.raises(BadDocumentRequest, match="continuation"):
        await rebuild(documents, ORDER_LIST, continuation)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_rebuild_while_orders_go_on_ends_equal_to_the_fold(data):
    """Between the requests of the rebuild others append events; the feed projects them, late or at once."""

    async def run():
        documents = FakeDocuments()
        customers = Customers(documents)
        bus = FakeBus()
        orders = {f"ord-{number}": list(COMPLETION) for number in range(4)}
        projected = {}
        for order_id in orders:
            await append(documents, order_id, place(order_id))
            projected[order_id] = 0

        async def go_on(order_id):
            if orders[order_id]:
                await append(documents, order_id, orders[order_id].pop(0))

        async def project(order_id):
            new = events(documents, order_id)[projected[order_id] :]
            projected[order_id] += len(new)
            await project_changes(documents, customers, bus, new)

        async def damage(order_id):
            for row in documents.items(ROWS):
                if row["id"] == order_id:
                    damaged = {field: value for field, value in row.items() if field[0] != "_"}
                    damaged |= {"status": "?", "version": 77}
                    await documents.replace(ROWS, row["customer_id"], damaged)

        for order_id in orders:
            action = data.draw(st.sampled_from([project, damage, None]))
            if action is not None:
                await project(order_id)
                await action(order_id)
        script = data.draw(
            st.lists(
                st.tuples(
                    st.integers(0, 3), st.sampled_from([go_on, project]), st.sampled_from(sorted(orders))
                ),
                max_size=25,
            )
        )

        async def meanwhile(request):
            documents.before = _free
            if script:
                pause, action, order_id = script.pop()
                if pause == 0:
                    await action(order_id)
            documents.before = meanwhile

        documents.before = meanwhile
        await _rebuild(documents, ORDER_LIST, data.draw(st.integers(1, 5)))
        documents.before = _free
        for order_id in orders:
            await project(order_id)
        await _check_rows(documents, orders)

    run_simulated(run())


async def test_stock_levels_are_made_of_the_ledger_while_it_changes():
    documents = await stocked(FakeDocuments(), {"a": 9, "b": 9, "c": 0})
    await documents.create("stock-levels", "a", {"id": "a", "sku": "a", "version": 50, "held": 4})
    await documents.create("stock-levels", "ghost", {"id": "ghost", "sku": "ghost", "version": 1})
    await documents.create("stock-levels", "a", {"id": "elsewhere", "sku": "a", "version": 1})
    orders = iter(range(100))

    async def meanwhile(request):
        documents.before = _free
        if request.endswith("stock-levels"):
            number = next(orders)
            await handlers.execute(documents, reserve(f"ord-{number}", {"a": 1, "b": 1}), START)
        documents.before = meanwhile

    documents.before = meanwhile
    progress = await _rebuild(documents, STOCK_LEVELS)
    documents.before = _free

    assert progress.removed == 2
    await project_stock_changes(documents, FakeBus(), documents.items("inventory"))
    await set_on_hand(documents, "c", 3, None, START)
    await project_stock_changes(documents, FakeBus(), documents.items("inventory"))
    rows = {row["sku"]: row for row in documents.items("stock-levels")}
    stock = {item["sku"]: item for item in documents.items("inventory") if item["kind"] == "stock"}
    assert rows.keys() == stock.keys()
    for sku, row in rows.items():
        for field in ("available", "held", "shipped", "received", "adjusted", "version"):
            assert row[field] == stock[sku][field]


async def _free(request):
    return
