"""Shipments over HTTP: how one stands, and the carriers' webhooks."""

from datetime import timedelta

import orjson
import pytest

from adapters.sandbox.shipping_webhooks import SECRET
from core.contracts import contract_name
from core.envelope import command_id, from_json, wrap
from core.signatures import sign
from services.shipping.handlers import handle_command
from services.shipping.messages import Address, CreateReturn, CreateShipment, TrackParcel
from tests.fakes import START
from tests.unit.http_support import Api, broken_rules, content

ORDER = "ord-1"
ADDRESS = Address("Ada", "1 Main Street", "London", "N1 1AA", "GB")
AT = START + timedelta(hours=3)
EVENT = {
    "id": "evt-1",
    "type": "parcel.delivered",
    "parcel_id": ORDER,
    "shipment_id": f"shp-{ORDER}",
    "at": AT.isoformat(),
}


async def post(api: Api, event: object = EVENT):
    """What holds of every webhook is in test_http_webhooks.py."""
    body = orjson.dumps(event)
    headers = {"Sandbox-Signature": sign(SECRET, body, START)}
    return await api.call("take_shipping_webhook", body, route={"carrier": "sandbox"}, headers=headers)


async def handle(api: Api, command) -> None:
    await handle_command(api.documents, api.bus, api.carriers, command)


async def create(api: Api, data: object) -> None:
    part = data.return_id if isinstance(data, CreateReturn) else ""
    id = command_id(ORDER, contract_name(type(data)), part)
    await handle(
        api,
        wrap(
            data,
            id=id,
            source="orders",
            subject=ORDER,
            time=START,
            correlation_id=ORDER,
            causation_id="c",
        ),
    )


async def test_a_shipment_shows_where_the_parcel_is_and_all_that_the_carrier_said():
    api = Api()
    await create(api, CreateShipment(ORDER, ADDRESS, "standard", 2))
    for id, status, at in (("2", "delivered", AT), ("1", "in_transit", START)):
        await post(api, EVENT | {"id": id, "type": f"parcel.{status}", "at": at.isoformat()})
    for message in api.bus.sent["shipping"]:
        await handle(api, from_json(message.body))
    response = await api.call("get_shipment", route={"parcel_id": ORDER})
    assert response.status_code == 200
    said = {"detail": "", "recorded_at": START.isoformat()}
    assert content(response) == {
        "id": ORDER,
        "order_id": ORDER,
        "return_id": "",
        "status": "created",
        "carrier": "sandbox-post",
        "service": "parcel",
        "shipment_id": f"shp-{ORDER}",
        "tracking_number": "TRK1",
        "reason": "",
        "tracking": "delivered",
        "tracked_at": AT.isoformat(),
        "news": [
            {"status": "delivered", "at": AT.isoformat(), **said},
            {"status": "in_transit", "at": START.isoformat(), **said},
        ],
        "in_doubt": [],
        "strays": [],
        "version": 5,
    }


async def test_the_parcel_of_a_return_is_found_by_the_return_and_names_its_order():
    api = Api()
    await create(api, CreateReturn(ORDER, "ord-1-r1", ADDRESS, "standard", 1))
    shown = content(await api.call("get_shipment", route={"parcel_id": "ord-1-r1"}))
    assert (shown["order_id"], shown["return_id"], shown["tracking"]) == (ORDER, "ord-1-r1", "")


async def test_a_shipment_that_is_not_there_is_a_404():
    response = await Api().call("get_shipment", route={"parcel_id": "ord-none"})
    assert response.status_code == 404
    assert content(response)["detail"] == "there is no shipment of this order or return"


async def test_a_webhook_becomes_a_command_whose_id_is_made_of_the_event():
    api = Api()
    for _ in range(2):
        assert (await post(api)).status_code == 202
    first, second = (from_json(message.body) for message in api.bus.sent["shipping"])
    assert first.data == TrackParcel(ORDER, f"shp-{ORDER}", "evt-1", "delivered", AT)
    assert first.id == second.id == f"{ORDER}:shipping.track:evt-1"
    assert first.source == "webhooks.sandbox"


async def test_a_webhook_that_does_not_name_the_parcel_finds_it_by_its_shipment():
    api = Api()
    await create(api, CreateReturn(ORDER, "ord-1-r1", ADDRESS, "standard", 1))
    event = EVENT | {"parcel_id": "", "shipment_id": "shp-ord-1-r1"}
    assert (await post(api, event)).status_code == 202
    (message,) = api.bus.sent["shipping"]
    assert from_json(message.body).data.parcel_id == "ord-1-r1"


async def test_a_webhook_of_a_parcel_that_is_not_recorded_yet_is_not_taken_so_that_it_comes_again():
    api = Api()
    response = await post(api, EVENT | {"parcel_id": ""})
    assert response.status_code == 404
    assert not api.bus.sent


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (EVENT | {"shipment_id": 7}, "shipment_id"),
        (EVENT | {"detail": 7}, "detail"),
        (EVENT | {"at": "yesterday"}, "at"),
        (EVENT | {"at": "2027-01-15T08:00:00"}, "at"),
        (EVENT | {"parcel_id": "a/b"}, "shipping.track"),
        (EVENT | {"id": "x" * 300}, "shipping.track"),
    ],
)
async def test_a_genuine_webhook_of_another_form_is_refused_with_the_field(event, field):
    api = Api()
    response = await post(api, event)
    assert response.status_code == 400
    assert list(broken_rules(response)) == [field]
    assert not api.bus.sent


async def test_a_webhook_with_a_card_number_is_refused():
    api = Api()
    response = await post(api, EVENT | {"detail": "paid with 4111 1111 1111 1111"})
    assert (response.status_code, list(broken_rules(response))) == (422, ["detail"])
    assert not api.bus.sent


async def test_a_label_is_made_when_it_is_asked_for_first_and_read_by_a_url_that_expires():
    api = Api()
    await create(api, CreateShipment(ORDER, ADDRESS, "standard", 2))
    assert api.blobs.blobs == {}
    for _ in range(2):
        response = await api.call("get_shipment_label", route={"parcel_id": ORDER})
        assert (response.status_code, response.get_body()) == (302, b"")
    [(name, label)] = api.blobs.blobs.items()
    assert (name.endswith(".pdf"), label.content_type) == (True, "application/pdf")
    assert label.content.startswith(b"%PDF-")
    assert response.headers["Location"] == await api.blobs.read_url(name, 900)


async def test_who_asks_for_json_is_told_where_the_label_is_and_until_when():
    api = Api()
    await create(api, CreateShipment(ORDER, ADDRESS, "standard", 2))
    response = await api.call(
        "get_shipment_label",
        route={"parcel_id": ORDER},
        query={"format": "zpl"},
        headers={"Accept": "application/json"},
    )
    [(name, label)] = api.blobs.blobs.items()
    assert content(response) == {
        "url": await api.blobs.read_url(name, 900),
        "content_type": "application/zpl",
        "expires_at": (START + timedelta(seconds=900)).isoformat(),
    }
    assert label.content.startswith(b"^XA")


async def test_a_return_has_a_label_from_the_customer_to_the_shop():
    api = Api()
    await create(api, CreateReturn(ORDER, "ord-1-r1", ADDRESS, "standard", 1))
    await api.call("get_shipment_label", route={"parcel_id": "ord-1-r1"}, query={"format": "zpl"})
    [label] = api.blobs.blobs.values()
    text = label.content.decode()
    assert text.index("1 Main Street") < text.index("^FDTo") < text.index("1 Warehouse Road")


@pytest.mark.parametrize(
    ("parcel", "query", "status"),
    [
        ("ord-none", {}, 404),
        (ORDER, {"format": "png"}, 400),
        (ORDER, {}, 409),
    ],
)
async def test_what_has_no_label_says_why(parcel, query, status):
    api = Api()
    await create(api, CreateShipment(ORDER, ADDRESS, "sandbox-refused", 2))
    response = await api.call("get_shipment_label", route={"parcel_id": parcel}, query=query)
    assert response.status_code == status
    assert api.blobs.blobs == {}


async def test_the_carriers_own_label_is_taken_where_it_gives_one():
    api = Api()
    await create(api, CreateShipment(ORDER, ADDRESS, "standard", 2))

    async def label(parcel_id: str, shipment_id: str, format: str) -> bytes:
        return f"{shipment_id} as {format}".encode()

    api.carriers.named("sandbox-post").label = label
    await api.call("get_shipment_label", route={"parcel_id": ORDER}, query={"format": "zpl"})
    [blob] = api.blobs.blobs.values()
    assert blob.content == b"shp-ord-1 as zpl"
