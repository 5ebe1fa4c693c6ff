"""Parcels on their way in the real app, on simulated time: to the customer, back to the shop, or nowhere."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from emulator.host.simulated import Simulated
from emulator.simulation import run_simulated
from tests.return_support import Piece, ask, inspect, reach, request_return
from tests.simulated import evidence, load_stock, problems, running, settle, submit
from tools.api import Line, NewOrder

LINES = (Line("GLASS", 1, 250),)
DAY_S = 86400.0


async def history(run: Simulated, order_id: str) -> list[str]:
    _, found = await ask(run, "GET", f"/api/orders/{order_id}/history")
    return [event["type"] for event in found["events"]]


async def shipment(run: Simulated, parcel: str) -> Any:
    status, found = await ask(run, "GET", f"/api/shipments/{parcel}")
    assert status == 200, found
    return found


@pytest.mark.parametrize(
    ("delivery", "tracking", "last"),
    [
        ("sandbox-delivers-0", "delivered", "orders.delivered"),
        ("sandbox-delivers-3", "delivered", "orders.delivered"),
        ("sandbox-returned-3", "returned_to_sender", "orders.returned_to_sender"),
        ("sandbox-exception-3", "exception", "orders.completed"),
    ],
)
def test_what_the_carrier_tells_reaches_the_order(
    tmp_path: Path, delivery: str, tracking: str, last: str
) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10})
            order_id = await submit(run, NewOrder("C-1", LINES, delivery=delivery), "key-1")
            await settle(run)
            found = await shipment(run, order_id)
            assert found["tracking"] == tracking
            assert tracking in {news["status"] for news in found["news"]}
            assert (await history(run, order_id))[-1] == last
            assert problems(evidence(run, tmp_path, [order_id])) == []

    run_simulated(scenario())


def test_a_delivery_whose_webhook_was_lost_is_found_by_asking_the_carrier(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10})
            order = NewOrder("C-1", LINES, delivery="sandbox-silent-3600")
            order_id = await submit(run, order, "key-1")
            await settle(run)
            placed = run.engines.clock.time()
            await run.until(lambda: run.engines.clock.time() > placed + DAY_S + 600, 2 * DAY_S, step_s=60)
            await settle(run)
            assert (await shipment(run, order_id))["tracking"] == "delivered"
            assert (await history(run, order_id))[-1] == "orders.delivered"
            assert problems(evidence(run, tmp_path, [order_id])) == []

    run_simulated(scenario())


@pytest.mark.parametrize(
    ("delivery", "ends", "status", "strays"),
    [
        ("sandbox-post-late-30", "orders.completed", "created", ["sandbox-post"]),
        ("sandbox-late-1200", "orders.cancelled", "cancelled", ["sandbox-express", "sandbox-post"]),
    ],
)
def test_a_carrier_that_takes_the_parcel_after_it_was_given_up_gives_it_back(
    tmp_path: Path, delivery: str, ends: str, status: str, strays: list[str]
) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10})
            order_id = await submit(run, NewOrder("C-1", LINES, delivery=delivery), "key-1")
            await settle(run)
            assert ends in await history(run, order_id)
            placed = run.engines.clock.time()
            await run.until(lambda: run.engines.clock.time() > placed + 7200, 2 * 7200, step_s=60)
            found = await shipment(run, order_id)
            assert found["status"] == status
            given_back = [each["carrier"] for each in found["strays"] if each["cancelled"]]
            assert sorted(given_back) == strays
            assert problems(evidence(run, tmp_path, [order_id])) == []

    run_simulated(scenario())


def test_a_return_is_received_when_its_parcel_arrives(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10})
            order_id = await submit(run, NewOrder("C-1", LINES, delivery="sandbox-delivers-3"), "key-1")
            await settle(run)
            piece = Piece(1, 1, restocked=1)
            asked = await request_return(run, order_id, piece)
            await reach(run, asked["id"], "received")
            assert (await shipment(run, asked["id"]))["order_id"] == order_id
            await inspect(run, asked["id"], piece)
            await reach(run, asked["id"], "completed")
            await settle(run)
            assert problems(evidence(run, tmp_path, [order_id])) == []

    run_simulated(scenario())


def test_a_label_is_fetched_from_where_the_app_says_it_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10})
            order_id = await submit(run, NewOrder("C-1", LINES), "key-1")
            await settle(run)
            answer = await run.request("GET", f"/api/shipments/{order_id}/label?format=zpl", {}, b"")
            assert answer.status == 302
            headers = {name.lower(): value for name, value in dict(answer.headers).items()}
            number = (await shipment(run, order_id))["tracking_number"]
            url = urlsplit(headers["location"])
            label = run.engines.blobs.answer("GET", url.path, url.query)
            assert (label.status, f"^FD>:{number}^FS".encode() in label.body) == (200, True)

    run_simulated(scenario())
