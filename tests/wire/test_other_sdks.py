"""What other SDKs than Python's send, said by hand: these run without Node."""

from pathlib import Path
from typing import Any

import pytest

from emulator.wire.amqp.decoding import list_fields
from emulator.wire.amqp.encoding import encode
from emulator.wire.amqp.performatives import MODIFIED, TRANSFER
from emulator.wire.amqp.values import Symbol, Timestamp, Uint
from tests.wire.cosmos_endpoint import endpoint_at, send
from tests.wire.raw_peer import RECEIVER, ready
from tests.wire.wire_endpoints import Wire

OTHERS: list[Any] = [
    b"user",
    "to",
    "subject",
    None,
    "correlation",
    Symbol("text/plain"),
    Timestamp(7),
    Uint(3),
]


@pytest.mark.parametrize("value", [[], [None], ["id"], [None, *OTHERS], ["x" * 300, None], [None] * 300])
def test_the_fields_of_a_list_are_those_it_was_made_of(value: list[Any]) -> None:
    encoded = encode(value)
    fields = list_fields(b"before" + encoded + b"after", 6)
    assert fields == [encode(field) for field in value]


@pytest.mark.parametrize("fields", [[], [None, False], [False, None], [True, False]])
async def test_modified_abandons_whether_it_speaks_of_failure_or_not(
    endpoints: Wire, fields: list[Any]
) -> None:
    await endpoints.put("parked", "again")
    async with ready(endpoints.amqp.port, endpoints.keys.servicebus_key, "sb://host/parked") as peer:
        await peer.attached(0, RECEIVER, "parked", rcv=1)
        await peer.credit(0, 1)
        delivered = await peer.hear_until(TRANSFER)
        await peer.settle(delivered.field(1), state=MODIFIED, fields=fields)
        await peer.credit(0, 1, count=1)
        await peer.hear_until(TRANSFER)
        (message,) = endpoints.bus.peek("parked", 0, 10)
        assert message.delivery_count == 1


async def test_a_patch_may_be_the_list_of_its_operations(tmp_path: Path) -> None:
    async with endpoint_at(tmp_path / "store") as endpoint:
        await endpoint.engine.create("orders", "s", {"id": "1", "stream": "s", "n": 1})
        path = "/dbs/shop/colls/orders/docs/1"
        answer = await send(
            endpoint,
            "PATCH",
            path,
            link=path.strip("/"),
            body=[{"op": "incr", "path": "/n", "value": 2}],
            x_ms_documentdb_partitionkey='["s"]',
        )
        assert (answer.status, answer.json["n"]) == (200, 3)
