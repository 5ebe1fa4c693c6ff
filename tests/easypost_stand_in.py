"""A server that speaks what the adapter needs of the API that https://docs.easypost.com documents."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.misbehaving import Good, HttpServer

KEY = "EZTKtest"
RATES = (
    ("USPS", "GroundAdvantage", "7.15", 4),
    ("USPS", "Express", "28.90", 1),
    ("UPS", "Ground", "9.80", None),
)


HANDLER: web.RequestKey[Good] = web.RequestKey("handler")
"""Who would have answered it well."""


class StandIn:
    """`misbehave` is what happens to the next requests whose path ends so, `then` to all others: a status of
    HTTP with EasyPost's error, `lost` (done, and the connection closed), `silent` (done, and never answered),
    or what an `HttpServer` does.
    """

    def __init__(self) -> None:
        self.shipments: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.misbehave: list[tuple[str, str]] = []
        self.then = "well"
        self.times: list[float] = []
        self._any_server = HttpServer(lambda request: request[HANDLER](request))
        self.refuses_refunds = False
        self.hides_purchases = False
        self.never = asyncio.Event()
        self.url = ""

    def end(self) -> None:
        self.never.set()
        self._any_server.end()

    def bought(self) -> list[dict[str, Any]]:
        return [one for one in self.shipments.values() if one["tracking_code"]]

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._watched])
        app.router.add_post("/v2/shipments", self._create)
        app.router.add_get("/v2/shipments/{id}", self._retrieve)
        app.router.add_post("/v2/shipments/{id}/buy", self._buy)
        app.router.add_post("/v2/shipments/{id}/refund", self._refund)
        app.router.add_get("/v2/shipments/{id}/label", self._label)
        app.router.add_get("/labels/{name}", self._file)
        return app

    @web.middleware
    async def _watched(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path.rpartition('/')[2]}")
        self.times.append(asyncio.get_running_loop().time())
        request[HANDLER] = handler
        if request.path.startswith("/v2") and request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error(401, "APIKEY.INACTIVE")
        for index, (path, how) in enumerate(self.misbehave):
            if request.path.endswith(path):
                del self.misbehave[index]
                return await self._misbehaving(request, how)
        return await self._misbehaving(request, self.then)

    async def _misbehaving(self, request: web.Request, how: str) -> web.StreamResponse:
        if how.isdecimal():
            return _error(int(how), "BAD", {"Retry-After": "1"} if how == "429" else {})
        if how not in ("lost", "silent"):
            return await self._any_server.answer_as(how, request)
        await request[HANDLER](request)
        if how == "silent":
            await self.never.wait()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _create(self, request: web.Request) -> web.Response:
        asked = (await request.json())["shipment"]
        if asked["to_address"]["zip"] == "00000":
            return _error(422, "ADDRESS.VERIFY.FAILURE")
        abroad = asked["to_address"]["country"] != asked["from_address"]["country"]
        if abroad and not _declared(asked.get("customs_info")):
            return _error(422, "SHIPMENT.CUSTOMS_INFO.INVALID")
        number = len(self.shipments) + 1
        id = f"shp_{number}"
        rates = [
            {
                "id": f"rate_{number}_{n}",
                "object": "Rate",
                "carrier": carrier,
                "service": service,
                "rate": rate,
                "currency": "USD",
                "delivery_days": days,
            }
            for n, (carrier, service, rate, days) in enumerate(RATES)
        ]
        self.shipments[id] = {
            "id": id,
            "object": "Shipment",
            "reference": asked.get("reference"),
            "from_address": asked["from_address"],
            "to_address": asked["to_address"],
            "parcel": asked["parcel"],
            "customs_info": asked.get("customs_info"),
            "rates": rates,
            "tracking_code": None,
            "refund_status": None,
            "postage_label": None,
            "tracker": None,
        }
        return web.json_response(self.shipments[id], status=201)

    def _found(self, request: web.Request) -> dict[str, Any] | None:
        key = request.match_info["id"]
        return next((one for one in self.shipments.values() if key in (one["id"], one["reference"])), None)

    async def _retrieve(self, request: web.Request) -> web.Response:
        found = self._found(request)
        if found is None:
            return _error(404, "NOT_FOUND")
        return web.json_response(found | {"tracking_code": None} if self.hides_purchases else found)

    async def _buy(self, request: web.Request) -> web.Response:
        found = self._found(request)
        assert found is not None
        if found["tracking_code"]:
            return _error(422, "SHIPMENT.POSTAGE.EXISTS")
        rate = (await request.json())["rate"]["id"]
        assert rate in [one["id"] for one in found["rates"]]
        found["tracking_code"] = f"EZ{found['id'].upper()}"
        found["selected_rate"] = next(one for one in found["rates"] if one["id"] == rate)
        found["tracker"] = {"id": f"trk_{found['id']}", "object": "Tracker", "tracking_details": []}
        return web.json_response(found)

    async def _refund(self, request: web.Request) -> web.Response:
        found = self._found(request)
        assert found is not None
        if found["refund_status"]:
            return _error(422, "SHIPMENT.REFUND.UNAVAILABLE")
        if self.refuses_refunds:
            return web.json_response(found | {"refund_status": "rejected"})
        found["refund_status"] = "submitted"
        return web.json_response(found)

    async def _label(self, request: web.Request) -> web.Response:
        found = self._found(request)
        assert found is not None
        format = request.query["file_format"].lower()
        label = {"object": "PostageLabel", f"label_{format}_url": f"{self.url}/labels/{found['id']}.{format}"}
        return web.json_response(found | {"postage_label": label})

    async def _file(self, request: web.Request) -> web.Response:
        return web.Response(body=f"label {request.match_info['name']}".encode())


def _declared(form: Any) -> bool:
    """Whether it has what https://docs.easypost.com/docs/customs-infos and /customs-items ask for."""
    if not form or not form["customs_certify"] or not form["customs_signer"] or not form["customs_items"]:
        return False
    known = form["contents_type"] in ("merchandise", "returned_goods") and form["restriction_type"] == "none"
    return known and all(
        item["description"]
        and item["quantity"] > 0
        and item["value"] > 0
        and item["weight"] > 0
        and len(item["origin_country"]) == 2
        and len(item["currency"]) == 3
        for item in form["customs_items"]
    )


def _error(status: int, code: str, headers: Mapping[str, str] | None = None) -> web.Response:
    error = {"code": code, "message": "m", "errors": []}
    return web.json_response({"error": error}, status=status, headers=headers)


@asynccontextmanager
async def serving() -> AsyncIterator[StandIn]:
    stand_in = StandIn()
    runner = web.AppRunner(stand_in.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        stand_in.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield stand_in
    finally:
        stand_in.end()
        await runner.cleanup()
