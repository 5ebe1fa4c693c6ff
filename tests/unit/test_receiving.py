"""What a Service Bus handler does around its service."""

import azure.functions as func
import orjson
import pytest

from core.bus import BusUnreachable
from core.contracts import InvalidContract
from core.documents import DocumentsUnavailable
from core.envelope import Envelope, to_json, wrap
from emulator.simulation import run_simulated
from services.payments.messages import Refund
from tests.fakes import START, FakeBus
from triggers.service_bus.receiving import receive

ENVELOPE = wrap(
    Refund("ord-1"),
    id="ord-1:payments.refund",
    source="orders",
    subject="ord-1",
    time=START,
    correlation_id="ord-1",
    causation_id="ord-1:orders:3",
)
BODY = orjson.dumps(to_json(ENVELOPE))
ACCEPTS = frozenset({"payments.refund"})


def message(body: bytes = BODY, message_id: str | None = "ord-1:payments.refund/1") -> func.ServiceBusMessage:
    from azure.functions.servicebus import ServiceBusMessage

    return ServiceBusMessage(
        body=body,
        message_id=message_id,
        sequence_number=7,
        label="payments.refund",
        correlation_id="ord-1",
        content_type="application/json",
        application_properties={},
        user_properties={},
    )


class Handler:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls: list[Envelope] = []

    async def __call__(self, envelope: Envelope) -> None:
        self.calls.append(envelope)
        if self.errors:
            raise self.errors.pop(0)


async def received(message: func.ServiceBusMessage, bus: FakeBus, handler: Handler) -> None:
    await receive(message, queue="payments", bus=bus, handle=handler, accepts=ACCEPTS)


async def test_a_valid_message_reaches_its_handler():
    bus, handler = FakeBus(), Handler()
    await received(message(), bus, handler)
    assert handler.calls == [ENVELOPE]
    assert bus.sent == {}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not json", "body: not JSON"),
        (orjson.dumps({}), "id: must be a non-empty string"),
        (orjson.dumps({**to_json(ENVELOPE), "data": {"order_id": 7}}), "payments.refund: order_id: "),
        (
            orjson.dumps({**to_json(ENVELOPE), "type": "payments.steal", "dataschema": "payments.steal/1"}),
            "unknown type 'payments.steal'",
        ),
        (
            orjson.dumps(
                {
                    **to_json(ENVELOPE),
                    "type": "payments.refunded",
                    "dataschema": "payments.refunded/1",
                    "data": {"order_id": "ord-1", "amount": 0, "currency": ""},
                }
            ),
            "type: 'payments.refunded' is not taken by 'payments'",
        ),
    ],
)
async def test_a_message_that_cannot_be_understood_is_parked_with_the_reason(body, reason):
    bus, handler = FakeBus(), Handler()
    await received(message(body), bus, handler)
    assert handler.calls == []
    (parked,) = bus.sent["parked"]
    assert parked.body == body
    assert parked.properties["reason"].startswith(reason)
    assert parked.properties["source"] == "payments"
    assert parked.properties["original_message_id"] == "ord-1:payments.refund/1"
    assert (parked.subject, parked.correlation_id) == ("payments.refund", "ord-1")


async def test_a_message_that_its_service_finds_invalid_is_parked():
    bus = FakeBus()
    await received(message(), bus, Handler(InvalidContract("id: must be another")))
    assert [parked.properties["reason"] for parked in bus.sent["parked"]] == ["id: must be another"]


async def test_a_message_without_an_id_is_parked_under_its_place_in_the_queue():
    bus = FakeBus()
    await received(message(b"?", message_id=None), bus, Handler())
    assert bus.sent["parked"][0].message_id == "payments:7"


async def test_a_very_long_reason_is_cut():
    bus = FakeBus()
    await received(message(), bus, Handler(InvalidContract("x" * 100_000)))
    assert len(bus.sent["parked"][0].properties["reason"]) == 1000


async def test_any_other_error_is_raised_and_the_broker_redelivers():
    bus = FakeBus()
    with pytest.raises(ZeroDivisionError):
        await received(message(), bus, Handler(ZeroDivisionError()))
    assert bus.sent == {}


def test_a_transient_error_is_repeated_for_a_minute_and_then_raised():
    handler = Handler(*[DocumentsUnavailable("503")] * 4)
    run_simulated(received(message(), FakeBus(), handler))
    assert len(handler.calls) == 5
    handler = Handler(*[DocumentsUnavailable("503")] * 10_000)
    with pytest.raises(DocumentsUnavailable):
        run_simulated(received(message(), FakeBus(), handler))


def test_when_parking_fails_the_error_is_raised_and_the_message_not_lost():
    async def unreachable(request: str) -> None:
        raise BusUnreachable(request)

    with pytest.raises(BusUnreachable):
        run_simulated(received(message(b"?"), FakeBus(before=unreachable), Handler()))


async def test_no_log_line_shows_a_body(caplog):
    caplog.set_level("DEBUG")
    secret = orjson.dumps(
        {**to_json(ENVELOPE), "data": {"order_id": "ord-1", "payment_method": "tok_secret"}}
    )
    await received(message(), FakeBus(), Handler())
    await received(message(secret), FakeBus(), Handler())
    assert len(caplog.records) == 2
    assert "tok_secret" not in repr([vars(record) for record in caplog.records])
