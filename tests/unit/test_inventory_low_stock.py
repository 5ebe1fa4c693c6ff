import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from core.bus import BusUnreachable
from core.envelope import from_json
from emulator.simulation import run_simulated
from services.inventory import handlers
from services.inventory.events import StockLow, StockRecovered
from services.inventory.low_stock import set_threshold
from services.inventory.movements import set_on_hand
from services.inventory.stock import UnknownSku, read_stock
from tests.fakes import START, FakeBus, FakeDocuments
from tests.inventory_support import Crash, check_ledger, crash_before, release, reserve, stocked
from triggers.change_feed.inventory import TOPIC, project_changes


@pytest.fixture
async def documents():
    """Of `a` 10 pieces; low at 3 or fewer, until there are 5 again."""
    documents = await stocked(FakeDocuments(), {"a": 10})
    await set_threshold(documents, "a", 3, 2)
    return documents


async def feed(documents, bus):
    """Everything as it is now, until nothing changes any more."""
    for _ in range(10):
        before = documents.items("inventory")
        await project_changes(documents, bus, before)
        if documents.items("inventory") == before:
            return
    raise AssertionError("the feed does not come to an end")


def told(bus):
    """By event id, which the topic keeps apart."""
    return {message.message_id: from_json(message.body).data for message in bus.sent[TOPIC]}


async def on_hand(documents, count, bus):
    await set_on_hand(documents, "a", count, "counted", START)
    await feed(documents, bus)


async def test_a_sku_becomes_low_at_its_threshold_and_recovers_with_its_margin(documents):
    bus = FakeBus()
    seen = []
    for count in (4, 3, 4, 2, 4, 5, 4, 3):
        await on_hand(documents, count, bus)
        seen.append((await read_stock(documents, "a")).low)

    assert seen == [False, True, True, True, True, False, False, True]
    assert told(bus) == {
        "a:inventory:1": StockLow("a", 3, 3),
        "a:inventory:2": StockRecovered("a", 5, 3),
        "a:inventory:3": StockLow("a", 3, 3),
    }
    check_ledger(documents)


async def test_what_counts_is_what_can_be_sold(documents):
    bus = FakeBus()
    await handlers.execute(documents, reserve("ord-1", {"a": 7}), START)
    await feed(documents, bus)
    assert told(bus) == {"a:inventory:1": StockLow("a", 3, 3)}

    await handlers.execute(documents, release("ord-1"), START)
    await feed(documents, bus)
    assert told(bus)["a:inventory:2"] == StockRecovered("a", 10, 3)


async def test_the_message_is_an_envelope_of_the_sku(documents):
    bus = FakeBus()
    await on_hand(documents, 1, bus)

    message = bus.sent[TOPIC][0]
    envelope = from_json(message.body)
    assert message.message_id == envelope.id == "a:inventory:1"
    assert (message.subject, envelope.subject) == ("inventory.stock_low", "a")
    assert envelope.correlation_id == message.correlation_id == "a"
    assert envelope.time == datetime.fromtimestamp(START.timestamp(), UTC)


async def test_a_sku_without_a_threshold_costs_no_request_and_no_field():
    documents = await stocked(FakeDocuments(), {"a": 10})
    bus = FakeBus()
    await feed(documents, bus)
    documents.requests.clear()
    await handlers.execute(documents, reserve("ord-1", {"a": 10}), START)
    documents.requests.clear()

    await project_changes(documents, bus, documents.items("inventory"))

    assert {request for request in documents.requests if not request.endswith(" audit")} == {
        "patch stock-levels"
    }
    assert bus.sent[TOPIC] == []
    assert all("low_stock" not in item for item in documents.items("stock-levels"))


async def test_a_sku_that_crosses_nothing_costs_no_request_either(documents):
    await feed(documents, FakeBus())
    documents.requests.clear()

    await project_changes(documents, FakeBus(), documents.items("inventory"))

    assert {request for request in documents.requests if not request.endswith(" audit")} == {
        "patch stock-levels"
    }


async def test_a_threshold_that_is_set_below_the_level_is_told_at_once(documents):
    bus = FakeBus()
    await set_threshold(documents, "a", 10, 1)
    await feed(documents, bus)
    assert told(bus) == {"a:inventory:1": StockLow("a", 10, 10)}

    await set_threshold(documents, "a", 9, 1)
    await feed(documents, bus)
    assert told(bus)["a:inventory:2"] == StockRecovered("a", 10, 9)


async def test_nothing_is_told_any_more_when_the_threshold_is_taken_away(documents):
    bus = FakeBus()
    await on_hand(documents, 3, bus)

    level = await set_threshold(documents, "a", None, 1)
    await on_hand(documents, 1, bus)

    assert (level.low, level.threshold, level.margin) == (False, None, None)
    assert list(told(bus)) == ["a:inventory:1"]

    await set_threshold(documents, "a", 3, 2)
    await feed(documents, bus)
    assert list(told(bus)) == ["a:inventory:1", "a:inventory:2"]


async def test_an_unknown_sku_has_no_threshold():
    with pytest.raises(UnknownSku):
        await set_threshold(FakeDocuments(), "ghost", 3, 1)


async def test_a_first_threshold_does_not_forget_what_was_recorded_in_between():
    documents = await stocked(FakeDocuments(), {"a": 1})
    bus = FakeBus()

    async def meanwhile(request):
        if request == "patch inventory":
            documents.before = _free
            await set_threshold(documents, "a", 5, 1)
            await feed(documents, bus)

    documents.before = meanwhile
    await set_threshold(documents, "a", 3, 1)
    await feed(documents, bus)

    assert told(bus) == {"a:inventory:1": StockLow("a", 1, 5)}
    level = await read_stock(documents, "a")
    assert (level.threshold, level.low) == (3, True)


async def test_figures_that_are_stale_record_nothing(documents):
    await set_on_hand(documents, "a", 2, "counted", START)
    stale = documents.items("inventory")
    await set_on_hand(documents, "a", 9, "found", START)

    await project_changes(documents, FakeBus(), stale)

    assert not (await read_stock(documents, "a")).low
    assert [item for item in documents.items("inventory") if item["kind"] == "crossing"] == []


async def test_a_change_that_the_feed_gives_twice_is_recorded_once(documents):
    await set_on_hand(documents, "a", 2, "counted", START)
    changes = documents.items("inventory")
    bus = FakeBus()

    await asyncio.gather(*[project_changes(documents, bus, changes) for _ in range(3)])
    await feed(documents, bus)

    assert list(told(bus)) == ["a:inventory:1"]


async def test_what_was_recorded_is_told_though_a_crash_came_in_between(documents):
    await set_on_hand(documents, "a", 2, "counted", START)
    crashes = 0
    while True:
        documents.before = crash_before(crashes)
        bus = FakeBus(before=_free)
        try:
            await project_changes(documents, bus, documents.items("inventory"))
        except Crash:
            crashes += 1
            documents.before = _free
            continue
        documents.before = _free
        break
    assert crashes > 1
    bus = FakeBus()
    await feed(documents, bus)
    assert told(bus) == {"a:inventory:1": StockLow("a", 2, 3)}


async def test_a_crash_in_front_of_the_sending_leaves_it_to_the_next_delivery(documents):
    await set_on_hand(documents, "a", 2, "counted", START)
    await project_changes(documents, FakeBus(), documents.items("inventory"))
    changes = documents.items("inventory")

    bus = FakeBus(before=crash_before(0))
    with pytest.raises(Crash):
        await project_changes(documents, bus, changes)
    assert told(bus) == {}

    bus = FakeBus()
    for _ in range(2):
        await project_changes(documents, bus, changes)
    assert [message.message_id for message in bus.sent[TOPIC]] == ["a:inventory:1"] * 2


def test_an_outage_of_the_topic_is_waited_out():
    async def scenario():
        documents = await stocked(FakeDocuments(), {"a": 1})
        await set_threshold(documents, "a", 3, 1)
        failed = []

        async def fail_twice(request):
            if len(failed) < 2:
                failed.append(request)
                raise BusUnreachable("for the moment")

        bus = FakeBus(before=fail_twice)
        await feed(documents, bus)
        assert list(told(bus)) == ["a:inventory:1"]
        assert failed == [f"send {TOPIC}"] * 2

    run_simulated(scenario())


async def test_many_crossings_of_one_batch_go_out_in_sends_that_a_transfer_can_carry():
    documents = await stocked(FakeDocuments(), {f"sku-{number}": 1 for number in range(250)})
    for number in range(250):
        await set_threshold(documents, f"sku-{number}", 1, 1)
    bus = FakeBus()
    await project_changes(documents, bus, documents.items("inventory"))
    sends = []

    async def noted(request):
        sends.append(request)

    bus.before = noted
    await project_changes(documents, bus, documents.items("inventory"))

    assert len(told(bus)) == 250
    assert sends == [f"send {TOPIC}"] * 3


@pytest.mark.parametrize(
    "damage", [{"number": None}, {"available": "few"}, {"at": "today"}, {"threshold": None}, {"sku": 7}]
)
async def test_a_crossing_that_cannot_be_read_is_parked_and_the_others_are_told(documents, damage):
    await set_on_hand(documents, "a", 2, "counted", START)
    bus = FakeBus()
    await feed(documents, bus)
    (crossing,) = [item for item in documents.items("inventory") if item["kind"] == "crossing"]
    bus = FakeBus()

    await project_changes(documents, bus, [{**crossing, **damage}, crossing])

    assert list(told(bus)) == ["a:inventory:1"]
    (parked,) = bus.sent["parked"]
    assert orjson.loads(parked.body)["id"] == "crossing:1"


class Crossings(RuleBasedStateMachine):
    """Stock goes up and down, thresholds change, the feed gives old and new changes in any order."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.documents = FakeDocuments()
        self.bus = FakeBus()
        self.changes = []

    @initialize()
    def stock(self):
        self._run(set_on_hand(self.documents, "a", 5, None, START))
        self._run(set_threshold(self.documents, "a", 3, 2))
        self._note()

    @rule(count=st.integers(0, 8))
    def count(self, count):
        self._run(set_on_hand(self.documents, "a", count, "counted", START))
        self._note()

    @rule(threshold=st.integers(0, 6), margin=st.integers(1, 3))
    def ask(self, threshold, margin):
        self._run(set_threshold(self.documents, "a", threshold, margin))
        self._note()

    @rule(start=st.integers(0, 30), length=st.integers(1, 3))
    def deliver(self, start, length):
        start %= len(self.changes)
        for change in self.changes[start : start + length]:
            self._run(project_changes(self.documents, self.bus, [change]))
        self._note()

    @rule(requests=st.integers(0, 2))
    def crash(self, requests):
        self.documents.before = crash_before(requests)
        with suppress(Crash):
            self._run(project_changes(self.documents, self.bus, self.documents.items("inventory")))
        self.documents.before = _free
        self._note()

    def teardown(self):
        self._run(feed(self.documents, self.bus))
        level = self._run(read_stock(self.documents, "a"))
        if level.low:
            assert level.available < level.threshold + level.margin
        else:
            assert level.available > level.threshold
        events = told(self.bus)
        numbers = sorted(int(id.rpartition(":")[2]) for id in events)
        assert numbers == list(range(1, len(events) + 1))
        for number in numbers:
            expected = StockLow if number % 2 else StockRecovered
            assert isinstance(events[f"a:inventory:{number}"], expected)
        assert level.low == bool(len(events) % 2)
        self.loop.close()

    def _note(self):
        self.changes += self.documents.items("inventory", "a")

    def _run(self, work):
        return self.loop.run_until_complete(work)


Crossings.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestCrossings = Crossings.TestCase


async def _free(request):
    return
