"""Card numbers are fed into every input of the app, and are then in no store, message or log line."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.telemetry import JsonFormatter
from emulator.blobs import BlobsEngine, StoredBlob
from emulator.host.simulated import Simulated
from emulator.servicebus.messages import Message
from emulator.simulation import run_simulated
from tests.integration.test_bad_messages import charge, envelope
from tests.simulated import load_stock, orderflow, running, settle
from tools.api import Line, NewOrder

CARD = "4242424242424242"
FORMS = (CARD, "4242 4242 4242 4242", "tok_4242-4242-4242-4242")
TRACES = re.compile(r"4242[ -]?4242[ -]?4242[ -]?4242")
JSON = {"content-type": "application/json"}


def routes() -> Iterator[tuple[str, str]]:
    """Every method and route of the app, as its functions declare them."""
    for function in orderflow().functions:
        if function.trigger.type == "httpTrigger":
            methods = function.trigger.properties["methods"]
            assert isinstance(methods, list | tuple)
            for method in methods:
                yield str(method), f"/api/{function.trigger.text('route')}"


def spellings(value: Any) -> Iterator[Any]:
    """`value` with each of its leaves replaced by a card number, one at a time."""
    if isinstance(value, dict):
        for key, each in value.items():
            for changed in spellings(each):
                yield value | {key: changed}
        yield value | {CARD: 1}
    elif isinstance(value, list):
        for index, each in enumerate(value):
            for changed in spellings(each):
                yield [*value[:index], changed, *value[index + 1 :]]
    else:
        yield from FORMS
        yield int(CARD)


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


async def send_to_every_route(run: Simulated) -> None:
    """The number in the path, in the query, in the header that is used, in the body: JSON and other."""
    headers = JSON | {"idempotency-key": f"key {CARD}"}
    for method, route in routes():
        path = re.sub(r"{\w+}", "x", route)
        requests = [
            (re.sub(r"{\w+}", CARD, route), JSON, b""),
            (f"{path}?customer_id={CARD}&q={CARD}&key={CARD}&sku={CARD}&order_id={CARD}", JSON, b""),
            (path, headers, orjson.dumps({"note": "x"})),
            (path, JSON, orjson.dumps({"note": f"paid with {CARD}", CARD: CARD})),
            (path, JSON, f'{{"note": "{escaped(CARD)}"}}'.encode()),
            (path, JSON, f"not JSON {CARD}".encode()),
        ]
        for url, given, body in requests:
            answer = await run.request(method, url, given, body)
            assert not TRACES.search(answer.body.decode()), (method, url, answer.body)
            assert f"/{CARD}" not in url or answer.status >= 400, (method, url, answer.status)


async def send_files(run: Simulated) -> None:
    """The number in what is no JSON: a file of stock, and the report of a mail server."""
    rows = f"sku,quantity\nGLASS,3\n{CARD},4\nCUP,{CARD}\n".encode()
    answer = await run.request("POST", "/api/inventory/imports", {"content-type": "text/csv"}, rows)
    assert (answer.status, orjson.loads(answer.body)["rows"]) == (202, 3)
    assert not TRACES.search(answer.body.decode())
    mail = f"Subject: undeliverable\r\nMessage-ID: <{CARD}@x>\r\n\r\n{CARD}\r\n".encode()
    path = "/api/webhooks/notifications/delivery-status?key=x"
    answer = await run.request("POST", path, {"content-type": "message/rfc822"}, mail)
    assert answer.status >= 400
    assert not TRACES.search(answer.body.decode())


async def send_every_field_of_an_order(run: Simulated) -> int:
    order = orjson.loads(NewOrder("C-1", (Line("GLASS", 1, 250),)).body())
    sent = 0
    for body in spellings(order):
        headers = JSON | {"idempotency-key": f"key-{sent}"}
        answer = await run.request("POST", "/api/orders", headers, orjson.dumps(body))
        assert answer.status == 422, (body, answer.body)
        (error,) = orjson.loads(answer.body)["errors"]
        assert error["rule"] == "must not hold what looks like a card number"
        sent += 1
    return sent


async def send_messages(run: Simulated) -> int:
    """Returns how many must be parked."""
    data = {"order_id": f"ord-{CARD}", "amount": 1}
    bodies = [
        *(charge(**{field: form}) for field in ("customer_id", "payment_method") for form in FORMS),
        charge(**{CARD: 1}),
        charge(amount=int(CARD)),
        envelope("payments.refund", {"order_id": CARD}, CARD),
        envelope("payments.refund_part", data, source=CARD),
        f"not JSON {CARD}".encode(),
        b"\xff\xfe" + CARD.encode(),
    ]
    queues = [queue.name for queue in orderflow().queues.queues if queue.name != "parked"]
    assert {"payments", "order-replies", "notifications"} <= set(queues)
    for queue in queues:
        for number, body in enumerate(bodies):
            message = Message(body, f"{CARD}-{number}", subject=CARD, correlation_id=CARD)
            await run.engines.bus.send(queue, [message])
    return len(queues) * len(bodies)


def cells(run: Simulated) -> Iterator[tuple[str, str]]:
    """Every value of every table of the store."""
    store = run.engines.store
    for (table,) in store.read("SELECT name FROM sqlite_master WHERE type = 'table'"):
        for row in store.read(f'SELECT * FROM "{table}"'):  # noqa: S608
            for cell in row:
                text = cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)
                yield table, text


def test_no_card_number_is_taken_stored_sent_on_or_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    blobs: list[bytes] = []
    put = BlobsEngine.put

    def noted(self: BlobsEngine, container: str, name: str, content: bytes, content_type: str) -> StoredBlob:
        blobs.append(content)
        return put(self, container, name, content, content_type)

    monkeypatch.setattr(BlobsEngine, "put", noted)

    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10})
            await send_to_every_route(run)
            await send_files(run)
            assert await send_every_field_of_an_order(run) > 30
            due = await send_messages(run)
            await settle(run, 600)
            parked = run.engines.bus.peek("parked", 0, 1000)
            assert len(parked) == due
            assert all("[card number]" in str(each.message_id) for each in parked)
            found = {(table, text[:200]) for table, text in cells(run) if TRACES.search(text)}
            assert not found
            assert any(b"GLASS" in blob for blob in blobs)
            assert not any(TRACES.search(blob.decode("latin-1")) for blob in blobs)

    run_simulated(scenario())
    logged = [record for record in caplog.records if record.name.startswith("orderflow")]
    assert any(record.getMessage() == "message parked" for record in logged)
    lines = map(JsonFormatter().format, logged)
    assert [line for line in lines if TRACES.search(line)] == []


def test_the_numbers_are_found_where_they_are_not_refused(tmp_path: Path) -> None:
    """That this test can fail: a store in which there is one."""

    async def scenario() -> None:
        async with running(tmp_path) as run:
            item = {"id": "charge:x", "kind": "charge", "note": CARD}
            await run.engines.documents.create("sandbox", "charge:x", item)
            assert {table for table, text in cells(run) if TRACES.search(text)} == {"documents"}

    run_simulated(scenario())
