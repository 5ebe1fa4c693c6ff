"""Several orders, few SKUs, little stock: commands, shipments, returns, counts, timers and crashes in any
order."""

import asyncio
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.documents import Query, Where
from services.inventory import handlers, reservation
from services.inventory.movements import set_on_hand
from services.inventory.returns import NotYetShipped
from services.inventory.stock import BelowHeld
from tests.fakes import START, FakeDocuments
from tests.inventory_support import (
    EXPIRES,
    Replies,
    check_at_rest,
    check_ledger,
    delivery,
    gate,
    release,
    reserve,
    restock,
    step,
)

ORDERS = {
    "ord-1": {"a": 1, "b": 2, "c": 1},
    "ord-2": {"a": 2, "c": 3},
    "ord-3": {"b": 1, "ghost": 1},
    "ord-4": {"b": 3},
}


class Ledger(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.documents = FakeDocuments()
        self.replies = Replies()
        self.running = []
        self.delivered = {}
        self.returns = {}
        self.shipped = set()
        self.now = START

    @initialize(counts=st.tuples(*[st.integers(0, 5)] * 3))
    def stock(self, counts):
        for sku, count in zip("abc", counts, strict=True):
            self._run(set_on_hand(self.documents, sku, count, None, START))

    @rule(order=st.sampled_from(sorted(ORDERS)))
    def deliver_reserve(self, order):
        self._deliver(reserve(order, ORDERS[order]))

    @rule(order=st.sampled_from(sorted(ORDERS)))
    def deliver_release(self, order):
        self._deliver(release(order))

    @rule(order=st.sampled_from(sorted(ORDERS)))
    def ship(self, order):
        self.shipped.add(order)
        self._start(self._commit(order))

    @rule(
        order=st.sampled_from(["ord-1", "ord-2"]),
        number=st.integers(1, 3),
        sku=st.sampled_from("ac"),
        pieces=st.tuples(st.integers(0, 2), st.integers(0, 1)),
    )
    def send_back(self, order, number, sku, pieces):
        wanted = restock(order, number, {sku: pieces})
        wanted = self.returns.setdefault(wanted.id, wanted)
        self._start(self._restock(wanted))

    @rule()
    def run_the_timer(self):
        self._start(self._finish_due(self.now))

    @rule(seconds=st.sampled_from([60, 700, 86400]))
    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)

    @rule(sku=st.sampled_from("abc"), count=st.integers(0, 6))
    def count_the_shelf(self, sku, count):
        self._start(self._count(sku, count))

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 5), steps=st.integers(1, 4))
    def go(self, which, steps):
        one = self.running[which % len(self.running)]
        for _ in range(steps):
            more = self._run(_step(one))
            check_ledger(self.documents)
            if not more:
                self.running.remove(one)
                break

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 5))
    def crash(self, which):
        self.running.pop(which % len(self.running)).close()

    @invariant()
    def figures_add_up(self):
        check_ledger(self.documents)

    def teardown(self):
        try:
            self._finish()
        finally:
            self.loop.close()

    def _finish(self):
        while self.running:
            self.go(0, 4)
        self.documents.before = _free
        for command in self.delivered.values():
            self._run(delivery(self.documents, command, self.replies, self.now))
        self._run(self._finish_due(self.now))
        for order in self.shipped:
            self._run(self._commit(order))
            states = {item["status"] for item in self.documents.items("reservations", order) if item["lines"]}
            assert states <= {"committed"}
        for wanted in self.returns.values():
            self._run(self._restock(wanted))
        check_at_rest(self.documents)
        assert self.delivered.keys() <= self.replies.of.keys() <= self.delivered.keys() | self.returns.keys()
        for order in ORDERS:
            if {f"{order}:inventory.release", f"{order}:inventory.reserve"} <= self.delivered.keys():
                (item,) = self.documents.items("reservations", order)
                assert item["status"] in {"released", "rejected", "committed"}

    def _deliver(self, command):
        self.delivered[command.id] = command
        self._start(delivery(self.documents, command, self.replies, self.now))

    def _start(self, work):
        self.documents.before = gate
        if self._run(_step(work)):
            self.running.append(work)

    def _run(self, work):
        return self.loop.run_until_complete(work)

    async def _commit(self, order):
        try:
            await handlers.commit(self.documents, order, self.now)
        except handlers.UnknownReservation:
            return

    async def _restock(self, wanted):
        try:
            await delivery(self.documents, wanted, self.replies, self.now)
        except NotYetShipped:
            return

    async def _count(self, sku, count):
        try:
            await set_on_hand(self.documents, sku, count, "counted", self.now)
        except BelowHeld:
            return

    async def _finish_due(self, now):
        due = Where("due_at", "<=", reservation.timestamp(now))
        page = await self.documents.query("reservations", Query((due,), order_by="due_at"))
        for item in page.items:
            for reply in await handlers.finish(self.documents, reservation.from_item(item), now):
                self.replies.add(reply.causation_id, reply)


async def _step(work):
    return step(work)


async def _free(request):
    return


Ledger.TestCase.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
TestLedger = Ledger.TestCase
assert timedelta(days=1) == EXPIRES - START  # so that `wait` goes past it
