"""What the gateway moved against what the payments recorded."""

import logging
from datetime import timedelta

import orjson
import pytest

from adapters.sandbox.gateway import SandboxGateway
from core.bus import BusUnreachable
from services.payments.handlers import handle_command
from services.payments.reconciliation import DifferenceFound, compare, reconcile
from tests.fakes import START, FakeBus, FakeClock, FakeDocuments
from tests.payments_support import ORDER, command

LATER = timedelta(minutes=30)


class Shop:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.documents = FakeDocuments(self.clock)
        self.bus = FakeBus(self.clock)
        self.gateway = SandboxGateway(self.documents, self.bus, self.clock)

    async def handle(self, *names: str) -> None:
        for name in names:
            await handle_command(self.documents, self.bus, self.gateway, self.clock, 10.0, command(name))

    async def reconcile(self):
        self.clock.advance(LATER.total_seconds())
        return await reconcile(self.documents, self.bus, self.gateway, self.clock.now())

    def told(self):
        return [orjson.loads(message.body)["data"] for message in self.bus.sent["service-events"]]

    async def overwrite(self, **fields: object) -> None:
        (charge,) = self.documents.items("sandbox")
        await self.documents.upsert("sandbox", charge["id"], charge | fields)


async def charged_twice(shop: Shop) -> None:
    """At the gateway, by somebody else."""
    (charge,) = shop.documents.items("sandbox")
    other = charge | {"id": "charge:ord-2", "order_id": "ord-2"}
    await shop.documents.create("sandbox", other["id"], other)


async def test_what_agrees_is_no_difference():
    shop = Shop()
    await shop.handle("charge", "part-a", "part-b", "refund")
    assert await shop.reconcile() == []
    assert shop.bus.sent["service-events"] == []


async def lost(shop: Shop) -> None:
    await shop.documents.delete("sandbox", f"charge:{ORDER}", f"charge:{ORDER}")


async def refunded_by_hand(shop: Shop) -> None:
    (charge,) = shop.documents.items("sandbox")
    by_hand = {"part": "by-hand", "key": "k", "amount": 500, "at": START.isoformat()}
    await shop.overwrite(refunds=[*charge["refunds"], by_hand])


async def refund_lost(shop: Shop) -> None:
    await shop.overwrite(refunds=[])


async def refund_of_another_amount(shop: Shop) -> None:
    (charge,) = shop.documents.items("sandbox")
    await shop.overwrite(refunds=[charge["refunds"][0] | {"amount": 1100}])


async def charge_of_another_amount(shop: Shop) -> None:
    await shop.overwrite(amount=4300)


@pytest.mark.parametrize(
    ("happens", "differences"),
    [
        (charged_twice, [("charge", "ord-2", "", 4200, 0), ("refund", "ord-2", "part-a", 1200, 0)]),
        (lost, [("charge", ORDER, "", 0, 4200), ("refund", ORDER, "part-a", 0, 1200)]),
        (refunded_by_hand, [("refund", ORDER, "by-hand", 500, 0)]),
        (refund_lost, [("refund", ORDER, "part-a", 0, 1200)]),
        (refund_of_another_amount, [("refund", ORDER, "part-a", 1100, 1200)]),
        (charge_of_another_amount, [("charge", ORDER, "", 4300, 4200)]),
    ],
)
async def test_a_difference_is_stored_told_and_logged_once(happens, differences, caplog):
    shop = Shop()
    await shop.handle("charge", "part-a")
    await happens(shop)
    with caplog.at_level(logging.ERROR):
        found = await shop.reconcile()
    assert [
        (one.about, one.order_id, one.part, one.gateway_amount, one.recorded_amount) for one in found
    ] == differences
    assert [one["difference_id"] for one in shop.told()] == [one.difference_id for one in found]
    assert [record.getMessage() for record in caplog.records] == ["gateway and payment differ"] * len(found)
    assert await compare(shop.documents, shop.gateway, START, shop.clock.now()) == found
    await shop.documents.delete("payment-differences", "checkpoint", "checkpoint")
    assert await shop.reconcile() == []
    assert len(shop.told()) == len(found)


async def test_the_same_amount_in_another_currency_is_a_difference():
    shop = Shop()
    await shop.handle("charge", "part-a")
    await shop.overwrite(currency="EUR")
    shown = [
        (one.about, one.gateway_amount, one.recorded_amount, one.currency, one.recorded_currency)
        for one in await shop.reconcile()
    ]
    assert shown == [("charge", 4200, 4200, "EUR", "GBP"), ("refund", 1200, 1200, "EUR", "GBP")]
    assert len(shop.told()) == 2


async def test_another_currency_is_found_too_where_each_side_has_it_in_another_window():
    shop = Shop()
    await shop.handle("charge")
    before = START - timedelta(minutes=5)
    await shop.overwrite(at=before.isoformat(), currency="EUR")
    for since, until in ((before, START), (START, START + LATER)):
        (found,) = await compare(shop.documents, shop.gateway, since, until)
        assert (found.currency, found.recorded_currency) == ("EUR", "GBP")


async def test_of_what_one_side_alone_has_there_is_one_currency():
    shop = Shop()
    await shop.handle("charge")
    await lost(shop)
    (found,) = await shop.reconcile()
    assert (found.currency, found.recorded_currency) == ("GBP", "")


async def test_what_is_young_is_left_for_the_next_run():
    shop = Shop()
    await shop.reconcile()
    shop.clock.advance(600)
    await shop.handle("charge")
    await lost(shop)
    shop.clock.advance(60)
    now = shop.clock.now()
    assert await reconcile(shop.documents, shop.bus, shop.gateway, now) == []
    assert [one.recorded_amount for one in await shop.reconcile()] == [4200]


async def test_what_lies_at_the_edge_of_a_window_is_asked_for_and_agrees():
    """The gateway charged before the edge, and the answer was recorded after it."""
    shop = Shop()
    await shop.handle("charge", "part-a")
    before = START - timedelta(minutes=5)
    (charge,) = shop.documents.items("sandbox")
    refunds = [charge["refunds"][0] | {"at": before.isoformat()}]
    await shop.overwrite(at=before.isoformat(), refunds=refunds)
    for since, until in ((before, START), (START, START + LATER)):
        assert await compare(shop.documents, shop.gateway, since, until) == []


async def test_a_difference_that_could_not_be_told_is_told_by_the_next_run():
    shop = Shop()
    await shop.handle("charge")
    await lost(shop)

    async def unreachable(request: str) -> None:
        raise BusUnreachable(request)

    shop.bus.before, reachable = unreachable, shop.bus.before
    with pytest.raises(BusUnreachable):
        await shop.reconcile()
    shop.bus.before = reachable
    assert await shop.reconcile() == []  # it is not new
    assert [one["order_id"] for one in shop.told()] == [ORDER]


async def test_a_run_after_days_catches_up_window_by_window():
    shop = Shop()
    await shop.reconcile()
    await shop.handle("charge")
    await lost(shop)
    shop.clock.advance(3 * 86400)
    runs = [await shop.reconcile() for _ in range(4)]
    assert sum(map(len, runs)) == 1
    assert isinstance(runs[0][0], DifferenceFound)
    (mark,) = [item for item in shop.documents.items("payment-differences") if item["id"] == "checkpoint"]
    assert mark["until"] == (shop.clock.now() - timedelta(minutes=15)).isoformat()
