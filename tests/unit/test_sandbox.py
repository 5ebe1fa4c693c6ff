"""Payments and shipping with the sandbox: what each behaviour leads to, and what the happy path costs."""

import asyncio
from dataclasses import replace

import orjson
import pytest

from adapters.sandbox.behaviour import SandboxRefusal
from adapters.sandbox.carrier import sandbox_carriers
from adapters.sandbox.gateway import SandboxGateway
from core.contracts import InvalidContract, contract_name
from core.envelope import Envelope, command_id, wrap
from core.outside_call import OutcomeUnknown, OutsideUnavailable
from core.resilience import retry_transient
from emulator.simulation import run_simulated
from services.payments import handlers as payments
from services.payments.gateway import MoneyBack
from services.payments.messages import Charge, Charged, Declined, Refund
from services.shipping import handlers as shipping
from services.shipping.calls import Carriers
from services.shipping.carrier import Parcel
from services.shipping.messages import (
    Address,
    CancelShipment,
    CreateShipment,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentRefused,
)
from tests.fakes import START, FakeBus, FakeDocuments, FakeLoopClock

ORDER = "ord-1"
ADDRESS = Address("Ada", "1 Main Street", "London", "N1 1AA", "GB")


def envelope(data: object, **changes: str) -> Envelope:
    type = contract_name(data.__class__)
    attributes = {"id": command_id(ORDER, type), "subject": ORDER, "correlation_id": ORDER}
    return wrap(data, **attributes | changes, source="orders", time=START, causation_id="ord-1:orders:1")


class World:
    """Handles commands as the Service Bus triggers do."""

    def __init__(self) -> None:
        self.clock = FakeLoopClock()
        self.documents = FakeDocuments(self.clock)
        self.bus = FakeBus(self.clock)
        self.gateway = SandboxGateway(self.documents, self.bus, self.clock)
        self.carriers = Carriers(sandbox_carriers(self.documents, self.bus, self.clock), self.clock, 10.0)

    async def handle(self, data: object, **changes: str) -> None:
        command = envelope(data, **changes)
        if isinstance(data, Charge | Refund):
            await retry_transient(
                lambda: payments.handle_command(
                    self.documents, self.bus, self.gateway, self.clock, 10.0, command
                )
            )
        else:
            await retry_transient(
                lambda: shipping.handle_command(self.documents, self.bus, self.carriers, command)
            )

    def answers(self) -> list[tuple[str, str]]:
        bodies = [orjson.loads(message.body) for message in self.bus.sent["order-replies"]]
        return [(body["type"], body["data"].get("reason", "")) for body in bodies]

    def seconds(self) -> float:
        return (self.clock.now() - START).total_seconds()

    def known(self, id: str):
        return next((item for item in self.documents.items("sandbox") if item["id"] == id), None)


def charge(method: str = "tok_ok") -> Charge:
    return Charge(ORDER, "cust-1", 4200, "GBP", method)


def create(delivery: str = "standard") -> CreateShipment:
    return CreateShipment(ORDER, ADDRESS, delivery, 3)


@pytest.mark.parametrize("command", [charge(), create()], ids=["charge", "create"])
def test_the_happy_path_costs_two_document_requests_one_outside_and_one_message(command):
    async def scenario() -> None:
        world = World()
        await world.handle(command)
        container = "payments" if isinstance(command, Charge) else "shipments"
        assert world.documents.requests == [f"batch {container}", "create sandbox", f"batch {container}"]
        assert len(world.bus.sent["order-replies"]) == 1

    run_simulated(scenario())


@pytest.mark.parametrize(
    ("command", "answer", "at_least_s", "at_most_s"),
    [
        (charge(), ("payments.charged", ""), 0, 0),
        (charge("anything"), ("payments.charged", ""), 0, 0),
        (charge("tok_slow_x"), ("payments.charged", ""), 0, 0),
        (charge("tok_declined"), ("payments.declined", "card_declined"), 0, 0),
        (charge("tok_slow_3"), ("payments.charged", ""), 3, 3),
        (charge("tok_outage_5"), ("payments.charged", ""), 5, 20),
        (charge("tok_outage_30"), ("payments.charged", ""), 30, 45),
        (charge("tok_charged_no_answer"), ("payments.charged", ""), 11, 20),
        (create(), ("shipping.created", ""), 0, 0),
        (create("sandbox-refused"), ("shipping.refused", "address_not_served"), 0, 0),
        (create("sandbox-slow-3"), ("shipping.created", ""), 3, 3),
        (create("sandbox-outage-5"), ("shipping.created", ""), 5, 20),
        (create("sandbox-outage-40"), ("shipping.created", ""), 40, 55),
        (create("sandbox-created-no-answer"), ("shipping.created", ""), 11, 20),
        (create("sandbox-post-refused"), ("shipping.created", ""), 0, 0),
        (create("sandbox-post-outage-60"), ("shipping.created", ""), 0, 2),
        (create("sandbox-post-no-answer"), ("shipping.created", ""), 11, 20),
    ],
    ids=str,
)
def test_an_order_chooses_how_the_outside_world_behaves(command, answer, at_least_s, at_most_s):
    async def scenario() -> None:
        world = World()
        await world.handle(command)
        assert world.answers() == [answer]
        assert at_least_s <= world.seconds() <= at_most_s

    run_simulated(scenario())


@pytest.mark.parametrize(
    ("delivery", "country", "hour", "offers"),
    [
        ("standard", "GB", 8, [("sandbox-post", 510, 2), ("sandbox-express", 1170, 1)]),
        ("express", "GB", 8, [("sandbox-express", 1170, 1), ("sandbox-post", 510, 2)]),
        ("express", "GB", 13, [("sandbox-post", 510, 2), ("sandbox-express", 1170, 2)]),
        ("express", "GB", 18, [("sandbox-express", 1170, 2), ("sandbox-post", 510, 3)]),
        ("standard", "FR", 8, [("sandbox-post", 1410, 6), ("sandbox-express", 2670, 2)]),
        ("standard", "JP", 8, [("sandbox-post", 1410, 6)]),
        ("standard", "AQ", 8, []),
    ],
)
def test_the_carriers_quote_by_pieces_destination_and_the_hour_and_ask_nobody(
    delivery, country, hour, offers
):
    async def scenario() -> None:
        world = World()
        world.clock.start = START.replace(hour=hour)
        found, _ = await world.carriers.offers(Parcel(ORDER, replace(ADDRESS, country=country), delivery, 3))
        assert [(offer.carrier, offer.price, offer.days) for offer in found] == offers
        assert world.documents.requests == []

    run_simulated(scenario())


def test_a_destination_that_nobody_serves_is_refused():
    async def scenario() -> None:
        world = World()
        await world.handle(replace(create(), address=replace(ADDRESS, country="AQ")))
        assert world.answers() == [("shipping.refused", "not_served")]

    run_simulated(scenario())


@pytest.mark.parametrize(
    ("command", "undo", "answers"),
    [
        (
            charge("tok_no_answer"),
            Refund(ORDER),
            [("payments.declined", "refunded"), ("payments.refunded", "")],
        ),
        (
            charge("tok_slow_30"),
            Refund(ORDER),
            [("payments.declined", "refunded"), ("payments.refunded", "")],
        ),
        (
            create("sandbox-no-answer"),
            CancelShipment(ORDER),
            [("shipping.refused", "cancelled"), ("shipping.cancelled", "")],
        ),
    ],
    ids=str,
)
def test_a_call_that_never_answers_is_ended_by_its_undo_and_nothing_was_done(command, undo, answers):
    async def scenario() -> None:
        world = World()
        with pytest.raises(OutcomeUnknown):
            await world.handle(command)
        assert world.answers() == []
        await world.handle(undo)
        assert world.answers() == answers
        assert world.known(f"charge:{ORDER}") is None
        assert world.known(f"sandbox-post:{ORDER}") is None

    run_simulated(scenario())


@pytest.mark.parametrize(
    ("command", "undo", "known", "status"),
    [
        (charge(), Refund(ORDER), f"charge:{ORDER}", "refunded"),
        (charge("tok_charged_no_answer"), Refund(ORDER), f"charge:{ORDER}", "refunded"),
        (charge("tok_declined"), Refund(ORDER), f"charge:{ORDER}", "declined"),
        (charge("tok_refund_outage_40"), Refund(ORDER), f"charge:{ORDER}", "refunded"),
        (create(), CancelShipment(ORDER), f"sandbox-post:{ORDER}", "cancelled"),
        (create("sandbox-created-no-answer"), CancelShipment(ORDER), f"sandbox-post:{ORDER}", "cancelled"),
        (create("sandbox-refused"), CancelShipment(ORDER), f"sandbox-post:{ORDER}", "refused"),
    ],
    ids=str,
)
def test_the_undo_of_what_was_done_is_known_outside(command, undo, known, status):
    async def scenario() -> None:
        world = World()
        await world.handle(command)
        await world.handle(undo)
        assert world.known(known)["status"] == status
        assert world.answers()[-1][0] in ("payments.refunded", "shipping.cancelled")

    run_simulated(scenario())


@pytest.mark.parametrize(("command", "undo"), [(charge(), Refund(ORDER)), (create(), CancelShipment(ORDER))])
def test_an_undo_before_its_do_is_answered_and_the_do_is_refused_without_a_call(command, undo):
    async def scenario() -> None:
        world = World()
        await world.handle(undo)
        await world.handle(command)
        assert world.answers() in (
            [("payments.refunded", ""), ("payments.declined", "refunded")],
            [("shipping.cancelled", ""), ("shipping.refused", "cancelled")],
        )
        assert "create sandbox" not in world.documents.requests

    run_simulated(scenario())


@pytest.mark.parametrize("command", [charge(), create(), Refund(ORDER), CancelShipment(ORDER)], ids=str)
def test_a_command_delivered_again_is_answered_with_the_same_message_and_does_nothing(command):
    async def scenario() -> None:
        world = World()
        await world.handle(command)
        stored = world.documents.items("payments") + world.documents.items("shipments")
        await world.handle(command)
        first, second = world.bus.sent["order-replies"]
        assert first == second
        assert world.documents.items("payments") + world.documents.items("shipments") == stored

    run_simulated(scenario())


def test_the_answer_is_still_known_when_its_inbox_record_has_expired():
    async def scenario() -> None:
        world = World()
        await world.handle(charge())
        await world.documents.delete("payments", ORDER, f"inbox:{ORDER}:payments.charge")
        await world.handle(charge())
        first, second = (orjson.loads(message.body) for message in world.bus.sent["order-replies"])
        assert first["data"] == second["data"]
        assert first["id"] == second["id"]

    run_simulated(scenario())


def test_the_reply_of_the_second_attempt_is_sent_when_the_first_was_lost():
    async def scenario() -> None:
        world = World()

        async def unreachable(request: str) -> None:
            raise ConnectionError(request)

        world.bus.before, reachable = unreachable, world.bus.before
        with pytest.raises(ConnectionError):
            await world.handle(charge())
        world.bus.before = reachable
        await world.handle(charge())
        assert world.answers() == [("payments.charged", "")]

    run_simulated(scenario())


@pytest.mark.parametrize("command", [charge(), create()], ids=["charge", "create"])
@pytest.mark.parametrize(
    "changes", [{"id": "ord-1:something.else"}, {"subject": "ord-2"}, {"correlation_id": "ord-2"}], ids=str
)
def test_a_command_whose_envelope_names_another_order_is_invalid_and_changes_nothing(command, changes):
    async def scenario() -> None:
        world = World()
        with pytest.raises(InvalidContract):
            await world.handle(command, **changes)
        assert world.documents.requests == []

    run_simulated(scenario())


def test_the_card_token_is_stored_nowhere():
    async def scenario() -> None:
        world = World()
        await world.handle(charge("tok_secret"))
        stored = world.documents.items("payments") + world.documents.items("sandbox")
        assert "tok_secret" not in repr(stored)

    run_simulated(scenario())


def test_the_gateway_answers_a_repeat_under_the_same_key_and_refuses_another_key():
    async def scenario() -> None:
        gateway = World().gateway
        first = await gateway.charge("key", ORDER, 4200, "GBP", "tok_ok")
        assert isinstance(first, Charged)
        assert await gateway.charge("key", ORDER, 4200, "GBP", "tok_ok") == first
        assert await gateway.find_charge(ORDER) == first
        with pytest.raises(SandboxRefusal, match="charged before"):
            await gateway.charge("other", ORDER, 4200, "GBP", "tok_ok")
        pay = first.payment_id
        assert await gateway.find_refund(ORDER, pay, "") is None
        refund = await gateway.refund("refund", ORDER, pay, "", 4200, "GBP")
        assert await gateway.refund("refund", ORDER, pay, "", 4200, "GBP") == refund
        assert await gateway.find_refund(ORDER, pay, "") == refund == MoneyBack(4200, "GBP")
        with pytest.raises(SandboxRefusal, match="refunded before"):
            await gateway.refund("other", ORDER, pay, "", 4200, "GBP")
        assert await gateway.find_charge(ORDER) == first

    run_simulated(scenario())


@pytest.mark.parametrize("method", ["tok_declined", None])
def test_the_gateway_refuses_to_refund_what_was_not_charged(method):
    async def scenario() -> None:
        gateway = World().gateway
        if method:
            assert await gateway.charge("key", ORDER, 4200, "GBP", method) == Declined(ORDER, "card_declined")
        with pytest.raises(SandboxRefusal, match="no charge of 4200 GBP"):
            await gateway.refund("refund", ORDER, "pay-1", "", 4200, "GBP")

    run_simulated(scenario())


def test_the_gateway_refunds_parts_and_never_more_than_it_charged():
    async def scenario() -> None:
        world = World()
        gateway = world.gateway
        await gateway.charge("key", ORDER, 4200, "GBP", "tok_ok")
        assert await gateway.refund("r1", ORDER, "", "r1", 1200, "GBP") == MoneyBack(1200, "GBP")
        assert world.known(f"charge:{ORDER}")["status"] == "charged"
        with pytest.raises(SandboxRefusal, match="no charge of 3001 GBP"):
            await gateway.refund("r2", ORDER, "", "r2", 3001, "GBP")
        both = [gateway.refund(part, ORDER, "", part, 1500, "GBP") for part in ("r2", "r3")]
        assert await asyncio.gather(*both) == [MoneyBack(1500, "GBP")] * 2
        assert world.known(f"charge:{ORDER}")["status"] == "refunded"

    run_simulated(scenario())


def test_the_carrier_answers_a_repeat_under_the_same_key_and_refuses_another_key():
    async def scenario() -> None:
        carrier = World().carriers.named("sandbox-post")
        assert await carrier.find_shipment(ORDER) is None
        first = await carrier.create("key", Parcel(ORDER, ADDRESS, "standard", 3), "parcel")
        assert isinstance(first, ShipmentCreated)
        assert await carrier.create("key", Parcel(ORDER, ADDRESS, "standard", 3), "parcel") == first
        with pytest.raises(SandboxRefusal, match="created before"):
            await carrier.create("other", Parcel(ORDER, ADDRESS, "standard", 3), "parcel")
        assert await carrier.find_cancellation(ORDER, "shp-1") is None
        for _ in range(2):
            assert await carrier.cancel("cancel", ORDER, first.shipment_id) == ShipmentCancelled(ORDER)
        with pytest.raises(SandboxRefusal, match="cancelled before"):
            await carrier.cancel("other", ORDER, first.shipment_id)
        assert await carrier.find_cancellation(ORDER, "shp-1") == ShipmentCancelled(ORDER)
        assert await carrier.find_shipment(ORDER) == first

    run_simulated(scenario())


def test_the_carrier_refuses_to_cancel_what_it_refused():
    async def scenario() -> None:
        carrier = World().carriers.named("sandbox-post")
        refused = await carrier.create("key", Parcel(ORDER, ADDRESS, "sandbox-refused", 3), "parcel")
        assert refused == ShipmentRefused(ORDER, "address_not_served")
        with pytest.raises(SandboxRefusal, match="no shipment"):
            await carrier.cancel("cancel", ORDER, "shp-1")

    run_simulated(scenario())


def test_an_outage_counts_from_the_first_call_and_survives_a_restart():
    async def scenario() -> None:
        world = World()
        with pytest.raises(OutsideUnavailable):
            await world.gateway.charge("key", ORDER, 4200, "GBP", "tok_outage_5")
        await asyncio.sleep(4.9)
        restarted = SandboxGateway(world.documents, world.bus, world.clock)
        with pytest.raises(OutsideUnavailable):
            await restarted.charge("key", ORDER, 4200, "GBP", "tok_outage_5")
        await asyncio.sleep(0.2)
        assert isinstance(await restarted.charge("key", ORDER, 4200, "GBP", "tok_outage_5"), Charged)

    run_simulated(scenario())
